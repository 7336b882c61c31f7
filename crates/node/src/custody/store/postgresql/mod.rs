//! Rows in a database of a PostgreSQL server: as opaque as on disk, one table for each of the store's.

mod config;
mod driver;
mod pages;
mod schema;
mod session;
mod tls;
mod writer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use config::{PostgresqlConfig, PostgresqlConfigError};
pub(super) use pages::{Pages, Snapshot};

use self::driver::Driver;
use self::pages::ViewPool;
use self::session::{Session, Slot, failure};
use self::tls::Tls;
use self::writer::{WRITE_PATIENCE, Writer};
use super::view::Span;
use super::{Changes, Failure, Table};

/// Connections that single reads share.
const READERS: usize = 4;
/// How long a read may take.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// How long a read looks for a server that is gone.
const RETURN_PATIENCE: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a table is rewritten at most, and how often it is tried to be alone with it.
const PURGE_PATIENCE: Duration = Duration::from_secs(600);
const PURGE_ATTEMPTS: usize = 3;

/// The open database.
pub(super) struct Postgresql {
    link: Arc<Link>,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    /// Rewrites tables, one at a time.
    purging: Mutex<()>,
}

/// What reads go through.
struct Link {
    driver: Driver,
    server: Arc<Server>,
    next: AtomicUsize,
}

/// What tasks on the driver's thread need.
struct Server {
    config: PostgresqlConfig,
    tls: Tls,
    readers: [Slot; READERS],
    views: ViewPool,
}

impl Postgresql {
    pub(super) fn open(config: &PostgresqlConfig) -> Result<Self, Failure> {
        let tls = Tls::of(config)?;
        let driver = Driver::start()?;
        let opening = Writer::open(config.clone(), tls.clone());
        let writer = driver.ask(WRITE_PATIENCE, opening)?;
        let server = Server {
            views: ViewPool::new(config.views),
            readers: Default::default(),
            config: config.clone(),
            tls,
        };
        Ok(Self {
            link: Arc::new(Link {
                driver,
                server: Arc::new(server),
                next: AtomicUsize::new(0),
            }),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            purging: Mutex::new(()),
        })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let key = key.to_vec();
        self.link.read(move |session| {
            let key = key.clone();
            async move { session.get(table, &key).await }
        })
    }

    /// The rows under `keys`, in their order.
    pub(super) fn get_all(
        &self,
        table: Table,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let keys = session::owned(keys);
        self.link.read(move |session| {
            let keys = Arc::clone(&keys);
            async move { session.get_all(table, &keys).await }
        })
    }

    /// Rows as they are at one moment.
    pub(super) fn rows(&self, table: Table, span: Span) -> Pages {
        Pages::of_moment(Arc::clone(&self.link), table, span)
    }

    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, Failure> {
        Snapshot::open(&self.link)
    }

    pub(super) fn commit(&self, changes: Changes) -> Result<(), Failure> {
        let writer = Arc::clone(&self.writer);
        self.link.driver.ask(WRITE_PATIENCE, async move {
            let mut writer = writer.lock().await;
            writer.write(&changes).await
        })
    }

    pub(super) fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, Failure> {
        let sql = schema::last_key(&self.link.server.config.schema, table);
        self.link.read(move |session| {
            let sql = sql.clone();
            async move {
                let row = session.client.query_opt(&sql, &[]).await;
                let key = row.map_err(failure)?.map(|row| row.try_get(0));
                key.transpose().map_err(failure)
            }
        })
    }

    /// Whether a read has failed since the server did not answer.
    pub(super) fn was_lost(&self) -> bool {
        self.link.driver.was_lost()
    }

    /// How many rows a table has, about; 0 if the server does not answer.
    pub(super) fn about(&self, table: Table) -> u64 {
        let schema = &self.link.server.config.schema;
        let count = |sql: String| {
            self.link.read(move |session| {
                let sql = sql.clone();
                async move {
                    let row = session.client.query_one(&sql, &[]).await;
                    row.and_then(|row| row.try_get::<_, i64>(0))
                        .map_err(failure)
                }
            })
        };
        let estimated = count(schema::estimate(schema, table)).unwrap_or(0);
        let rows = if estimated > 0 {
            estimated
        } else {
            count(schema::count(schema, table)).unwrap_or(0)
        };
        u64::try_from(rows).unwrap_or(0)
    }

    /// Rewrites a table, for which nobody else may read it. If others do for too long, its removed rows stay in its file
    /// until the next time, or until the server's own vacuuming overwrites them.
    pub(super) fn purge(&self, table: Table) {
        let _alone = self.purging.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Arc::clone(&self.link.server);
        let purged = self.link.driver.ask(PURGE_PATIENCE, async move {
            let session = Session::open(&server.config, &server.tls).await?;
            let settings = "SET lock_timeout = '2s'; SET statement_timeout = 0";
            session
                .client
                .batch_execute(settings)
                .await
                .map_err(failure)?;
            let sql = schema::rewrite(&server.config.schema, table);
            let mut outcome = Ok(());
            for _ in 0..PURGE_ATTEMPTS {
                outcome = session.client.batch_execute(&sql).await.map_err(failure);
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        });
        if let Err(error) = purged {
            tracing::warn!(
                %error, table = table.name(),
                "removed rows are gone, and their bytes are in the table's file still"
            );
        }
    }
}

impl Link {
    /// Reads through one of the shared connections; if the server is gone, looks for it for a while.
    fn read<T, F>(
        &self,
        work: impl Fn(Arc<Session>) -> F + Send + Sync + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let server = Arc::clone(&self.server);
        let reader = self.next.fetch_add(1, Ordering::Relaxed);
        self.driver.ask(READ_PATIENCE, async move {
            server
                .retried(|| async {
                    let slot = server.readers.get(reader % READERS);
                    let slot = slot.ok_or_else(|| Failure::Lost("no connection".to_owned()))?;
                    work(slot.session(&server.config, &server.tls).await?).await
                })
                .await
        })
    }
}

impl Server {
    /// Does what needs the server again while that is gone, for a while.
    async fn retried<T, F>(&self, work: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let until = Instant::now() + RETURN_PATIENCE;
        let mut pause = PAUSE_MIN;
        loop {
            match work().await {
                Err(Failure::Lost(_)) if Instant::now() < until => {}
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<Session, Failure> {
        Session::open(&self.config, &self.tls).await
    }
}
