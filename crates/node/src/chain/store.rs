//! The chain on disk: headers, statements, log hashes, tags and state nodes, written one block at a time.
//!
//! | keyspace       | key                          | value                                   |
//! |----------------|------------------------------|-----------------------------------------|
//! | `blocks`       | height, 8 bytes big-endian   | `StoredBlock`                           |
//! | `certificates` | height                       | finality certificate                    |
//! | `statements`   | index in the log             | height (8 bytes), statement             |
//! | `hashes`       | index of C2SP `tlog-tiles`   | hash                                    |
//! | `tags`         | state key                    | index in the log (8), item (2)          |
//! | `nodes`        | change (8), nibble path      | node of the state tree                  |
//! | `stale`        | change (8)                   | keys of the nodes that it superseded    |
//! | `checkpoints`  | size of the log              | `StoredCheckpoint`                      |
//! | `tip`          | `tip`                        | [`Tip`]                                 |
//! | `tip`          | `checkpoint`                 | the newest published checkpoint, a note |
//! | `tip`          | `contradiction/MEMBER`       | what it signed against the final log    |

use std::path::Path;

use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};
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
use ledger::checkpoint::Cosignature;

/// State changes for which superseded tree nodes are kept, so that proofs at recent heights can be made.
const STALE_CHANGES_KEPT: u64 = 64;
const PUBLISHED: &str = "checkpoint";
const CONTRADICTION: &str = "contradiction/";
const CACHE_BYTES: u64 = 48 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Nodes are most of what is written.
const NODES_MEMTABLE_BYTES_MAX: u64 = 24 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

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

