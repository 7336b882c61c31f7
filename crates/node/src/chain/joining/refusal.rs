//! What can be wrong with a snapshot.

use contracts::membership::MembershipError;
use ledger::codec::DecodeError;
use ledger::snapshot::OfferError;

use super::super::rows::RowsError;
use super::super::store::StoreError;

/// Why a snapshot is not taken over. All but a failure of this node's store is what the peer did.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// An answer is no such structure.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The offer does not follow from the genesis.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A page of leaf hashes is empty before the log's end, or goes beyond it.
    #[error("the leaf hashes are not those of a log of {0} statements")]
    LeavesMiscounted(u64),
    /// The leaf hashes are not those of the log.
    #[error("the leaf hashes do not lead to the log root that the validators signed")]
    OtherLog,
    /// Entries of the state are not in the order of their keys, or a page does not go on behind the one before it.
    #[error("the entries of the state are out of order")]
    StateOutOfOrder,
    /// An entry's value is neither a place in the log nor a digest.
    #[error("an entry of the state is neither a place in the log nor a digest")]
    StateMalformed,
    /// The state has more entries than the log's statements could have made.
    #[error("the state has more entries than its statements could have made")]
    StateTooLarge,
    /// The entries are not those of the state.
    #[error("the entries do not lead to the state root that the validators signed")]
    OtherState,
    /// The registry is none.
    #[error("the registry of members: {0}")]
    Registry(#[from] MembershipError),
    /// The registry is not the one in force.
    #[error("the registry of members is not the one that was in force")]
    OtherRegistry,
    /// Too few validators signed the log's root.
    #[error("no quorum of the validators signed the log root as a checkpoint")]
    NotACheckpoint,
    /// The log is not the one that outsiders have seen.
    #[error("the log contradicts the checkpoint of {0} statements that this node was given")]
    OtherThanSeen(u64),
    /// The log is shorter than what outsiders have seen.
    #[error("the snapshot is older than the checkpoint of {0} statements that this node was given")]
    OlderThanSeen(u64),
    /// A statement is not the one in the log.
    #[error("statement {0} is not the one that the log has")]
    OtherStatement(u64),
    /// The snapshot is not here completely.
    #[error("pages of the snapshot are missing")]
    Incomplete,
    /// This node's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node's directory cannot be written.
    #[error("the chain's directory")]
    Directory(#[from] std::io::Error),
}

impl JoinError {
    /// Whether it is what the peer did, and another may do better.
    pub fn is_of_peer(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Directory(_))
    }
}

impl From<RowsError> for JoinError {
    fn from(error: RowsError) -> Self {
        Self::Store(error.into())
    }
}
