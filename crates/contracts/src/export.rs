//! Exports: one version of a document with everything that a stranger needs to check it.
//!
//! ```text
//! content ─SHA-256→ descriptor ─with the opening→ item ─receipt→ 2f + 1 validators' signatures
//! ```
//! A receipt that also shows the descriptor's `next` tag absent proves that no later version was final by then.

use ledger::codec::{self, DecodeError};
use ledger::ids::{BlockTime, Digest, Height, MemberName};
use ledger::item::Opening;
use ledger::node_key::NodeKey;
use ledger::receipt::{Receipt, ReceiptError, Trust};
use minicbor::{Decode, Encode};

use crate::descriptor::{Descriptor, RecordDescriptor};

/// One version of a document, in the clear, with its receipt.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Export {
    /// The descriptor's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    #[n(1)]
    pub opening: Opening,
    /// The content; empty for a version that deletes the document.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub content: Vec<u8>,
    /// That the item is recorded.
    #[n(3)]
    pub receipt: Receipt,
}

/// What an export proves.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The home member, which recorded the version.
    pub member: MemberName,
    /// Who wrote it, as the member says.
    pub author: String,
    /// FHIR type.
    pub resource_type: String,
    /// FHIR logical id at the home member.
    pub id: String,
    /// FHIR version.
    pub version: u64,
    /// Whether the version deletes the document.
    pub deleted: bool,
    /// When the member says it was written, milliseconds since 1970.
    pub recorded_at: u64,
    /// The height at which it was final at the latest.
    pub height: Height,
    /// The time of that block.
    pub time: BlockTime,
    /// Whether no later version was final at that height.
    pub latest: bool,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("member", &self.member)
            .field("height", &self.height)
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}

/// Where an export fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The bytes are not an export, or its descriptor's are not a descriptor.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The receipt proves nothing.
    #[error("in the receipt: {0}")]
    Receipt(#[from] ReceiptError),
    /// The item commits to something else.
    #[error("the recorded item does not commit to this descriptor")]
    OtherDescriptor,
    /// The descriptor is not of a document's version.
    #[error("the descriptor is not of a version of a document")]
    NotARecord,
    /// The content is not what the descriptor says.
    #[error("the content is not the one that the descriptor names")]
    OtherContent,
    /// The receipt shows the absence of something else than the next version.
    #[error("the receipt shows a tag absent that is not the next version's")]
    AbsenceOfAnother,
}

impl Export {
    /// Reads an export.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("export", bytes)
    }

    /// The export's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Export(..)")
    }
}

/// Checks every link from the content to the validators' signatures.
pub fn verify<F>(export: &Export, trust: &Trust<F>) -> Result<Verified, ExportError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    let recorded = export.receipt.verify(trust)?;
    let digest = Digest::of(&export.descriptor);
    if !recorded
        .item
        .opens_to(trust.network, &recorded.member, &export.opening, digest)
    {
        return Err(ExportError::OtherDescriptor);
    }
    let Descriptor::Record(record) = Descriptor::decode(&export.descriptor)? else {
        return Err(ExportError::NotARecord);
    };
    if !content_is_of(&export.content, &record) {
        return Err(ExportError::OtherContent);
    }
    if recorded.absent.iter().any(|tag| *tag != record.next) {
        return Err(ExportError::AbsenceOfAnother);
    }
    Ok(Verified {
        member: recorded.member,
        author: record.author,
        resource_type: record.resource_type,
        id: record.id,
        version: record.version,
        deleted: record.deleted,
        recorded_at: record.recorded_at,
        height: recorded.height,
        time: recorded.time,
        latest: !recorded.absent.is_empty(),
    })
}

fn content_is_of(content: &[u8], record: &RecordDescriptor) -> bool {
    if record.deleted {
        content.is_empty()
    } else {
        Digest::of(content) == record.content
    }
}