/// A block's header, and how often the state had changed with it.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct StoredBlock {
    #[n(0)]
    pub(super) header: Header,
    #[n(1)]
    pub(super) changes: u64,
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
    Database(#[from] fjall::Error),
    /// A row does not decode, or is missing though another implies it.
    #[error("the chain's store is damaged: {0}")]
    Damaged(&'static str),
}

/// The chain's keyspaces.
#[derive(Clone)]
pub(super) struct Store {
    database: Database,
    blocks: Keyspace,
    certificates: Keyspace,
    statements: Keyspace,
    hashes: Keyspace,
    tags: Keyspace,
    nodes: Keyspace,
    stale: Keyspace,
    checkpoints: Keyspace,
    tip: Keyspace,
}

impl Store {
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .open()?;
        // Hashes, keys and signatures do not compress.
        let plain = CompressionPolicy::all(CompressionType::None);
        let sized = |bytes| {
            KeyspaceCreateOptions::default()
                .max_memtable_size(bytes)
                .data_block_compression_policy(plain.clone())
        };
        let keyspace = |name| database.keyspace(name, || sized(MEMTABLE_BYTES_MAX));
        Ok(Self {
            blocks: keyspace("blocks")?,
            certificates: keyspace("certificates")?,
            statements: keyspace("statements")?,
            hashes: keyspace("hashes")?,
            tags: keyspace("tags")?,
            nodes: database.keyspace("nodes", || sized(NODES_MEMTABLE_BYTES_MAX))?,
            stale: keyspace("stale")?,
            checkpoints: keyspace("checkpoints")?,
            tip: keyspace("tip")?,
            database,
        })
    }

    pub(super) fn tip(&self) -> Result<Option<Tip>, StoreError> {
        self.tip
            .get("tip")?
            .map(|row| decode("tip", &row))
            .transpose()
    }

    pub(super) fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        self.blocks
            .get(key(height.0))?
            .map(|row| decode("block", &row))
            .transpose()
    }

    /// The statement at `index` of the log, and the height of its block.
    pub(super) fn statement(&self, index: u64) -> Result<Option<(Height, Vec<u8>)>, StoreError> {
        let Some(row) = self.statements.get(key(index))? else {
            return Ok(None);
        };
        let (height, statement) = row
            .split_first_chunk()
            .ok_or(StoreError::Damaged("statement"))?;
        Ok(Some((
            Height(u64::from_be_bytes(*height)),
            statement.to_vec(),
        )))
    }

    /// The lowest certified height at or above `height`.
    pub(super) fn certified_from(
        &self,
        height: Height,
    ) -> Result<Option<(Height, FinalityCertificate)>, StoreError> {
        self.certificates
            .range(key(height.0)..)
            .next()
            .map(certified)
            .transpose()
    }

    /// The highest certified height up to `height`.
    pub(super) fn certified_until(
        &self,
        height: Height,
    ) -> Result<Option<(Height, FinalityCertificate)>, StoreError> {
        self.certificates
            .range(..=key(height.0))
            .next_back()
            .map(certified)
            .transpose()
    }

    pub(super) fn is_used(&self, key: StateKey) -> Result<bool, StoreError> {
        Ok(self.tags.contains_key(key.0)?)
    }

    pub(super) fn position(&self, key: StateKey) -> Result<Option<Position>, StoreError> {
        let Some(row) = self.tags.get(key.0)? else {
            return Ok(None);
        };
        position_of(&row)
            .map(Some)
            .ok_or(StoreError::Damaged("tag"))
    }

    /// Writes a final block and everything that follows from it, durably and at once.
    pub(super) fn apply(
        &self,
        block: &Executed,
        certificate: Option<&FinalityCertificate>,
        checkpoint: Option<&StoredCheckpoint>,
    ) -> Result<(), StoreError> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        let height = key(block.header.height.0);
        let stored = StoredBlock {
            header: block.header.clone(),
            changes: block.changes,
        };
        batch.insert(&self.blocks, height, codec::encode(&stored));
        if let Some(certificate) = certificate {
            batch.insert(&self.certificates, height, codec::encode(certificate));
        }
        for (index, statement) in (block.log_size_before..).zip(&block.statements) {
            batch.insert(
                &self.statements,
                key(index),
                [&height, statement.as_slice()].concat(),
            );
        }
        for (index, hash) in block.log.added() {
            batch.insert(&self.hashes, key(*index), hash.0);
        }
        for (tag, position) in &block.tags {
            batch.insert(&self.tags, tag.0, position_row(*position));
        }
        self.apply_state(block, &mut batch)?;
        if let Some(checkpoint) = checkpoint {
            let size = key(block.header.log_size);
            batch.insert(&self.checkpoints, size, codec::encode(checkpoint));
        }
        batch.insert(&self.tip, "tip", codec::encode(&block.tip()));
        batch.commit()?;
        Ok(())
    }

    fn apply_state(&self, block: &Executed, batch: &mut OwnedWriteBatch) -> Result<(), StoreError> {
        let Some(update) = &block.state else {
            return Ok(());
        };
        for (node_key, node) in update.node_batch.nodes() {
            batch.insert(&self.nodes, node_row(node_key)?, to_row(node)?);
        }
        let superseded = update.stale_node_index_batch.iter();
        let superseded: Vec<Vec<u8>> = superseded
            .map(|stale| node_row(&stale.node_key))
            .collect::<Result<_, _>>()?;
        batch.insert(&self.stale, key(block.changes), to_row(&superseded)?);
        let kept_from = key(block.changes.saturating_sub(STALE_CHANGES_KEPT));
        for row in self.stale.range(..kept_from) {
            let (change, superseded) = row.into_inner()?;
            let superseded: Vec<Vec<u8>> =
                borsh::from_slice(&superseded).map_err(|_| StoreError::Damaged("stale nodes"))?;
            // Each node was written once: its tombstone may go with it.
            for node in superseded {
                batch.remove_weak(&self.nodes, node);
            }
            batch.remove_weak(&self.stale, change);
        }
        Ok(())
    }

    /// Keeps the certificate of a block that was applied before.
    pub(super) fn certify(
        &self,
        certificate: &FinalityCertificate,
        height: Height,
    ) -> Result<(), StoreError> {
        self.certificates
            .insert(key(height.0), codec::encode(certificate))?;
        Ok(())
    }

    /// The newest checkpoint, by its size.
    pub(super) fn last_checkpoint(&self) -> Result<Option<(u64, StoredCheckpoint)>, StoreError> {
        let last = self.checkpoints.iter().next_back();
        last.map(checkpoint_row).transpose()
    }

    /// Checkpoints of at least `size`, from the smallest.
    pub(super) fn checkpoints_from(
        &self,
        size: u64,
    ) -> impl Iterator<Item = Result<(u64, StoredCheckpoint), StoreError>> {
        self.checkpoints.range(key(size)..).map(checkpoint_row)
    }

    /// The checkpoint of `size`.
    pub(super) fn checkpoint(&self, size: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
        let row = self.checkpoints.get(key(size))?;
        row.map(|row| decode("checkpoint", &row)).transpose()
    }

    /// Keeps a quorum's signatures, and the note that publishes them.
    pub(super) fn cosigned(
        &self,
        size: u64,
        row: &StoredCheckpoint,
        note: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        batch.insert(&self.checkpoints, key(size), codec::encode(row));
        if let Some(note) = note {
            batch.insert(&self.tip, PUBLISHED, note);
        }
        Ok(batch.commit()?)
    }

    /// The newest published checkpoint.
    pub(super) fn published_checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tip.get(PUBLISHED)?.map(|note| note.to_vec()))
    }

    /// Keeps what convicts a validator.
    pub(super) fn keep_contradiction(&self, signed: &Cosignature) -> Result<(), StoreError> {
        let name = format!("{CONTRADICTION}{}", signed.receipt.member);
        Ok(self.tip.insert(name, codec::encode(signed))?)
    }

    /// What convicts validators.
    pub(super) fn contradictions(&self) -> Result<Vec<Cosignature>, StoreError> {
        let rows = self.tip.prefix(CONTRADICTION);
        rows.map(|row| decode("contradiction", &row.into_inner()?.1))
            .collect()
    }

    /// Bytes on disk.
    pub(super) fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.database.disk_space()?)
    }
}

