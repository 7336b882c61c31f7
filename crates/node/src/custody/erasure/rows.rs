//! Rows of erasures and of legal holds. An erasure's key is its document and its number.

use contracts::erasure::SignedAcknowledgement;
use ledger::ids::{MemberName, Tag};
use ledger::item::Opening;
use minicbor::{Decode, Encode};

use crate::custody::rows::{DocumentKey, Own, SubjectId};

/// Under which the number of the last erasure stands.
pub(super) const LAST: &[u8] = b"last";

/// An erasure, and how far it is.
#[derive(Clone, Encode, Decode)]
pub(super) struct ErasureRow {
    /// Of its item, in the index stream.
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    pub(super) is_redaction: bool,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) descriptor: Vec<u8>,
    #[n(3)]
    pub(super) opening: Opening,
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) grounds: Vec<u8>,
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) subject: SubjectId,
    /// Payloads that are to be deleted from the blob store.
    #[n(6)]
    pub(super) blobs: Vec<String>,
    /// What an existing server did.
    #[n(7)]
    pub(super) existing_server: Option<String>,
    #[n(8)]
    pub(super) holders: Vec<HolderRow>,
    /// The version that says that the document is gone.
    #[n(9)]
    pub(super) tombstone: Option<u64>,
    /// Where its item stands.
    #[n(10)]
    pub(super) branch: Own,
    /// Its position there; absent in rows of releases in which a branch had one key.
    #[n(11)]
    pub(super) position: Option<u64>,
}

/// A holder, and what it has said.
#[derive(Clone, Encode, Decode)]
pub(super) struct HolderRow {
    #[n(0)]
    pub(super) member: MemberName,
    #[n(1)]
    pub(super) acknowledged: Option<SignedAcknowledgement>,
    #[n(2)]
    pub(super) attempts: u32,
    /// When it is asked again, milliseconds since 1970.
    #[n(3)]
    pub(super) next_at: u64,
    #[n(4)]
    pub(super) problem: Option<String>,
}

/// A legal hold.
#[derive(Clone, Encode, Decode)]
pub(super) struct HoldRow {
    #[n(0)]
    pub(super) scope: ScopeRow,
    /// As `Type/id`.
    #[n(1)]
    pub(super) target: String,
    #[n(2)]
    pub(super) authority: String,
    #[n(3)]
    pub(super) reason: String,
    /// Until when, milliseconds since 1970; `None` until it is released.
    #[n(4)]
    pub(super) until: Option<u64>,
    #[n(5)]
    pub(super) placed_at: u64,
    #[n(6)]
    pub(super) placed_by: String,
    #[n(7)]
    pub(super) released: Option<ReleasedRow>,
}

/// What a hold is on.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) enum ScopeRow {
    #[n(0)]
    Subject(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        SubjectId,
    ),
    #[n(1)]
    Document(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        DocumentKey,
    ),
}

/// Who released a hold, and when.
#[derive(Clone, Encode, Decode)]
pub(super) struct ReleasedRow {
    #[n(0)]
    pub(super) at: u64,
    #[n(1)]
    pub(super) by: String,
}

impl HolderRow {
    pub(super) fn waiting(member: MemberName) -> Self {
        Self {
            member,
            acknowledged: None,
            attempts: 0,
            next_at: 0,
            problem: None,
        }
    }
}
