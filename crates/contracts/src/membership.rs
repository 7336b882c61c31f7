//! Membership: which members there are, and which keys speak for them at a time.
//!
//! # Invariants
//! - **M1** A key speaks for a member only through a certificate that the member's authority signed.
//! - **M2** A certificate speaks only within its validity, on block time.

use std::collections::BTreeMap;

use ed25519_zebra::{Signature, VerificationKey};
use ledger::genesis::{Genesis, Member};
use ledger::ids::{BlockTime, Digest, MemberName};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::rejection::Rejection;

/// The members of a network and their certificates.
#[derive(Debug, Clone)]
pub struct Registry {
    members: BTreeMap<MemberName, Vec<NodeCertificate>>,
}

/// A node's certificate.
#[derive(Debug, Clone)]
pub struct NodeCertificate {
    /// SHA-256 of the DER bytes.
    pub thumbprint: Digest,
    /// Its key.
    pub key: VerificationKey,
    /// First moment of its validity.
    pub not_before: BlockTime,
    /// Last moment of its validity.
    pub not_after: BlockTime,
}

/// Why a genesis founds no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Two members have one name, or they are not in order.
    #[error("members are not in the order of their names, each once")]
    MembersNotInOrder,
    /// A certificate cannot be read.
    #[error("a certificate of `{0}` is not an X.509 certificate with an Ed25519 key")]
    CertificateMalformed(MemberName),
    /// The authority did not sign the node's certificate.
    #[error("the node certificate of `{0}` is not signed by its authority")]
    NotSignedByAuthority(MemberName),
    /// Nobody validates.
    #[error("the genesis names no validator")]
    NoValidator,
}

impl Registry {
    /// The members that `genesis` founds.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, MembershipError> {
        if !genesis
            .members
            .is_sorted_by(|one, next| one.name < next.name)
        {
            return Err(MembershipError::MembersNotInOrder);
        }
        if genesis.validators().keys.is_empty() {
            return Err(MembershipError::NoValidator);
        }
        let entry = |member: &Member| {
            NodeCertificate::issued(member).map(|node| (member.name.clone(), vec![node]))
        };
        let members = genesis
            .members
            .iter()
            .map(entry)
            .collect::<Result<_, _>>()?;
        Ok(Self { members })
    }

    /// The members' names, in order.
    pub fn members(&self) -> impl Iterator<Item = &MemberName> {
        self.members.keys()
    }

    /// All nodes' certificates, by member.
    pub fn node_certificates(&self) -> impl Iterator<Item = (&MemberName, &NodeCertificate)> {
        self.members
            .iter()
            .flat_map(|(member, nodes)| nodes.iter().map(move |node| (member, node)))
    }

    /// The key that `thumbprint` gives `member` at `time`.
    pub fn key_at(
        &self,
        member: &MemberName,
        thumbprint: Digest,
        time: BlockTime,
    ) -> Result<&VerificationKey, Rejection> {
        let certificate = self.certificate(member, thumbprint)?;
        if time < certificate.not_before {
            return Err(Rejection::CertificateNotYetValid(member.clone()));
        }
        if time > certificate.not_after {
            return Err(Rejection::CertificateExpired(member.clone()));
        }
        Ok(&certificate.key)
    }

    /// The certificate of `member` with `thumbprint`.
    pub fn certificate(
        &self,
        member: &MemberName,
        thumbprint: Digest,
    ) -> Result<&NodeCertificate, Rejection> {
        self.members
            .get(member)
            .ok_or_else(|| Rejection::UnknownMember(member.clone()))?
            .iter()
            .find(|certificate| certificate.thumbprint == thumbprint)
            .ok_or_else(|| Rejection::UnknownCertificate(member.clone()))
    }

    /// The member whose certificate has `thumbprint`, if it is valid at `time`.
    pub fn holder(&self, thumbprint: Digest, time: BlockTime) -> Option<&MemberName> {
        self.members
            .keys()
            .find(|member| self.key_at(member, thumbprint, time).is_ok())
    }
}

impl NodeCertificate {
    fn issued(member: &Member) -> Result<Self, MembershipError> {
        let malformed = || MembershipError::CertificateMalformed(member.name.clone());
        let parse = |der| X509Certificate::from_der(der).map_err(|_| malformed());
        let (_, authority) = parse(&member.authority)?;
        let (_, node) = parse(&member.node)?;
        let signature =
            Signature::from_slice(&node.signature_value.data).map_err(|_| malformed())?;
        ed25519_key(&authority)
            .ok_or_else(malformed)?
            .verify(&signature, node.tbs_certificate.as_ref())
            .map_err(|_| MembershipError::NotSignedByAuthority(member.name.clone()))?;
        let validity = node.validity();
        Ok(Self {
            thumbprint: Digest::of(&member.node),
            key: ed25519_key(&node).ok_or_else(malformed)?,
            not_before: time_of(validity.not_before),
            not_after: time_of(validity.not_after),
        })
    }
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

#[cfg(test)]
pub(crate) mod tests;
