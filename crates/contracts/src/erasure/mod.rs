//! Erasure: what is said on the ledger when keys are destroyed, what holders answer, and the certificate of both.
//!
//! ```text
//! grounds ─salted SHA-256→ erasure descriptor ─with the opening→ item ─receipt→ 2f + 1 validators' signatures
//!                               └ tags of the erased items, each with a receipt: what was there before
//!                               └ holders, each with a signed acknowledgement or missing
//! ```
//! The descriptor names tags and members alone. On which grounds, for what and by whom stands in the grounds, which a
//! certificate carries only if whoever gives it away wants to.

mod certificate;

use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::node_key::NodeKey;
use minicbor::{Decode, Encode};

pub use self::certificate::{
    Certificate, CertificateError, CertifiedErasure, VerifiedErasure, verify,
};

/// What an erasure or a redaction did.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct ErasureDescriptor {
    /// Both tags of each item whose version was erased.
    #[n(0)]
    pub erased: Vec<[Tag; 2]>,
    /// When the keys were destroyed at the home, milliseconds since 1970.
    #[n(1)]
    pub at: u64,
    /// Members that were given a key of these versions, and the home: each has to acknowledge.
    #[n(2)]
    pub holders: Vec<MemberName>,
    /// What [`Grounds::digest`] says of the grounds.
    #[n(3)]
    pub grounds: Digest,
    /// The tag of the version that says that the document is gone, if it is.
    #[n(4)]
    pub tombstone: Option<Tag>,
    /// The tag that the next entry of this stream will have.
    #[n(5)]
    pub next: Tag,
}

/// Why a law lets records be destroyed, or asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The patient has asked (GDPR Art. 17).
    Gdpr17,
    /// A court has ordered it.
    CourtOrder,
    /// The retention schedule has run out.
    RetentionExpired,
    /// It should not have been filed.
    FiledInError,
    /// It is about somebody else.
    WrongPatient,
}

impl Basis {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Gdpr17,
        Self::CourtOrder,
        Self::RetentionExpired,
        Self::FiledInError,
        Self::WrongPatient,
    ];

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Gdpr17 => "gdpr-17",
            Self::CourtOrder => "court-order",
            Self::RetentionExpired => "retention-expired",
            Self::FiledInError => "filed-in-error",
            Self::WrongPatient => "wrong-patient",
        }
    }
}

/// The text names no legal basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a legal basis is gdpr-17, court-order, retention-expired, filed-in-error or wrong-patient"
)]
pub struct NotABasis;

impl std::str::FromStr for Basis {
    type Err = NotABasis;

    fn from_str(text: &str) -> Result<Self, NotABasis> {
        let mut all = Self::ALL.into_iter();
        all.find(|basis| basis.code() == text).ok_or(NotABasis)
    }
}

/// On which grounds something was erased, and what.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Grounds {
    /// Random: without it nobody can guess what the descriptor commits to.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub salt: [u8; 32],
    /// FHIR type.
    #[n(1)]
    pub resource_type: String,
    /// FHIR logical id at the home.
    #[n(2)]
    pub id: String,
    /// The versions that were erased.
    #[n(3)]
    pub versions: Vec<u64>,
    /// The legal basis, by its code.
    #[n(4)]
    pub basis: String,
    /// Who has the authority: a court and its file number, the patient, the privacy officer.
    #[n(5)]
    pub authority: String,
    /// Why, in words.
    #[n(6)]
    pub justification: String,
    /// The user or client that did it.
    #[n(7)]
    pub by: String,
}

impl Grounds {
    /// The grounds' bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What a descriptor commits to.
    pub fn digest(&self) -> Digest {
        Digest::with_domain("careledger/erasure-grounds/v1", &[&self.encode()])
    }
}

/// A place at a holder where keys or payloads were, or might have been.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Place {
    /// Such as `record-store`, `object-store`, `existing-server`.
    #[n(0)]
    pub name: String,
    /// What was done: `destroyed`, `nothing-held`, or in words what remains.
    #[n(1)]
    pub outcome: String,
}

