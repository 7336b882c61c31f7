//! Exports: one version of a document with everything that a stranger needs to check it.
//!
//! ```text
//! content ─SHA-256→ descriptor ─with the opening→ item ─receipt→ 2f + 1 validators' signatures
//! ```
//! A receipt that also shows the descriptor's `next` tag absent proves that no later version was final by then. If the
//! patient's keys were rotated since, closing items lead from `next` to the tag that is absent (`contracts::rotation`).

use ledger::codec::{self, DecodeError};
use ledger::ids::{BlockTime, Digest, Height, MemberName, Tag};
use ledger::item::Opening;
use ledger::node_key::NodeKey;
use ledger::receipt::{Receipt, ReceiptError, Trust};
use minicbor::{Decode, Encode};

use crate::descriptor::{Descriptor, RecordDescriptor};
use crate::rotation::Successor;

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
    /// The closing items behind the version, if its stream was moved since; absent if there are none.
    #[n(4)]
    pub moves: Option<Vec<Move>>,
}

/// The closing item of a stream, and where the stream goes on.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Move {
    /// The descriptor's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    #[n(1)]
    pub opening: Opening,
    /// That the item is recorded.
    #[n(2)]
    pub receipt: Receipt,
    /// Where the stream goes on.
    #[n(3)]
    pub successor: Successor,
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
    /// A closing item is not of this document's stream, or leads elsewhere.
    #[error("a move of the stream does not lead from this version to where it goes on")]
    OtherMove,
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

impl Move {
    /// The tag with which the stream goes on, if this is the item with which it ended.
    fn follow<F>(
        &self,
        trust: &Trust<F>,
        (member, last): (&MemberName, Tag),
    ) -> Result<Tag, ExportError>
    where
        F: Fn(&MemberName, Digest) -> Option<NodeKey>,
    {
        let recorded = self.receipt.verify(trust)?;
        let digest = Digest::of(&self.descriptor);
        let is_opened = recorded
            .item
            .opens_to(trust.network, member, &self.opening, digest);
        let Descriptor::Moved(moved) = Descriptor::decode(&self.descriptor)? else {
            return Err(ExportError::OtherMove);
        };
        let [tag, _] = recorded.item.tags;
        let is_next = recorded.member == *member && tag == last;
        (is_opened && is_next && moved.leads_to(&self.successor))
            .then_some(self.successor.tag)
            .ok_or(ExportError::OtherMove)
    }
}

impl std::fmt::Debug for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Move(..)")
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
    let mut next = record.next;
    for one in export.moves.iter().flatten() {
        next = one.follow(trust, (&recorded.member, next))?;
    }
    if recorded.absent.iter().any(|tag| *tag != next) {
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
