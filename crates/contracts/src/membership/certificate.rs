//! Node certificates: X.509 (RFC 5280) issued by a member's own authority. Its key and theirs are Ed25519 (RFC 8410) or
//! P-256 (RFC 5480, signed with SHA-256).

use ledger::ids::{BlockTime, Digest, MemberName};
use ledger::node_key::{Algorithm, NodeKey};
use p256::ecdsa::Signature;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;

use crate::rejection::Rejection;

/// DER of an AlgorithmIdentifier of Ed25519 (RFC 8410 §3).
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// The same of ECDSA with SHA-256 (RFC 5758 §3.2).
const ECDSA_SHA256: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// SHA-256 of the DER bytes.
    pub thumbprint: Digest,
    /// SHA-256 of what its authority signed: an ECDSA signature can be written in another way by whoever sees it.
    pub(super) signed: Digest,
    /// Its key.
    pub key: NodeKey,
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
    #[error("it is not an X.509 certificate with an Ed25519 or a P-256 key")]
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
        verify(&authority_key, &certificate)?;
        if !is_as_signed(node, &certificate, authority_key.algorithm()) {
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
            signed: Digest::of(certificate.tbs_certificate.as_ref()),
            key: key_in(certificate).ok_or(CertificateError::Malformed)?,
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

fn verify(authority: &NodeKey, certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    let (message, written) = (
        certificate.tbs_certificate.as_ref(),
        &certificate.signature_value.data,
    );
    let signature = match authority.algorithm() {
        Algorithm::EdDsa if written.len() != 64 => return Err(CertificateError::Malformed),
        Algorithm::EdDsa => written.to_vec(),
        Algorithm::Es256 => {
            // Authorities give either form of a signature.
            let signature = Signature::from_der(written);
            let signature = signature.map_err(|_| CertificateError::NotSignedByAuthority)?;
            signature.normalize_s().to_vec()
        }
    };
    authority
        .verify(message, &signature)
        .map_err(|_| CertificateError::NotSignedByAuthority)
}

/// Whether nothing but the signed part and its signature made the bytes. Otherwise the holder of a revoked certificate
/// could write it in another way, with another thumbprint, and register it again.
fn is_as_signed(node: &[u8], certificate: &X509Certificate<'_>, algorithm: Algorithm) -> bool {
    let algorithm = match algorithm {
        Algorithm::EdDsa => ED25519.as_slice(),
        Algorithm::Es256 => &ECDSA_SHA256,
    };
    let unused_bits: &[u8] = &[0];
    let signature = [unused_bits, &certificate.signature_value.data].concat();
    let content = [
        certificate.tbs_certificate.as_ref(),
        algorithm,
        &der(BIT_STRING, &signature),
    ];
    node == der(SEQUENCE, &content.concat())
}

/// A DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let (_, length) = length.split_at(zeros);
    let head = match length {
        [] => vec![tag, 0],
        [short @ ..=0x7f] => vec![tag, *short],
        long => [&[tag, 0x80 | u8::try_from(long.len()).unwrap_or(0)], long].concat(),
    };
    [&head, content].concat()
}

/// The key of an authority's certificate.
fn authority_key(authority: &[u8]) -> Result<NodeKey, CertificateError> {
    let certificate = parse(authority)?;
    if !certificate.is_ca() {
        return Err(CertificateError::IssuerIsNoAuthority);
    }
    key_in(&certificate).ok_or(CertificateError::Malformed)
}

/// The key in a certificate: Ed25519, or P-256 named as a curve, with its point uncompressed.
fn key_in(certificate: &X509Certificate<'_>) -> Option<NodeKey> {
    let key = certificate.public_key();
    let bytes = key.subject_public_key.data.as_ref();
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        return NodeKey::ed25519(bytes.try_into().ok()?);
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let is_p256 = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    is_p256.then(|| NodeKey::p256(bytes.try_into().ok()?))?
}

fn time_of(time: x509_parser::time::ASN1Time) -> BlockTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    BlockTime(seconds.saturating_mul(1_000))
}
