//! The record store: one database, one writer, one sync for all writes that arrive together.
//!
//! The writer's thread runs each transaction's work against what is stored and what the batch holds so far, puts the
//! changes of those that succeed into one batch, syncs it, and only then answers. Readers see synced rows alone.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable as _,
    Slice, Snapshot,
};
use ledger::item::Item;
use tokio::sync::{mpsc, oneshot, watch};

use super::CustodyError;
use super::access::Accesses;

/// Transactions that wait for the writer at most; more callers wait to be let in.
const QUEUE_MAX: usize = 1_024;
/// Transactions that share a sync at most.
const BATCH_MAX: usize = 512;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The tables of the database; `docs/formats/custody-store.md` has their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Subjects,
    Patients,
    Heads,
    Versions,
    EraseKeys,
    Terms,
    Entries,
    Accesses,
    Adopted,
    Positions,
    Outbox,
    Statements,
    Changes,
    Subscriptions,
    Bulk,
    Authorization,
    Postings,
    Indexing,
    Upstream,
}

impl Table {
    const ALL: &'static [Self] = &[
        Self::Subjects,
        Self::Patients,
        Self::Heads,
        Self::Versions,
        Self::EraseKeys,
        Self::Terms,
        Self::Entries,
        Self::Accesses,
        Self::Adopted,
        Self::Positions,
        Self::Outbox,
        Self::Statements,
        Self::Changes,
        Self::Subscriptions,
        Self::Bulk,
        Self::Authorization,
        Self::Postings,
        Self::Indexing,
        Self::Upstream,
    ];

    /// The table's name on disk, which is also bound into its sealed rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Patients => "patients",
            Self::Heads => "heads",
            Self::Versions => "versions",
            Self::EraseKeys => "erase_keys",
            Self::Terms => "terms",
            Self::Entries => "entries",
            Self::Accesses => "accesses",
            Self::Adopted => "adopted",
            Self::Positions => "positions",
            Self::Outbox => "outbox",
            Self::Statements => "statements",
            Self::Changes => "changes",
            Self::Subscriptions => "subscriptions",
            Self::Bulk => "bulk",
            Self::Authorization => "authorization",
            Self::Postings => "postings",
            Self::Indexing => "indexing",
            Self::Upstream => "upstream",
        }
    }
}

/// What makes a batch durable.
pub(crate) trait Persist: Send + 'static {
    /// Writes the batch and syncs it.
    fn persist(&mut self, batch: OwnedWriteBatch) -> Result<(), fjall::Error>;
}

/// Writes to disk.
#[derive(Debug)]
pub(crate) struct Disk;

impl Persist for Disk {
    fn persist(&mut self, batch: OwnedWriteBatch) -> Result<(), fjall::Error> {
        batch.commit()
    }
}

/// The open database.
pub(crate) struct Store {
    tables: Arc<Tables>,
    jobs: mpsc::Sender<Job>,
    newest_change: watch::Sender<u64>,
}

struct Tables {
    database: Database,
    keyspaces: BTreeMap<Table, Keyspace>,
}

type Answer = Box<dyn FnOnce(Result<(), CustodyError>) + Send>;
/// Does the work; says whether its changes count, and whom to answer after the sync.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> (bool, Answer) + Send>;
type Changes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

impl Store {
    pub(crate) fn open(directory: &Path, persist: impl Persist) -> Result<Self, CustodyError> {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .open()
            .map_err(storage)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let mut keyspaces = BTreeMap::new();
        for &table in Table::ALL {
            let keyspace = database.keyspace(table.name(), options).map_err(storage)?;
            keyspaces.insert(table, keyspace);
        }
        let tables = Arc::new(Tables {
            database,
            keyspaces,
        });
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let newest_change = watch::Sender::new(tables.last_key(Table::Changes)?);
        let writer = Writer {
            next_item: tables.last_key(Table::Outbox)?.saturating_add(1),
            newest_change: newest_change.clone(),
            tables: Arc::clone(&tables),
            persist,
        };
        std::thread::Builder::new()
            .name("custody-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| CustodyError::Storage(error.to_string()))?;
        Ok(Self {
            tables,
            jobs,
            newest_change,
        })
    }

    /// The number of the newest change that is durable.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.newest_change.subscribe()
    }

    /// Writes rows of the feed beside the writer: before it has anything to do.
    pub(crate) fn fill_changes(
        &self,
        rows: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), CustodyError> {
        let rows = rows.into_iter();
        let changes = rows.map(|(key, row)| ((Table::Changes, key), row));
        let batch = self.tables.batch(changes.collect());
        batch.commit().map_err(storage)?;
        let newest = self.tables.last_key(Table::Changes)?;
        self.newest_change.send_replace(newest);
        Ok(())
    }

