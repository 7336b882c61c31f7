//! The port under the chain's store: rows in keyspaces, written in atomic batches.
//!
//! A node keeps them in an embedded database ([`disk`](super::disk)); a simulation keeps them in memory, where it can
//! lose, tear and refuse what a disk would.

use std::ops::{Bound, Deref};
use std::sync::Arc;

/// The kinds of rows; what is in them: the table at the top of `store.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Headers by height.
    Blocks,
    /// Finality certificates by height.
    Certificates,
    /// Checkpoints by size of the log.
    Checkpoints,
    /// Log hashes by index.
    Hashes,
    /// Nodes of the state tree.
    Nodes,
    /// Keys of the nodes that a change superseded.
    Stale,
    /// Statements by index in the log.
    Statements,
    /// Where each tag was used.
    Tags,
    /// The last applied block.
    Tip,
}

/// Bytes of a row or of its key; cheap to pass on.
#[derive(Clone)]
pub struct Row(Bytes);

#[derive(Clone)]
enum Bytes {
    Stored(fjall::Slice),
    Shared(Arc<[u8]>),
}

/// Why rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RowsError(Box<dyn std::error::Error + Send + Sync>);

/// Rows of a range in the order of their keys, from either end.
pub type Range<'a> = Box<dyn DoubleEndedIterator<Item = Result<(Row, Row), RowsError>> + 'a>;

/// Where the chain keeps its rows.
pub trait Rows: Send + Sync {
    /// The row under `key`.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Row>, RowsError>;

    /// Whether there is a row under `key`.
    fn contains(&self, keyspace: Keyspace, key: &[u8]) -> Result<bool, RowsError>;

    /// The keys and rows between two keys.
    fn range(&self, keyspace: Keyspace, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_>;

    /// An empty batch.
    fn batch(&self) -> Box<dyn Batch + '_>;

    /// Bytes that the rows take.
    fn disk_bytes(&self) -> Result<u64, RowsError>;
}

/// Changes that are written together or not at all.
pub trait Batch {
    /// Puts a row in place of whatever is under `key`.
    fn insert(&mut self, keyspace: Keyspace, key: &[u8], row: &[u8]);

    /// Removes a row that was put once and never replaced.
    fn remove_once(&mut self, keyspace: Keyspace, key: &[u8]);

    /// Writes the batch: if `durable`, it is there after a loss of power once this returns.
    fn commit(self: Box<Self>, durable: bool) -> Result<(), RowsError>;
}

impl RowsError {
    /// Wraps what a database says.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl From<fjall::Error> for RowsError {
    fn from(error: fjall::Error) -> Self {
        Self::new(error)
    }
}

impl Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Stored(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Row").field(&self.len()).finish()
    }
}

impl From<fjall::Slice> for Row {
    fn from(bytes: fjall::Slice) -> Self {
        Self(Bytes::Stored(bytes))
    }
}

impl From<Arc<[u8]>> for Row {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Bytes::Shared(bytes))
    }
}
