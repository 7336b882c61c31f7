//! Erasure: what is said on the ledger when keys are destroyed, what holders answer, and the certificate of both.
//!
//! ```text
//! grounds ─salted SHA-256→ erasure descriptor ─with the opening→ item ─receipt→ 2f + 1 validators' signatures
//!                               └ tags of the erased items, each with a receipt: what was there before
//!                               └ holders, each with a signed acknowledgement or missing
//! ```
//! The descriptor names tags and members alone. On which grounds, for what and by whom stands in the grounds, which a
//! certificate carries only if whoever gives it away wants to.

use ledger::codec::{self, DecodeError};
use ledger::ids::{BlockTime, Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::node_key::NodeKey;
use ledger::receipt::{Receipt, ReceiptError, Trust};
use minicbor::{Decode, Encode};

use crate::descriptor::Descriptor;

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

/// Erasures with what proves them.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// One for each document and each time.
    #[n(0)]
    pub erasures: Vec<CertifiedErasure>,
}

/// One erasure with what proves it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct CertifiedErasure {
    /// The descriptor's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    #[n(1)]
    pub opening: Opening,
    /// That the erasure is recorded.
    #[n(2)]
    pub receipt: Receipt,
    /// That the erased items were recorded, in the order of the descriptor.
    #[n(3)]
    pub erased: Vec<Receipt>,
    /// That the document's last version says that it is gone.
    #[n(4)]
    pub tombstone: Option<Receipt>,
    /// What holders have signed.
    #[n(5)]
    pub acknowledgements: Vec<SignedAcknowledgement>,
    /// The grounds' bytes, if they are given away.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub grounds: Option<Vec<u8>>,
}

/// What one erasure of a certificate proves.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedErasure {
    /// Whose records they were.
    pub home: MemberName,
    /// Whether it is a redaction.
    pub is_redaction: bool,
    /// When the home says that it destroyed the keys, milliseconds since 1970.
    pub at: u64,
    /// The height at which the erasure was final at the latest, and the time of that block.
    pub recorded: (Height, BlockTime),
    /// How many items were erased.
    pub erased: usize,
    /// Whether the document's last version says that it is gone.
    pub has_tombstone: bool,
    /// Who has acknowledged.
    pub acknowledged: Vec<Acknowledgement>,
    /// Who has not.
    pub missing: Vec<MemberName>,
    /// The grounds, if they are given away.
    pub grounds: Option<Grounds>,
}

/// Where a certificate fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not what they should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A receipt proves nothing.
    #[error("in the receipt of {0}: {1}")]
    Receipt(&'static str, ReceiptError),
    /// The recorded item commits to something else.
    #[error("the recorded item does not commit to this descriptor")]
    OtherDescriptor,
    /// The descriptor is of something else.
    #[error("the descriptor is not of an erasure")]
    NotAnErasure,
    /// A receipt is of an item that was not erased, or of another member's, or one is missing.
    #[error("the receipts are not those of the erased items, in their order")]
    OtherItems,
    /// The receipt of the version that says that the document is gone is missing, or of another item.
    #[error("the receipt is not that of the version that says that the document is gone")]
    OtherTombstone,
    /// The grounds are not those that the descriptor commits to.
    #[error("the grounds are not those that the erasure names")]
    OtherGrounds,
    /// An acknowledgement is of another erasure, or leaves out a version.
    #[error("what `{0}` acknowledges is not this erasure")]
    OtherErasure(MemberName),
    /// Somebody acknowledges who was not asked, or twice.
    #[error("`{0}` acknowledges and is no holder, or has done so before")]
    NotAHolder(MemberName),
    /// A holder has no such certificate.
    #[error("a certificate is named that `{0}` does not have")]
    UnknownCertificate(MemberName),
    /// A holder's signature does not verify.
    #[error("the acknowledgement of `{0}` is not signed by it")]
    NotSigned(MemberName),
}

impl Certificate {
    /// Reads a certificate.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("erasure certificate", bytes)
    }

    /// The certificate's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// Checks every link from the erased items and the acknowledgements to the validators' signatures.