impl HashReader for Store {
    fn hash(&self, index: u64) -> Option<Digest> {
        let row = self.hashes.get(key(index)).ok()??;
        Some(Digest(row.as_ref().try_into().ok()?))
    }
}

impl TreeReader for Store {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let row = self.nodes.get(node_row(node_key)?)?;
        Ok(row.map(|row| borsh::from_slice(&row)).transpose()?)
    }

    fn get_value_option(&self, _: u64, tag: TreeKey) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.tags.get(tag.0)?.map(|row| row.to_vec()))
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

fn position_of(row: &[u8]) -> Option<Position> {
    let (statement, item) = row.split_first_chunk()?;
    Some(Position {
        statement: u64::from_be_bytes(*statement),
        item: u16::from_be_bytes(item.try_into().ok()?),
    })
}

fn certified(row: fjall::Guard) -> Result<(Height, FinalityCertificate), StoreError> {
    let (height, certificate) = row.into_inner()?;
    let height = height
        .as_ref()
        .try_into()
        .map_err(|_| StoreError::Damaged("certificate"))?;
    Ok((
        Height(u64::from_be_bytes(height)),
        decode("certificate", &certificate)?,
    ))
}

fn checkpoint_row(row: fjall::Guard) -> Result<(u64, StoredCheckpoint), StoreError> {
    let (size, row) = row.into_inner()?;
    let damaged = |_| StoreError::Damaged("checkpoint");
    let size = size.as_ref().try_into().map_err(damaged)?;
    Ok((u64::from_be_bytes(size), decode("checkpoint", &row)?))
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The nodes of one change lie together, those of later changes behind them.
fn node_row(node_key: &NodeKey) -> Result<Vec<u8>, StoreError> {
    let path = to_row(node_key.nibble_path())?;
    Ok([key(node_key.version()).as_slice(), &path].concat())
}

fn to_row<T: borsh::BorshSerialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    borsh::to_vec(value).map_err(|_| StoreError::Damaged("state node"))
}

fn decode<T>(what: &'static str, row: &[u8]) -> Result<T, StoreError>
where
    T: for<'b> Decode<'b, ()>,
{
    minicbor::decode(row).map_err(|_| StoreError::Damaged(what))
}
