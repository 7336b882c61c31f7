//! The chain's rows in an embedded database, one of its keyspaces for each of ours.

use std::ops::Bound;
use std::path::Path;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::rows::{Batch, Keyspace, Range, Row, Rows, RowsError};

const CACHE_BYTES: u64 = 48 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Nodes are most of what is written.
const NODES_MEMTABLE_BYTES_MAX: u64 = 24 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

pub(super) struct Disk {
    database: Database,
    blocks: fjall::Keyspace,
    certificates: fjall::Keyspace,
    checkpoints: fjall::Keyspace,
    hashes: fjall::Keyspace,
    nodes: fjall::Keyspace,
    registry: fjall::Keyspace,
    stale: fjall::Keyspace,
    statements: fjall::Keyspace,
    tags: fjall::Keyspace,
    tip: fjall::Keyspace,
}

struct DiskBatch<'a> {
    disk: &'a Disk,
    changes: OwnedWriteBatch,
}

impl Disk {
    pub(super) fn open(directory: &Path) -> Result<Self, RowsError> {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .journal_compression(CompressionType::None)
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
            checkpoints: keyspace("checkpoints")?,
            statements: keyspace("statements")?,
            hashes: keyspace("hashes")?,
            tags: keyspace("tags")?,
            nodes: database.keyspace("nodes", || sized(NODES_MEMTABLE_BYTES_MAX))?,
            registry: keyspace("registry")?,
            stale: keyspace("stale")?,
            tip: keyspace("tip")?,
            database,
        })
    }

    fn keyspace(&self, keyspace: Keyspace) -> &fjall::Keyspace {
        match keyspace {
            Keyspace::Blocks => &self.blocks,
            Keyspace::Certificates => &self.certificates,
            Keyspace::Checkpoints => &self.checkpoints,
            Keyspace::Hashes => &self.hashes,
            Keyspace::Nodes => &self.nodes,
            Keyspace::Registry => &self.registry,
            Keyspace::Stale => &self.stale,
            Keyspace::Statements => &self.statements,
            Keyspace::Tags => &self.tags,
            Keyspace::Tip => &self.tip,
        }
    }
}

impl Rows for Disk {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(self.keyspace(keyspace).get(key)?.map(Row::from))
    }

    fn contains(&self, keyspace: Keyspace, key: &[u8]) -> Result<bool, RowsError> {
        Ok(self.keyspace(keyspace).contains_key(key)?)
    }

    fn range(&self, keyspace: Keyspace, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_> {
        let rows = self.keyspace(keyspace).range::<&[u8], _>((from, to));
        Box::new(rows.map(|row| {
            let (key, row) = row.into_inner()?;
            Ok((key.into(), row.into()))
        }))
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(DiskBatch {
            disk: self,
            changes: self.database.batch(),
        })
    }

    fn disk_bytes(&self) -> Result<u64, RowsError> {
        Ok(self.database.disk_space()?)
    }
}

impl Batch for DiskBatch<'_> {
    fn insert(&mut self, keyspace: Keyspace, key: &[u8], row: &[u8]) {
        self.changes.insert(self.disk.keyspace(keyspace), key, row);
    }

    fn remove_once(&mut self, keyspace: Keyspace, key: &[u8]) {
        // The tombstone may go together with the row.
        self.changes.remove_weak(self.disk.keyspace(keyspace), key);
    }

    fn commit(self: Box<Self>, durable: bool) -> Result<(), RowsError> {
        let durability = durable.then_some(PersistMode::SyncData);
        Ok(self.changes.durability(durability).commit()?)
    }
}
