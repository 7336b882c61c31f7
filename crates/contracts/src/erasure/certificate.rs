//! Deletion certificates: an erasure with everything that a stranger needs to check it.

use ledger::codec::{self, DecodeError};
use ledger::ids::{BlockTime, Digest, Height, MemberName};
use ledger::item::Opening;
use ledger::node_key::NodeKey;
use ledger::receipt::{Receipt, ReceiptError, Trust};
use minicbor::{Decode, Encode};

use super::{Acknowledgement, ErasureDescriptor, Grounds, SignedAcknowledgement};
use crate::descriptor::Descriptor;

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
        Descriptor::Record(_) | Descriptor::Access(_) | Descriptor::Moved(_) | Descriptor::Void => {
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

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(Certificate, CertifiedErasure, VerifiedErasure);