/// A holder says that it has destroyed what it held.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Acknowledgement {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Whose records were erased.
    #[n(1)]
    pub home: MemberName,
    /// Who says so.
    #[n(2)]
    pub holder: MemberName,
    /// The tag of the erasure's item.
    #[n(3)]
    pub erasure: Tag,
    /// SHA-256 of the erasure's descriptor.
    #[n(4)]
    pub descriptor: Digest,
    /// The index tags of the erased versions: of none of them anything is held any more.
    #[n(5)]
    pub tags: Vec<Tag>,
    /// Of how many of them something was held.
    #[n(6)]
    pub held: u32,
    /// Where was looked.
    #[n(7)]
    pub places: Vec<Place>,
    /// When, milliseconds since 1970.
    #[n(8)]
    pub at: u64,
}

/// An acknowledgement with its holder's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedAcknowledgement {
    /// The acknowledgement's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub acknowledgement: Vec<u8>,
    /// SHA-256 of the certificate whose key signed.
    #[n(1)]
    pub certificate: Digest,
    /// The signature of [`SignedAcknowledgement::input`].
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl SignedAcknowledgement {
    /// What is signed.
    pub fn input(acknowledgement: &[u8]) -> Vec<u8> {
        let domain = b"careledger/erasure-acknowledgement/v1".as_slice();
        [domain, acknowledgement].concat()
    }

    /// What is acknowledged, if a key that `key_of` knows of the holder has signed it.
    pub fn verify(
        &self,
        key_of: impl Fn(&MemberName, Digest) -> Option<NodeKey>,
    ) -> Result<Acknowledgement, CertificateError> {
        let said: Acknowledgement = codec::decode("acknowledgement", &self.acknowledgement)?;
        let key = key_of(&said.holder, self.certificate)
            .ok_or_else(|| CertificateError::UnknownCertificate(said.holder.clone()))?;
        let input = Self::input(&self.acknowledgement);
        if key.verify(&input, &self.signature).is_err() {
            return Err(CertificateError::NotSigned(said.holder));
        }
        Ok(said)
    }
}

/// What an acknowledgement has to name.
pub struct Acknowledged {
    network: NetworkId,
    home: MemberName,
    descriptor: Digest,
    tags: Vec<Tag>,
}

impl ErasureDescriptor {
    /// What an acknowledgement of this erasure, whose descriptor has these bytes, has to name.
    pub fn place(&self, network: NetworkId, home: &MemberName, descriptor: &[u8]) -> Acknowledged {
        Acknowledged {
            network,
            home: home.clone(),
            descriptor: Digest::of(descriptor),
            tags: self.index_tags(),
        }
    }

    /// The tags of the erased versions in their index streams.
    pub fn index_tags(&self) -> Vec<Tag> {
        self.erased.iter().map(|[_, index]| *index).collect()
    }
}

impl Acknowledged {
    /// Whether this is what is acknowledged.
    pub fn is_of(&self, said: &Acknowledgement) -> bool {
        said.network == self.network
            && said.home == self.home
            && said.descriptor == self.descriptor
            && said.tags == self.tags
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(ErasureDescriptor, Grounds, Acknowledged);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_an_acknowledgement_is_of_one_erasure_of_one_member_in_one_network() {
        let home: MemberName = "clinic".parse().unwrap();
        let descriptor = ErasureDescriptor {
            erased: vec![[Tag([1; 16]), Tag([2; 16])]],
            at: 1,
            holders: vec![home.clone()],
            grounds: Digest([3; 32]),
            tombstone: None,
            next: Tag([4; 16]),
        };
        let network = NetworkId(Digest([5; 32]));
        let bytes = b"the descriptor";
        let said = Acknowledgement {
            network,
            home: home.clone(),
            holder: home.clone(),
            erasure: Tag([6; 16]),
            descriptor: Digest::of(bytes),
            tags: vec![Tag([2; 16])],
            held: 1,
            places: Vec::new(),
            at: 2,
        };
        let place = descriptor.place(network, &home, bytes);
        assert!(place.is_of(&said));
        let changes: [fn(&mut Acknowledgement); 4] = [
            |said| said.descriptor = Digest::of(b"another one"),
            |said| said.network = NetworkId(Digest([9; 32])),
            |said| said.home = "payer".parse().unwrap(),
            |said| said.tags.clear(),
        ];
        for change in changes {
            let mut other = said.clone();
            change(&mut other);
            assert!(!place.is_of(&other), "{other:?}");
        }
    }
}
