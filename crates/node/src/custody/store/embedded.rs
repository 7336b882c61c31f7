//! Rows in a folder of the node: a database that is linked into it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fjall::{
    Database, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _, Slice, Snapshot,
};
use rand::RngCore as _;

use super::view::Span;
use super::{Changes, Failure, Table};

const CACHE_BYTES: u64 = 32 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Between looks whether a table was flushed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LOOKS_BEFORE_WAKING: u32 = 50;
const LOOKS_MAX: u32 = 3_000;
/// What fills a journal up: more than half of the 64 MB at which it is begun anew, twice.
const FILLER_BYTES: usize = 33_000_000;
const FILLER: &str = "filler";
const FILLED: [&[u8]; 2] = [b"1", b"2"];
const ROUNDS_MAX: usize = 8;

/// The open database.
pub(super) struct Embedded {
    database: Database,
    keyspaces: BTreeMap<Table, Keyspace>,
    purging: Mutex<()>,
}

/// Its rows at one moment.
pub(crate) struct Moment {
    tables: Arc<Embedded>,
    snapshot: Snapshot,
}

impl Embedded {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let database = Database::builder(folder).cache_size(CACHE_BYTES).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let mut keyspaces = BTreeMap::new();
        for &table in Table::ALL {
            let keyspace = database.keyspace(table.name(), options)?;
            keyspaces.insert(table, keyspace);
        }
        Ok(Self {
            database,
            keyspaces,
            purging: Mutex::default(),
        })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, Failure> {
        let Some(keyspace) = self.keyspaces.get(&table) else {
            return Ok(None);
        };
        // Outside a snapshot, rows of a batch that is being committed appear one by one.
        Ok(self.database.snapshot().get(keyspace, key)?)
    }

    pub(super) fn snapshot(self: &Arc<Self>) -> Moment {
        Moment {
            snapshot: self.database.snapshot(),
            tables: Arc::clone(self),
        }
    }

    pub(super) fn commit(&self, changes: Changes) -> Result<(), Failure> {
        let batch = self.database.batch();
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for ((table, key), value) in changes {
            let Some(keyspace) = self.keyspaces.get(&table) else {
                continue;
            };
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        }
        Ok(batch.commit()?)
    }

    pub(super) fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, Failure> {
        let last = self.keyspaces.get(&table);
        let last = last.and_then(Keyspace::last_key_value);
        Ok(last
            .map(|row| row.key())
            .transpose()?
            .map(|key| key.to_vec()))
    }

    /// How many rows a table has, about.
    pub(super) fn about(&self, table: Table) -> u64 {
        let rows = self.keyspaces.get(&table).map(Keyspace::approximate_len);
        u64::try_from(rows.unwrap_or_default()).unwrap_or(u64::MAX)
    }

    /// Rewrites a table, and has the write-ahead journal turn over, so that no file holds what was removed.
    pub(super) fn purge(&self, table: Table) -> Result<(), Failure> {
        let _alone = self.purging.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_journal_over()?;
        let keyspace = self.keyspaces.get(&table);
        Ok(keyspace.map_or(Ok(()), Keyspace::major_compact)?)
    }

    /// A journal is begun anew when it is full, and the full one goes once all tables have what it holds: so it is
    /// filled, and all tables are flushed.
    fn turn_journal_over(&self) -> Result<(), Failure> {
        let filler = self
            .database
            .keyspace(FILLER, KeyspaceCreateOptions::default)?;
        let mut noise = vec![0; FILLER_BYTES];
        let kinds = [PersistMode::Buffer, PersistMode::SyncData];
        rand::rng().fill_bytes(&mut noise);
        for (key, kind) in FILLED.iter().zip(kinds) {
            let mut batch = self.database.batch().durability(Some(kind));
            batch.insert(&filler, *key, noise.as_slice());
            batch.commit()?;
        }
        let mut batch = self.database.batch();
        FILLED.iter().for_each(|key| batch.remove(&filler, *key));
        batch.commit()?;
        // The first round begins the new journal, the next one finds the full one needless.
        for _ in 0..ROUNDS_MAX {
            for keyspace in std::iter::once(&filler).chain(self.keyspaces.values()) {
                flush(keyspace, &self.database, &filler)?;
            }
            if self.database.journal_count() == 1 {
                break;
            }
            let mut batch = self.database.batch();
            batch.remove(&filler, FILLED[0]);
            batch.commit()?;
        }
        filler.major_compact()?;
        Ok(())
    }
}

/// Has a table's rows leave memory. The flusher may sleep through a table that was sealed while it was at work: flushing
/// another wakes it.
fn flush(keyspace: &Keyspace, database: &Database, filler: &Keyspace) -> Result<(), Failure> {
    keyspace.rotate_memtable()?;
    for look in 1..=LOOKS_MAX {
        if keyspace.sealed_memtable_count() == 0 {
            return Ok(());
        }
        if look % LOOKS_BEFORE_WAKING == 0 {
            let mut batch = database.batch();
            batch.remove(filler, FILLED[0]);
            batch.commit()?;
            filler.rotate_memtable()?;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Err(Failure::Refused(
        "the store does not flush its tables".to_owned(),
    ))
}

impl Moment {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, Failure> {
        let keyspace = self.tables.keyspaces.get(&table);
        let row = keyspace.map(|keyspace| self.snapshot.get(keyspace, key));
        Ok(row.transpose()?.flatten())
    }

    pub(super) fn rows(&self, table: Table, span: &Span) -> Option<Iter> {
        let keyspace = self.tables.keyspaces.get(&table)?;
        Some(match span {
            Span::Prefix(prefix) => self.snapshot.prefix(keyspace, prefix),
            Span::From(first) => self.snapshot.range(keyspace, first.as_slice()..),
        })
    }
}
