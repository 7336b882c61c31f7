//! Node certificates: X.509 (RFC 5280) with Ed25519 keys (RFC 8410), issued by a member's own authority.

use ed25519_zebra::{Signature, VerificationKey};
use ledger::ids::{BlockTime, Digest, MemberName};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::rejection::Rejection;

/// DER of an AlgorithmIdentifier of Ed25519 (RFC 8410 §3), and the head of the BIT STRING with a signature.
const ED25519_SIGNED: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];

/// A node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// SHA-256 of the DER bytes.
    pub thumbprint: Digest,
    /// Its key.
    pub key: VerificationKey,
    /// First moment of its validity.
    pub not_before: BlockTime,
    /// Last moment of its validity.
    pub not_after: BlockTime,
    /// When it was revoked, if it was.
    pub revoked: Option<BlockTime>,
}

/// Why a certificate does not speak for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read, or has a key of another kind.
    #[error("it is not an X.509 certificate with an Ed25519 key")]
    Malformed,
    /// The authority's certificate may not issue others.
    #[error("its issuer is not a certification authority")]
    IssuerIsNoAuthority,
    /// The authority did not sign it.
    #[error("it is not signed by its authority")]
    NotSignedByAuthority,
}

impl NodeCertificate {
    /// Reads a certificate, and checks that the authority with the certificate `authority` issued it.
    ///
    /// The authority is a trust anchor (RFC 5280 §6.1.1): the dates in its own certificate are not judged.
    pub fn issued(node: &[u8], authority: &[u8]) -> Result<Self, CertificateError> {
        let authority_key = authority_key(authority)?;
        let certificate = parse(node)?;
        let signature = Signature::from_slice(&certificate.signature_value.data)
            .map_err(|_| CertificateError::Malformed)?;
        authority_key
            .verify(&signature, certificate.tbs_certificate.as_ref())
            .map_err(|_| CertificateError::NotSignedByAuthority)?;
        if !is_as_signed(node, &certificate) {
            return Err(CertificateError::Malformed);
        }
        Self::of(node, &certificate)
    }

    /// Reads a certificate whose issuer was checked before.
    pub(super) fn registered(node: &[u8]) -> Result<Self, CertificateError> {
        Self::of(node, &parse(node)?)
    }

    fn of(node: &[u8], certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let validity = certificate.validity();
        Ok(Self {
            thumbprint: Digest::of(node),
            key: ed25519_key(certificate).ok_or(CertificateError::Malformed)?,
            not_before: time_of(validity.not_before),
            not_after: time_of(validity.not_after),
            revoked: None,
        })
    }

    /// Whether `authority` is a certificate that can issue others.
    pub fn check_authority(authority: &[u8]) -> Result<(), CertificateError> {
        authority_key(authority).map(|_| ())
    }

    /// Whether `time` lies in its validity.
    pub(super) fn check_time(&self, member: &MemberName, time: BlockTime) -> Result<(), Rejection> {
        if time < self.not_before {
            return Err(Rejection::CertificateNotYetValid(member.clone()));
        }
        if time > self.not_after {
            return Err(Rejection::CertificateExpired(member.clone()));
        }
        Ok(())
    }

    /// Whether it speaks at `time`.
    pub fn is_valid_at(&self, time: BlockTime) -> bool {
        self.not_before <= time && time <= self.not_after && self.revoked.is_none()
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

/// Whether nothing but the signed part and its signature made the bytes. Otherwise the holder of a revoked certificate
/// could write it in another way, with another thumbprint, and register it again.
fn is_as_signed(node: &[u8], certificate: &X509Certificate<'_>) -> bool {
    let signed = certificate.tbs_certificate.as_ref();
    let content = [signed, &ED25519_SIGNED, &certificate.signature_value.data].concat();
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let (_, length) = length.split_at(zeros);
    let head = match length {
        [short @ ..=0x7f] => vec![0x30, *short],
        long => [&[0x30, 0x80 | u8::try_from(long.len()).unwrap_or(0)], long].concat(),
    };
    node == [head, content].concat()
}

/// The key of an authority's certificate.
fn authority_key(authority: &[u8]) -> Result<VerificationKey, CertificateError> {
    let certificate = parse(authority)?;
    if !certificate.is_ca() {
        return Err(CertificateError::IssuerIsNoAuthority);
    }
    ed25519_key(&certificate).ok_or(CertificateError::Malformed)
}

fn ed25519_key(certificate: &X509Certificate<'_>) -> Option<VerificationKey> {
    let key = certificate.public_key();
    let is_ed25519 = key.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519;
    let bytes: [u8; 32] = key.subject_public_key.data.as_ref().try_into().ok()?;
    if is_ed25519 {
        VerificationKey::try_from(bytes).ok()
    } else {
        None
    }
}

fn time_of(time: x509_parser::time::ASN1Time) -> BlockTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    BlockTime(seconds.saturating_mul(1_000))
}
