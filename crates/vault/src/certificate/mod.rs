//! X.509: the member's certificate authority and the certificates of its nodes, each with an Ed25519 or a P-256 key.
//!
//! Keys stay in the key store; only signatures come out. Times are arguments, so that a network's genesis can be made
//! again to the byte, but for the random serial numbers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm, SigningKey,
};
use time::{Date, OffsetDateTime};

use crate::entropy::random;
use crate::keystore::{Signer, SigningPublicKey};

const NODE_MONTHS: i32 = 13;
const CA_MONTHS: i32 = 120;

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    pem: String,
}

/// Why a certificate is not issued.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The name cannot stand in a certificate.
    #[error("DNS name is not ASCII")]
    DnsNameNotAscii,
    /// The beginning of the validity is no date that a certificate can carry.
    #[error("validity lies outside the years of certificates")]
    ValidityOutOfRange,
    /// The certificate could not be signed or encoded.
    #[error("certificate cannot be issued")]
    Issue(#[source] rcgen::Error),
}

/// A member's certificate authority.
#[derive(Clone)]
pub struct MemberCa {
    member: String,
    signer: Signer,
}

impl MemberCa {
    /// The authority of `member`, signing with the key of `signer`.
    pub fn new(member: &str, signer: Signer) -> Self {
        Self {
            member: member.to_owned(),
            signer,
        }
    }

    /// The authority's own certificate, self-signed, valid ten years from `not_before` (seconds since 1970).
    pub fn certify_itself(&self, not_before: u64) -> Result<Certificate, CertificateError> {
        let params = self.own_params(&Validity::months(not_before, CA_MONTHS)?);
        let key = RemoteKey(&self.signer);
        let issued = params.self_signed(&key);
        issued
            .map(|issued| Certificate::of(&issued))
            .map_err(CertificateError::Issue)
    }

    /// A certificate for a node's TLS and statements, valid 13 months from `not_before` (seconds since 1970).
    ///
    /// It names `dns_name` and 127.0.0.1, and serves as client and as server.
    pub fn certify_node(
        &self,
        public_key: &SigningPublicKey,
        dns_name: &str,
        not_before: u64,
    ) -> Result<Certificate, CertificateError> {
        let validity = Validity::months(not_before, NODE_MONTHS)?;
        let host = dns_name
            .try_into()
            .map_err(|_| CertificateError::DnsNameNotAscii)?;
        let mut params = params(&self.member, dns_name, &validity);
        params.subject_alt_names = vec![
            SanType::DnsName(host),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(self.own_params(&validity), RemoteKey(&self.signer));
        let issued = params.signed_by(&SubjectKey(public_key), &issuer);
        issued
            .map(|issued| Certificate::of(&issued))
            .map_err(CertificateError::Issue)
    }

    fn own_params(&self, validity: &Validity) -> CertificateParams {
        let mut params = params(
            &self.member,
            &format!("{} member CA", self.member),
            validity,
        );
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }
}

impl fmt::Debug for MemberCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberCa({})", self.member)
    }
}

impl Certificate {
    fn of(issued: &rcgen::Certificate) -> Self {
        Self {
            der: issued.der().to_vec(),
            pem: issued.pem(),
        }
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.der.len())
    }
}

struct Validity {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Validity {
    /// Whole months; the end's day is the last of its month where the beginning's day does not exist.
    fn months(not_before: u64, months: i32) -> Result<Self, CertificateError> {
        let range = |_| CertificateError::ValidityOutOfRange;
        let seconds =
            i64::try_from(not_before).map_err(|_| CertificateError::ValidityOutOfRange)?;
        let not_before = OffsetDateTime::from_unix_timestamp(seconds).map_err(range)?;
        let date = not_before.date();
        let month = i32::from(u8::from(date.month())) - 1 + months;
        let year = date.year() + month.div_euclid(12);
        let month = u8::try_from(month.rem_euclid(12) + 1)
            .ok()
            .and_then(|month| time::Month::try_from(month).ok())
            .ok_or(CertificateError::ValidityOutOfRange)?;
        let day = date.day().min(month.length(year));
        let end = Date::from_calendar_date(year, month, day).map_err(range)?;
        Ok(Self {
            not_before,
            not_after: not_before.replace_date(end),
        })
    }
}

fn params(member: &str, common_name: &str, validity: &Validity) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, member);
    name.push(DnType::CommonName, common_name);
    // Serial numbers are positive and have no leading zero byte in DER.
    let mut serial: [u8; 16] = random();
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// A key that signs where it lies.
struct RemoteKey<'a>(&'a Signer);

impl PublicKeyData for RemoteKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm_of(self.0.public_key())
    }
}

impl SigningKey for RemoteKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign_der(message);
        signature.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

struct SubjectKey<'a>(&'a SigningPublicKey);

impl PublicKeyData for SubjectKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm_of(self.0)
    }
}

fn algorithm_of(key: &SigningPublicKey) -> &'static SignatureAlgorithm {
    match key {
        SigningPublicKey::Ed25519(_) => &PKCS_ED25519,
        SigningPublicKey::P256(_) => &PKCS_ECDSA_P256_SHA256,
    }
}

#[cfg(test)]
mod tests;
