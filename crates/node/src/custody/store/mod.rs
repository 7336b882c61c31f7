//! The record store: one database, one writer, one sync for all writes that arrive together.
//!
//! The writer's thread runs each transaction's work against what is stored and what the batch holds so far, puts the
//! changes of those that succeed into one batch, syncs it, and only then answers. Readers see synced rows alone.
//!
//! The rows lie in a folder of the node ([`embedded`]) or in a database of a PostgreSQL server ([`postgresql`]).

mod config;
mod embedded;
mod failure;
mod key_table;
pub(crate) mod postgresql;
mod table;
mod transfer;
mod view;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

pub use config::RecordsConfig;
pub(crate) use failure::Failure;
pub use key_table::{put_keys, take_keys};
pub(crate) use table::Table;
pub use transfer::{MoveError, move_records};
pub(crate) use view::{Stored, View};
pub(crate) use writer::Transaction;

use self::embedded::Embedded;
use self::postgresql::Postgresql;
use self::view::Span;
use self::writer::Writer;
use super::CustodyError;

/// Transactions that wait for the writer at most; more callers wait to be let in.
const QUEUE_MAX: usize = 1_024;
/// Transactions that share a sync at most.
const BATCH_MAX: usize = 512;

/// What makes a batch durable.
pub(crate) trait Persist: Send + 'static {
    /// Writes the batch and syncs it.
    fn persist(&mut self, batch: Batch<'_>) -> Result<(), Failure>;
}

/// Writes to where the rows are.
#[derive(Debug, Clone)]
pub(crate) struct Disk;

impl Persist for Disk {
    fn persist(&mut self, batch: Batch<'_>) -> Result<(), Failure> {
        batch.commit()
    }
}

/// Changes that are written together or not at all.
pub(crate) struct Batch<'a> {
    backend: &'a Backend,
    changes: Changes,
}

impl Batch<'_> {
    /// Writes them; they are durable when this returns.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        self.backend.commit(self.changes)
    }
}

/// The open database.
pub(crate) struct Store {
    backend: Backend,
    jobs: mpsc::Sender<Job>,
    newest_change: watch::Sender<u64>,
}

/// Where the rows are.
#[derive(Clone)]
enum Backend {
    Embedded(Arc<Embedded>),
    Postgresql(Arc<Postgresql>),
}

type Answer = Box<dyn FnOnce(Result<(), CustodyError>) + Send>;
/// Does the work; says whether its changes count, and whom to answer after the sync.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> (bool, Answer) + Send>;
type Changes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

impl Store {
    pub(crate) fn open(
        config: &RecordsConfig,
        persist: impl Persist,
    ) -> Result<Self, CustodyError> {
        let backend = Backend::open(config)?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let newest_change = watch::Sender::new(backend.last_number(Table::Changes)?);
        let writer = Writer {
            next_item: backend.last_number(Table::Outbox)?.saturating_add(1),
            newest_change: newest_change.clone(),
            backend: backend.clone(),
            persist,
        };
        std::thread::Builder::new()
            .name("custody-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| CustodyError::Storage(error.to_string()))?;
        Ok(Self {
            backend,
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
        self.backend.commit(changes.collect())?;
        let newest = self.backend.last_number(Table::Changes)?;
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
        self.backend.get(table, key)
    }

    /// The rows under `keys`, in their order.
    pub(crate) fn get_all(
        &self,
        table: Table,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Stored>>, CustodyError> {
        Ok(match &self.backend {
            Backend::Embedded(tables) => view::each(keys, |key| tables.get(table, key))?,
            Backend::Postgresql(tables) => view::fetched(tables.get_all(table, keys)?),
        })
    }

    /// Rows of `table` whose keys start with `prefix`, in key order, as they are at one moment.
    pub(crate) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CustodyError>> + use<> {
        copied(self.backend.rows(table, Span::Prefix(prefix.to_vec())))
    }

    /// Rows of `table` from key `first` on, in key order, as they are at one moment.
    pub(crate) fn scan_from(
        &self,
        table: Table,
        first: u64,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CustodyError>> + use<> {
        copied(
            self.backend
                .rows(table, Span::From(first.to_be_bytes().to_vec())),
        )
    }

    /// The rows as they are now, whatever is written meanwhile.
    pub(crate) fn view(&self) -> Result<View, CustodyError> {
        Ok(View::of(&self.backend)?)
    }

    /// Writes a row and syncs it, before the store is in use.
    pub(crate) fn put_first(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), CustodyError> {
        let row = ((table, key.to_vec()), Some(value.to_vec()));
        Ok(self.backend.commit(Changes::from([row]))?)
    }

    /// How many rows a table has, about.
    pub(crate) fn about(&self, table: Table) -> u64 {
        self.backend.about(table)
    }

    /// Rewrites `table`, so that no removed row is left in it. What a PostgreSQL server writes ahead holds it for longer:
    /// `docs/formats/custody-store.md` says how long.
    pub(crate) fn purge(&self, table: Table) -> Result<(), CustodyError> {
        match &self.backend {
            Backend::Embedded(tables) => tables.purge(table)?,
            Backend::Postgresql(tables) => tables.purge(table),
        }
        Ok(())
    }

    /// Whether rows could not be read because the database did not answer: what was found missing may be there.
    pub(crate) fn was_lost(&self) -> bool {
        match &self.backend {
            Backend::Embedded(_) => false,
            Backend::Postgresql(tables) => tables.was_lost(),
        }
    }
}

impl Backend {
    fn open(config: &RecordsConfig) -> Result<Self, CustodyError> {
        Ok(match config {
            RecordsConfig::Local { folder } => Self::Embedded(Arc::new(Embedded::open(folder)?)),
            RecordsConfig::Postgresql(config) => {
                let opened = Postgresql::open(config);
                // Whoever starts a node has to hear what the server says.
                let opened = opened.map_err(|error| CustodyError::Storage(error.to_string()))?;
                Self::Postgresql(Arc::new(opened))
            }
        })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        Ok(match self {
            Self::Embedded(tables) => tables.get(table, key)?.map(|row| row.to_vec()),
            Self::Postgresql(tables) => tables.get(table, key)?,
        })
    }

    fn rows(&self, table: Table, span: Span) -> view::Rows {
        match self {
            Self::Embedded(tables) => tables.snapshot().rows(table, &span).into(),
            Self::Postgresql(tables) => tables.rows(table, span).into(),
        }
    }

    fn about(&self, table: Table) -> u64 {
        match self {
            Self::Embedded(tables) => tables.about(table),
            Self::Postgresql(tables) => tables.about(table),
        }
    }

    fn commit(&self, changes: Changes) -> Result<(), Failure> {
        match self {
            Self::Embedded(tables) => tables.commit(changes),
            Self::Postgresql(tables) => tables.commit(changes),
        }
    }

    /// The highest key of a table whose keys are numbers.
    fn last_number(&self, table: Table) -> Result<u64, CustodyError> {
        let last = match self {
            Self::Embedded(tables) => tables.last_key(table)?,
            Self::Postgresql(tables) => tables.last_key(table)?,
        };
        last.map_or(Ok(0), |key| sequence(&key))
    }
}

/// Reads the number that a key of the outbox or of the feed is.
pub(crate) fn sequence(key: &[u8]) -> Result<u64, CustodyError> {
    key.try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| CustodyError::Storage("a numbered row has another key".to_owned()))
}

fn copied(
    rows: view::Rows,
) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CustodyError>> + use<> {
    rows.map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())))
}