    /// Runs `work` on the writer's thread; what it changed is durable when this returns its result.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, CustodyError> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = work(transaction);
            let counts = result.is_ok();
            let answer: Answer = Box::new(move |durable| {
                // A caller that went away needs no answer.
                drop(answer.send(durable.and(result)));
            });
            (counts, answer)
        });
        let stopped = CustodyError::Unavailable {
            what: "the record store",
        };
        if self.jobs.send(job).await.is_err() {
            return Err(stopped);
        }
        answered.await.unwrap_or(Err(stopped))
    }

    /// Waits until the writer has ended: after that nothing is written any more.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let jobs = self.jobs.clone();
        async move { jobs.closed().await }
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        self.tables.get(table, key)
    }

    /// Rows of `table` whose keys start with `prefix`, in key order.
    pub(crate) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CustodyError>> + use<> {
        self.tables
            .keyspace(table)
            .map(|keyspace| self.tables.database.snapshot().prefix(keyspace, prefix))
            .into_iter()
            .flatten()
            .map(pair)
    }

    /// The rows as they are now, whatever is written meanwhile.
    pub(crate) fn view(&self) -> View {
        View {
            snapshot: self.tables.database.snapshot(),
            tables: Arc::clone(&self.tables),
        }
    }

    /// Writes a row and syncs it, before the store is in use.
    pub(crate) fn put_first(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), CustodyError> {
        let tables = &self.tables;
        let mut batch = tables.database.batch();
        if let Some(keyspace) = tables.keyspace(table) {
            batch.insert(keyspace, key, value);
        }
        let batch = batch.durability(Some(PersistMode::SyncData));
        batch.commit().map_err(storage)
    }

    /// How many rows a table has, about.
    pub(crate) fn about(&self, table: Table) -> u64 {
        let rows = self.tables.keyspace(table).map(Keyspace::approximate_len);
        u64::try_from(rows.unwrap_or_default()).unwrap_or(u64::MAX)
    }

    /// Rows of `table` from key `first` on, in key order.
    pub(crate) fn scan_from(
        &self,
        table: Table,
        first: u64,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CustodyError>> + use<> {
        self.tables
            .keyspace(table)
            .map(|keyspace| {
                let snapshot = self.tables.database.snapshot();
                snapshot.range(keyspace, first.to_be_bytes()..)
            })
            .into_iter()
            .flatten()
            .map(pair)
    }

    /// Rewrites `table`, so that no removed row is left in it. The write-ahead journal holds what was written until it
    /// turns over, at 64 MB.
    pub(crate) fn purge(&self, table: Table) -> Result<(), CustodyError> {
        for keyspace in self.tables.keyspaces.values() {
            keyspace.rotate_memtable_and_wait().map_err(storage)?;
        }
        self.tables
            .keyspace(table)
            .map_or(Ok(()), |keyspace| keyspace.major_compact().map_err(storage))
    }
}

/// Rows of all tables at one moment.
pub(crate) struct View {
    tables: Arc<Tables>,
    snapshot: Snapshot,
}

impl View {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, CustodyError> {
        let keyspace = self.tables.keyspace(table);
        let row = keyspace.map(|keyspace| self.snapshot.get(keyspace, key));
        row.transpose().map(Option::flatten).map_err(storage)
    }

    /// Rows whose keys start with `prefix`, in key order.
    pub(crate) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Slice, Slice), CustodyError>> + use<> {
        let rows = self.rows(table, prefix);
        rows.map(|row| row.into_inner().map_err(storage))
    }

    /// The keys of these rows.
    pub(crate) fn keys(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Slice, CustodyError>> + use<> {
        self.rows(table, prefix)
            .map(|row| row.key().map_err(storage))
    }

    /// Rows from key `first` on, in key order.
    pub(crate) fn scan_from(
        &self,
        table: Table,
        first: &[u8],
    ) -> impl Iterator<Item = Result<(Slice, Slice), CustodyError>> + use<> {
        let keyspace = self.tables.keyspace(table);
        let rows = keyspace.map(|keyspace| self.snapshot.range(keyspace, first..));
        rows.into_iter()
            .flatten()
            .map(|row| row.into_inner().map_err(storage))
    }

    fn rows(&self, table: Table, prefix: &[u8]) -> impl Iterator<Item = Guard> + use<> {
        let keyspace = self.tables.keyspace(table);
        let rows = keyspace.map(|keyspace| self.snapshot.prefix(keyspace, prefix));
        rows.into_iter().flatten()
    }
}

impl Tables {
    fn keyspace(&self, table: Table) -> Option<&Keyspace> {
        self.keyspaces.get(&table)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        let Some(keyspace) = self.keyspace(table) else {
            return Ok(None);
        };
        // Outside a snapshot, rows of a batch that is being committed appear one by one.
        let row = self
            .database
            .snapshot()
            .get(keyspace, key)
            .map_err(storage)?;
        Ok(row.map(|row| row.to_vec()))
    }

