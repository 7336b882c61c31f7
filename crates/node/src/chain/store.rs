//! The chain on disk: headers, statements, log hashes, tags and state nodes, written one block at a time.
//!
//! | keyspace       | key                          | value                                   |
//! |----------------|------------------------------|-----------------------------------------|
//! | `blocks`       | height, 8 bytes big-endian   | `StoredBlock`                           |
//! | `certificates` | height                       | finality certificate                    |
//! | `statements`   | index in the log             | height (8 bytes), statement             |
//! | `hashes`       | index of C2SP `tlog-tiles`   | hash                                    |
//! | `tags`         | state key                    | index in the log (8), item (2); or the digest of a registry |
//! | `nodes`        | change (8), nibble path      | node of the state tree                  |
//! | `stale`        | change (8)                   | keys of the nodes that it superseded    |
//! | `registry`     | revision (8)                 | the registry of members                 |
//! | `checkpoints`  | size of the log              | `StoredCheckpoint`                      |
//! | `tip`          | `tip`                        | [`Tip`]                                 |
//! | `tip`          | `checkpoint`                 | the newest published checkpoint, a note |
//! | `tip`          | `witnessed`                  | the newest one with witnesses' lines    |
//! | `tip`          | `contradiction/MEMBER`       | what it signed against the final log    |
//! | `tip`          | `joining`                    | there while a snapshot is taken over    |
//! | `tip`          | `joined`                     | the height of the snapshot              |
//! | `tip`          | `removed`                    | [`Removed`]                             |

use std::ops::Bound;
use std::sync::Arc;

use contracts::membership::Registry;
use ledger::block::Header;
use ledger::codec;
use ledger::finality::FinalityCertificate;
use ledger::ids::{BlockTime, Digest, Height};
use ledger::log::HashReader;
use ledger::state::storage::{LeafNode, Node, NodeKey, TreeReader};
use ledger::state::{StateKey, StateRoot, TreeKey};
use minicbor::{Decode, Encode};

use super::checkpoints::StoredCheckpoint;
use super::execution::Executed;
use super::rows::{Batch, Keyspace, Row, Rows, RowsError};

/// What the state holds of a revision of the registry.
pub(super) const DIGEST_BYTES: usize = 32;

pub(super) const JOINING: &[u8] = b"joining";
pub(super) const JOINED: &[u8] = b"joined";
pub(super) const REMOVED: &[u8] = b"removed";

/// State changes for which superseded tree nodes are kept, so that proofs at recent heights can be made.
const STALE_CHANGES_KEPT: u64 = 64;

/// The last applied block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// Its height.
    #[n(0)]
    pub height: Height,
    /// Its time.
    #[n(1)]
    pub time: BlockTime,
    /// Its digest.
    #[n(2)]
    pub digest: Digest,
    /// Statements in the log.
    #[n(3)]
    pub log_size: u64,
    /// Blocks that changed the state.
    #[n(4)]
    pub changes: u64,
    /// The state's root.
    #[n(5)]
    pub state_root: StateRoot,
}

/// A block's header, and how often state and registry had changed with it.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct StoredBlock {
    #[n(0)]
    pub(super) header: Header,
    #[n(1)]
    pub(super) changes: u64,
    /// Of the registry, after the block.
    #[n(2)]
    pub(super) revision: u64,
}

/// Where a statement's item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The statement's index in the log.
    pub statement: u64,
    /// The item's index in the statement.
    pub item: u16,
}

/// Why the chain cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the chain's database failed")]
    Database(#[from] RowsError),
    /// A row does not decode, or is missing though another implies it.
    #[error("the chain's store is damaged ({0}): stop the node and run `careledger verify --self`")]
    Damaged(&'static str),
    /// The statement is in the log, and its body is not here: it is older than what this node keeps.
    #[error("the body of statement {0} is not kept here: ask a member that keeps all")]
    NotKept(u64),
    /// The same of a block.
    #[error("the body of block {} is not kept here: ask a member that keeps all", .0.0)]
    BlockNotKept(Height),
}

/// Up to where the bodies of other members' statements are not here: removed, or of before a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Removed {
    /// The last such block.
    #[n(0)]
    pub(super) height: Height,
    /// Statements in the log after it.
    #[n(1)]
    pub(super) log_size: u64,
}

/// The chain's rows, and what they mean.
#[derive(Clone)]
pub(super) struct Store(pub(super) Arc<dyn Rows>);

impl Store {
    pub(super) fn new(rows: Arc<dyn Rows>) -> Self {
        Self(rows)
    }

    pub(super) fn tip(&self) -> Result<Option<Tip>, StoreError> {
        self.0
            .get(Keyspace::Tip, b"tip")?
            .map(|row| decode("tip", &row))
            .transpose()
    }