pub fn verify<F>(
    erasure: &CertifiedErasure,
    trust: &Trust<F>,
) -> Result<VerifiedErasure, CertificateError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    let of = |what| move |error| CertificateError::Receipt(what, error);
    let recorded = erasure.receipt.verify(trust).map_err(of("the erasure"))?;
    let home = recorded.member.clone();
    let digest = Digest::of(&erasure.descriptor);
    if !recorded
        .item
        .opens_to(trust.network, &home, &erasure.opening, digest)
    {
        return Err(CertificateError::OtherDescriptor);
    }
    let (is_redaction, descriptor) = match Descriptor::decode(&erasure.descriptor)? {
        Descriptor::Erasure(descriptor) => (false, descriptor),
        Descriptor::Redaction(descriptor) => (true, descriptor),
        Descriptor::Record(_) | Descriptor::Access(_) | Descriptor::Void => {
            return Err(CertificateError::NotAnErasure);
        }
    };
    if erasure.erased.len() != descriptor.erased.len() {
        return Err(CertificateError::OtherItems);
    }
    for (receipt, tags) in erasure.erased.iter().zip(&descriptor.erased) {
        let one = receipt.verify(trust).map_err(of("an erased item"))?;
        if one.member != home || one.item.tags != *tags {
            return Err(CertificateError::OtherItems);
        }
    }
    check_tombstone(erasure, &descriptor, (&home, trust))?;
    let grounds = grounds(erasure, &descriptor)?;
    let acknowledged = acknowledged(erasure, &descriptor, (&home, trust))?;
    let has_said = |holder: &&MemberName| acknowledged.iter().any(|one| one.holder == **holder);
    let missing = descriptor.holders.iter().filter(|one| !has_said(one));
    Ok(VerifiedErasure {
        missing: missing.cloned().collect(),
        home,
        is_redaction,
        at: descriptor.at,
        recorded: (recorded.height, recorded.time),
        erased: descriptor.erased.len(),
        has_tombstone: descriptor.tombstone.is_some(),
        acknowledged,
        grounds,
    })
}

fn check_tombstone<F>(
    erasure: &CertifiedErasure,
    descriptor: &ErasureDescriptor,
    (home, trust): (&MemberName, &Trust<F>),
) -> Result<(), CertificateError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    match (descriptor.tombstone, &erasure.tombstone) {
        (None, None) => Ok(()),
        (Some(tag), Some(receipt)) => {
            let one = receipt.verify(trust);
            let one = one.map_err(|error| CertificateError::Receipt("the tombstone", error))?;
            let is_it = one.member == *home && one.item.tags.contains(&tag);
            is_it.then_some(()).ok_or(CertificateError::OtherTombstone)
        }
        _ => Err(CertificateError::OtherTombstone),
    }
}

fn grounds(
    erasure: &CertifiedErasure,
    descriptor: &ErasureDescriptor,
) -> Result<Option<Grounds>, CertificateError> {
    let Some(bytes) = &erasure.grounds else {
        return Ok(None);
    };
    let grounds: Grounds = codec::decode("grounds", bytes)?;
    if grounds.digest() == descriptor.grounds {
        Ok(Some(grounds))
    } else {
        Err(CertificateError::OtherGrounds)
    }
}

fn acknowledged<F>(
    erasure: &CertifiedErasure,
    descriptor: &ErasureDescriptor,
    (home, trust): (&MemberName, &Trust<F>),
) -> Result<Vec<Acknowledgement>, CertificateError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    let place = descriptor.place(trust.network, home, &erasure.descriptor);
    let mut all: Vec<Acknowledgement> = Vec::new();
    for signed in &erasure.acknowledgements {
        let said = signed.verify(&trust.key_of)?;
        let is_asked = descriptor.holders.contains(&said.holder);
        if !is_asked || all.iter().any(|one| one.holder == said.holder) {
            return Err(CertificateError::NotAHolder(said.holder));
        }
        let tag = ledger::item::Item::from_bytes(&erasure.receipt.item).tags;
        if !place.is_of(&said) || !tag.contains(&said.erasure) {
            return Err(CertificateError::OtherErasure(said.holder));
        }
        all.push(said);
    }
    Ok(all)
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

redacted!(
    ErasureDescriptor,
    Grounds,
    Certificate,
    CertifiedErasure,
    VerifiedErasure,
    Acknowledged
);