    fn batch(&self, changes: Changes) -> OwnedWriteBatch {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for ((table, key), value) in changes {
            let Some(keyspace) = self.keyspace(table) else {
                continue;
            };
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        }
        batch
    }

    fn last_key(&self, table: Table) -> Result<u64, CustodyError> {
        let last = self.keyspace(table).and_then(Keyspace::last_key_value);
        let Some(last) = last else { return Ok(0) };
        let key = last.key().map_err(storage)?;
        sequence(&key)
    }
}

/// Reads the number that a key of the outbox or of the feed is.
pub(crate) fn sequence(key: &[u8]) -> Result<u64, CustodyError> {
    key.try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| CustodyError::Storage("a numbered row has another key".to_owned()))
}

fn pair(guard: Guard) -> Result<(Vec<u8>, Vec<u8>), CustodyError> {
    let (key, value) = guard.into_inner().map_err(storage)?;
    Ok((key.to_vec(), value.to_vec()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
fn storage(error: fjall::Error) -> CustodyError {
    failed(&error)
}

fn failed(error: &fjall::Error) -> CustodyError {
    match error {
        fjall::Error::Io(io) if io.kind() == ErrorKind::StorageFull => CustodyError::DiskFull,
        other => CustodyError::Storage(other.to_string()),
    }
}

struct Writer<P> {
    tables: Arc<Tables>,
    persist: P,
    next_item: u64,
    newest_change: watch::Sender<u64>,
}

impl<P: Persist> Writer<P> {
    /// Writes batch after batch until every handle is gone or a sync fails: after that nobody knows what is on disk.
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while queue.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            if let Err(error) = self.write(&mut waiting) {
                tracing::error!(%error, "the record store does not write any more");
                return;
            }
        }
    }

    fn write(&mut self, waiting: &mut Vec<Job>) -> Result<(), fjall::Error> {
        let mut changes = Changes::new();
        let mut answers = Vec::new();
        let mut accesses = Accesses::default();
        let mut next = Next {
            item: self.next_item,
            change: self.newest_change.borrow().saturating_add(1),
        };
        for job in waiting.drain(..) {
            let mut transaction = Transaction::after(&self.tables, &changes, next);
            let (counts, answer) = job(&mut transaction);
            if counts {
                next = transaction.next;
                accesses.append(transaction.accesses);
                let mut fresh = transaction.changes;
                changes.append(&mut fresh);
                answers.push(answer);
            } else {
                answer(Ok(()));
            }
        }
        let mut last = Transaction::after(&self.tables, &changes, next);
        if let Err(error) = accesses.write(&mut last) {
            // Nothing of the batch is written: none of it happened.
            for answer in answers {
                answer(Err(CustodyError::Storage(error.to_string())));
            }
            return Ok(());
        }
        next = last.next;
        let mut fresh = last.changes;
        changes.append(&mut fresh);
        self.next_item = next.item;
        let newest_change = next.change.saturating_sub(1);
        let outcome = self.persist.persist(self.tables.batch(changes));
        if outcome.is_ok() && newest_change > *self.newest_change.borrow() {
            self.newest_change.send_replace(newest_change);
        }
        for answer in answers {
            answer(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(failed(error)),
            });
        }
        outcome
    }
}

/// Work on the writer's thread: it sees its own changes and those before it in the batch.
pub(crate) struct Transaction<'a> {
    tables: &'a Tables,
    before: &'a Changes,
    changes: Changes,
    accesses: Accesses,
    next: Next,
}

/// The next numbers of the outbox and of the feed.
#[derive(Debug, Clone, Copy)]
struct Next {
    item: u64,
    change: u64,
}

impl<'a> Transaction<'a> {
    fn after(tables: &'a Tables, before: &'a Changes, next: Next) -> Self {
        Self {
            tables,
            before,
            changes: Changes::new(),
            accesses: Accesses::default(),
            next,
        }
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        let place = (table, key.to_vec());
        match self.changes.get(&place).or_else(|| self.before.get(&place)) {
            Some(changed) => Ok(changed.clone()),
            None => self.tables.get(table, key),
        }
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.changes.insert((table, key.to_vec()), Some(value));
    }

    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) {
        self.changes.insert((table, key.to_vec()), None);
    }

    /// The accesses that the end of the batch is to record.
    pub(crate) fn accesses(&mut self) -> &mut Accesses {
        &mut self.accesses
    }

    /// The number of the change that this transaction makes.
    pub(crate) fn next_change(&mut self) -> u64 {
        let number = self.next.change;
        self.next.change = number.saturating_add(1);
        number
    }

    /// Puts an item on its way to the ledger.
    pub(crate) fn enqueue(&mut self, item: &Item) {
        let key = self.next.item.to_be_bytes();
        self.put(Table::Outbox, &key, item.to_bytes().to_vec());
        self.next.item = self.next.item.saturating_add(1);
    }
}