    pub(super) fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        self.0
            .get(Keyspace::Blocks, &key(height.0))?
            .map(|row| decode("block", &row))
            .transpose()
    }

    /// The statement at `index` of the log, and the height of its block.
    pub(super) fn statement(&self, index: u64) -> Result<Option<(Height, Vec<u8>)>, StoreError> {
        let Some(row) = self.0.get(Keyspace::Statements, &key(index))? else {
            let is_kept = index >= self.removed()?.log_size;
            return is_kept.then_some(None).ok_or(StoreError::NotKept(index));
        };
        let (height, statement) = row
            .split_first_chunk()
            .ok_or(StoreError::Damaged("statement"))?;
        Ok(Some((
            Height(u64::from_be_bytes(*height)),
            statement.to_vec(),
        )))
    }

    /// Up to where bodies are not kept.
    pub(super) fn removed(&self) -> Result<Removed, StoreError> {
        let row = self.0.get(Keyspace::Tip, REMOVED)?;
        let removed = row.map(|row| decode("removed", &row)).transpose()?;
        Ok(removed.unwrap_or_default())
    }

    /// The height of the snapshot from which this chain was begun, if it was.
    pub(super) fn joined(&self) -> Result<Option<Height>, StoreError> {
        let row = self.0.get(Keyspace::Tip, JOINED)?;
        row.map(|row| decode("joined", &row)).transpose()
    }

    /// Whether a snapshot was begun to be taken over, and not all of it is here.
    pub(super) fn is_joining(&self) -> Result<bool, StoreError> {
        Ok(self.0.contains(Keyspace::Tip, JOINING)?)
    }

    /// The certificate of the block at `height`, if it has one of its own.
    pub(super) fn certificate(
        &self,
        height: Height,
    ) -> Result<Option<FinalityCertificate>, StoreError> {
        let row = self.0.get(Keyspace::Certificates, &key(height.0))?;
        row.map(|row| decode("certificate", &row)).transpose()
    }

    /// The lowest certified height at or above `height`.
    pub(super) fn certified_from(
        &self,
        height: Height,
    ) -> Result<Option<(Height, FinalityCertificate)>, StoreError> {
        let from = key(height.0);
        self.0
            .range(
                Keyspace::Certificates,
                Bound::Included(&from),
                Bound::Unbounded,
            )
            .next()
            .map(certified)
            .transpose()
    }

    /// The highest certified height up to `height`.
    pub(super) fn certified_until(
        &self,
        height: Height,
    ) -> Result<Option<(Height, FinalityCertificate)>, StoreError> {
        let until = key(height.0);
        self.0
            .range(
                Keyspace::Certificates,
                Bound::Unbounded,
                Bound::Included(&until),
            )
            .next_back()
            .map(certified)
            .transpose()
    }

    pub(super) fn is_used(&self, key: StateKey) -> Result<bool, StoreError> {
        Ok(self.0.contains(Keyspace::Tags, &key.0)?)
    }

    pub(super) fn position(&self, key: StateKey) -> Result<Option<Position>, StoreError> {
        let Some(row) = self.0.get(Keyspace::Tags, &key.0)? else {
            return Ok(None);
        };
        if row.len() == DIGEST_BYTES {
            return Ok(None);
        }
        position_of(&row)
            .map(Some)
            .ok_or(StoreError::Damaged("tag"))
    }

    /// The newest revision of the registry; `None` before the first change.
    pub(super) fn registry(&self) -> Result<Option<Registry>, StoreError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let newest = self.0.range(Keyspace::Registry, all.0, all.1).next_back();
        newest
            .map(|row| Registry::decode(&row?.1).map_err(|_| StoreError::Damaged("registry")))
            .transpose()
    }

    /// A revision of the registry and its bytes; `None` for the first, which the genesis says.
    pub(super) fn registry_at(&self, revision: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let row = self.0.get(Keyspace::Registry, &key(revision))?;
        Ok(row.map(|row| (revision, row.to_vec())))
    }

    /// Writes a final block and everything that follows from it, durably and at once.
    pub(super) fn apply(
        &self,
        block: &Executed,
        certificate: Option<&FinalityCertificate>,
        checkpoint: Option<&StoredCheckpoint>,
    ) -> Result<(), StoreError> {
        let mut batch = self.0.batch();
        let height = key(block.header.height.0);
        let stored = StoredBlock {
            header: block.header.clone(),
            changes: block.changes,
            revision: block.registry.revision(),
        };
        batch.insert(Keyspace::Blocks, &height, &codec::encode(&stored));
        if let Some(certificate) = certificate {
            batch.insert(Keyspace::Certificates, &height, &codec::encode(certificate));
        }
        for (index, statement) in (block.log_size_before..).zip(&block.statements) {
            let row = [&height, statement.bytes.as_slice()].concat();
            batch.insert(Keyspace::Statements, &key(index), &row);
        }
        for (index, hash) in block.log.added() {
            batch.insert(Keyspace::Hashes, &key(*index), &hash.0);
        }
        for (tag, position) in &block.tags {
            batch.insert(Keyspace::Tags, &tag.0, &position_row(*position));
        }
        if block.has_revised {
            let (place, digest) = block.registry.entry();
            batch.insert(Keyspace::Tags, &place.0, &digest);
            let revision = key(block.registry.revision());
            batch.insert(Keyspace::Registry, &revision, &block.registry.encode());
        }
        self.apply_state(block, &mut *batch)?;
        if let Some(checkpoint) = checkpoint {
            let size = key(block.header.log_size);
            batch.insert(Keyspace::Checkpoints, &size, &codec::encode(checkpoint));
        }
        batch.insert(Keyspace::Tip, b"tip", &codec::encode(&block.tip()));
        Ok(batch.commit(true)?)
    }

    fn apply_state(&self, block: &Executed, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let Some(update) = &block.state else {
            return Ok(());
        };
        for (node_key, node) in update.node_batch.nodes() {
            batch.insert(Keyspace::Nodes, &node_row(node_key)?, &to_row(node)?);
        }
        let superseded = update.stale_node_index_batch.iter();
        let superseded: Vec<Vec<u8>> = superseded
            .map(|stale| node_row(&stale.node_key))
            .collect::<Result<_, _>>()?;
        let change = key(block.changes);
        batch.insert(Keyspace::Stale, &change, &to_row(&superseded)?);
        let kept_from = key(block.changes.saturating_sub(STALE_CHANGES_KEPT));
        let (from, to) = (Bound::Unbounded, Bound::Excluded(kept_from.as_slice()));
        for row in self.0.range(Keyspace::Stale, from, to) {
            let (change, superseded) = row?;
            let superseded: Vec<Vec<u8>> =
                borsh::from_slice(&superseded).map_err(|_| StoreError::Damaged("stale nodes"))?;
            for node in superseded {
                batch.remove_once(Keyspace::Nodes, &node);
            }
            batch.remove_once(Keyspace::Stale, &change);
        }
        Ok(())
    }

    /// Keeps the certificate of a block that was applied before.
    pub(super) fn certify(
        &self,
        certificate: &FinalityCertificate,
        height: Height,
    ) -> Result<(), StoreError> {
        let mut batch = self.0.batch();
        let row = codec::encode(certificate);
        batch.insert(Keyspace::Certificates, &key(height.0), &row);
        Ok(batch.commit(false)?)
    }

    /// Bytes on disk.
    pub(super) fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.0.disk_bytes()?)
    }
}

