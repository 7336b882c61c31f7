//! What all COSE objects of the ledger share: who signed, and how, named in the protected header.
//!
//! ```text
//! 1:  -8 (EdDSA) / -7 (ES256)                   the algorithm of the certificate's key
//! 15: { 1: member, 2: subject }                 CWT claims issuer and subject (RFC 9597), as RFC 9943 asks
//! 34: [-16, SHA-256 of the certificate]         x5t (RFC 9360)
//! ```

use coset::cbor::value::Value;
use coset::iana::EnumI64 as _;
use coset::{Header, HeaderBuilder, Label, RegisteredLabelWithPrivate, iana};

use crate::ids::{Digest, MemberName};
use crate::node_key::{Algorithm, SigningNode};

const CWT_CLAIMS: i64 = 15;
const CWT_ISSUER: i64 = 1;
const CWT_SUBJECT: i64 = 2;
const X5T: i64 = 34;
const SHA_256: i64 = -16;

/// Who signed, as the protected header says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) member: MemberName,
    pub(crate) certificate: Digest,
    pub(crate) algorithm: Algorithm,
}

impl Signed {
    pub(crate) fn node(&self) -> SigningNode<'_> {
        SigningNode {
            member: &self.member,
            certificate: self.certificate,
            algorithm: self.algorithm,
        }
    }
}

/// Adds the algorithm, the claims and the certificate's thumbprint.
pub(crate) fn name_signer(
    header: HeaderBuilder,
    signer: SigningNode<'_>,
    subject: &str,
) -> HeaderBuilder {
    let issuer = (Value::from(CWT_ISSUER), Value::from(signer.member.as_str()));
    let subject = (Value::from(CWT_SUBJECT), Value::from(subject));
    let thumbprint = vec![
        Value::from(SHA_256),
        Value::from(signer.certificate.0.to_vec()),
    ];
    let algorithm = match signer.algorithm {
        Algorithm::EdDsa => iana::Algorithm::EdDSA,
        Algorithm::Es256 => iana::Algorithm::ES256,
    };
    header
        .algorithm(algorithm)
        .value(CWT_CLAIMS, Value::Map(vec![issuer, subject]))
        .value(X5T, Value::Array(thumbprint))
}

/// Reads who signed.
pub(crate) fn signer_of(header: &Header) -> Option<Signed> {
    let (_, issuer) = value(header, CWT_CLAIMS)?.as_map()?.first()?;
    let thumbprint = value(header, X5T)?.as_array()?.get(1)?.as_bytes()?;
    let Some(RegisteredLabelWithPrivate::Assigned(algorithm)) = &header.alg else {
        return None;
    };
    Some(Signed {
        member: issuer.as_text()?.parse().ok()?,
        certificate: Digest(thumbprint.as_slice().try_into().ok()?),
        algorithm: Algorithm::of_cose(algorithm.to_i64())?,
    })
}

/// The header's value under an integer label.
pub(crate) fn value(header: &Header, label: i64) -> Option<&Value> {
    let named = |(key, _): &&(Label, Value)| *key == Label::Int(label);
    header.rest.iter().find(named).map(|(_, value)| value)
}