impl HashReader for Store {
    fn hash(&self, index: u64) -> Option<Digest> {
        let row = self.0.get(Keyspace::Hashes, &key(index)).ok()??;
        Some(Digest((*row).try_into().ok()?))
    }
}

impl TreeReader for Store {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let row = self.0.get(Keyspace::Nodes, &node_row(node_key)?)?;
        Ok(row.map(|row| borsh::from_slice(&row)).transpose()?)
    }

    fn get_value_option(&self, _: u64, tag: TreeKey) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.0.get(Keyspace::Tags, &tag.0)?.map(|row| row.to_vec()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// What the state maps a tag to.
pub(super) fn position_row(position: Position) -> Vec<u8> {
    [
        position.statement.to_be_bytes().as_slice(),
        &position.item.to_be_bytes(),
    ]
    .concat()
}

pub(super) fn position_of(row: &[u8]) -> Option<Position> {
    let (statement, item) = row.split_first_chunk()?;
    Some(Position {
        statement: u64::from_be_bytes(*statement),
        item: u16::from_be_bytes(item.try_into().ok()?),
    })
}

fn certified(
    row: Result<(Row, Row), RowsError>,
) -> Result<(Height, FinalityCertificate), StoreError> {
    let (height, certificate) = row?;
    let height = (*height)
        .try_into()
        .map_err(|_| StoreError::Damaged("certificate"))?;
    Ok((
        Height(u64::from_be_bytes(height)),
        decode("certificate", &certificate)?,
    ))
}

pub(super) fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The nodes of one change lie together, those of later changes behind them.
pub(super) fn node_row(node_key: &NodeKey) -> Result<Vec<u8>, StoreError> {
    let path = to_row(node_key.nibble_path())?;
    Ok([key(node_key.version()).as_slice(), &path].concat())
}

pub(super) fn to_row<T: borsh::BorshSerialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    borsh::to_vec(value).map_err(|_| StoreError::Damaged("state node"))
}

pub(super) fn decode<T>(what: &'static str, row: &[u8]) -> Result<T, StoreError>
where
    T: for<'b> Decode<'b, ()>,
{
    minicbor::decode(row).map_err(|_| StoreError::Damaged(what))
}
