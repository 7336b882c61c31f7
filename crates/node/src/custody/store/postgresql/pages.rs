//! Views and scans: rows at one moment, fetched page by page ahead of whoever reads them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::driver::Answer;
use super::session::{Ask, KeyedRow, Session, failure, owned};
use super::{Link, READ_PATIENCE};
use crate::custody::store::view::Span;
use crate::custody::store::{Failure, Table};

/// Rows of a first page, and how many more each further one has, up to the most.
const PAGE_FIRST: usize = 128;
const PAGE_GROWTH: usize = 4;
const PAGE_MAX: usize = 2_048;
/// Rows of a page of a table whose rows hold payloads.
const PAGE_LARGE: usize = 64;
/// How long a view is waited for while all connections for views are in use.
const VIEW_PATIENCE: Duration = Duration::from_secs(20);
/// The rows as they are now, until the transaction ends.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";

/// Connections that views take, and give back.
pub(super) struct ViewPool {
    idle: Mutex<Vec<Arc<Session>>>,
    free: Arc<Semaphore>,
}

/// The rows of all tables at one moment: a transaction on a connection of its own.
pub(crate) struct Snapshot {
    link: Arc<Link>,
    session: Arc<Session>,
    /// Taken by whoever gives the connection back.
    permit: Option<OwnedSemaphorePermit>,
}

/// Rows of a table, in key order.
pub(crate) struct Pages {
    source: Source,
    ask: Ask,
    size: usize,
    ready: VecDeque<KeyedRow>,
    ahead: Option<Answer<Vec<KeyedRow>>>,
    is_over: bool,
}

enum Source {
    /// What fits into one page is read as it is when the server reads it; what does not, of a snapshot.
    Moment(Arc<Link>),
    Snapshot(Arc<Snapshot>),
}

impl ViewPool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            idle: Mutex::default(),
            free: Arc::new(Semaphore::new(size)),
        }
    }

    fn take(&self) -> Option<Arc<Session>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.is_closed());
        idle.pop()
    }

    fn give(&self, session: Arc<Session>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
    }
}

impl Snapshot {
    pub(super) fn open(link: &Arc<Link>) -> Result<Arc<Self>, Failure> {
        let server = Arc::clone(&link.server);
        let (session, permit) = link.driver.ask(READ_PATIENCE, async move {
            let permit = Arc::clone(&server.views.free).acquire_owned();
            let permit = tokio::time::timeout(VIEW_PATIENCE, permit).await;
            let all_in_use = || Failure::Lost("all connections for views are in use".to_owned());
            let permit = permit.ok().and_then(Result::ok).ok_or_else(all_in_use)?;
            let begin = || async {
                let session = match server.views.take() {
                    Some(session) => session,
                    None => Arc::new(server.connect().await?),
                };
                session.client.batch_execute(BEGIN).await.map_err(failure)?;
                Ok(session)
            };
            Ok((server.retried(begin).await?, permit))
        })?;
        Ok(Arc::new(Self {
            link: Arc::clone(link),
            session,
            permit: Some(permit),
        }))
    }

    /// The rows under `keys`, in their order.
    pub(crate) fn get_all(
        &self,
        table: Table,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let (session, keys) = (Arc::clone(&self.session), owned(keys));
        self.link.driver.ask(
            READ_PATIENCE,
            async move { session.get_all(table, &keys).await },
        )
    }

    pub(crate) fn rows(self: &Arc<Self>, table: Table, span: Span) -> Pages {
        let ask = Ask::of(table, span, false);
        Pages::new(Source::Snapshot(Arc::clone(self)), ask)
    }

    /// Rows without their values.
    pub(crate) fn keys(self: &Arc<Self>, table: Table, span: Span) -> Pages {
        let ask = Ask::of(table, span, true);
        Pages::new(Source::Snapshot(Arc::clone(self)), ask)
    }

    fn page(&self, ask: &Ask, limit: usize) -> Answer<Vec<KeyedRow>> {
        let (session, ask) = (Arc::clone(&self.session), ask.clone());
        self.link.driver.begin(READ_PATIENCE, async move {
            session.page(&ask, rows_of(limit)).await
        })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let (session, permit) = (Arc::clone(&self.session), self.permit.take());
        let server = Arc::clone(&self.link.server);
        self.link.driver.leave(async move {
            // One that cannot end its transaction is closed instead.
            if session.client.batch_execute("COMMIT").await.is_ok() {
                server.views.give(session);
            }
            drop(permit);
        });
    }
}

impl Pages {
    pub(super) fn of_moment(link: Arc<Link>, table: Table, span: Span) -> Self {
        Self::new(Source::Moment(link), Ask::of(table, span, false))
    }

    fn new(source: Source, ask: Ask) -> Self {
        Self {
            size: PAGE_FIRST.min(largest(&ask)),
            source,
            ask,
            ready: VecDeque::new(),
            ahead: None,
            is_over: false,
        }
    }

    /// The next page; the one after is asked for when this one is there.
    fn turn(&mut self) -> Result<(), Failure> {
        let rows = match (self.ahead.take(), &self.source) {
            (Some(ahead), _) => ahead.wait()?,
            (None, Source::Snapshot(snapshot)) => snapshot.page(&self.ask, self.size).wait()?,
            (None, Source::Moment(link)) => {
                let (ask, limit) = (self.ask.clone(), rows_of(self.size));
                let rows = link.read(move |session| {
                    let ask = ask.clone();
                    async move { session.page(&ask, limit).await }
                })?;
                if rows.len() == self.size {
                    self.source = Source::Snapshot(Snapshot::open(link)?);
                    self.size = self
                        .size
                        .saturating_mul(PAGE_GROWTH)
                        .min(largest(&self.ask));
                    return self.turn();
                }
                rows
            }
        };
        self.is_over = rows.len() < self.size;
        if let (false, Some((last, _)), Source::Snapshot(snapshot)) =
            (self.is_over, rows.last(), &self.source)
        {
            // The key after `last`.
            self.ask.first.clone_from(last);
            self.ask.first.push(0);
            let is_first = self.size == PAGE_FIRST;
            self.size = self
                .size
                .saturating_mul(PAGE_GROWTH)
                .min(largest(&self.ask));
            // Many scans end within their first page.
            self.ahead = (!is_first).then(|| snapshot.page(&self.ask, self.size));
        }
        self.ready.extend(rows);
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = Result<KeyedRow, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.is_over
            && let Err(failure) = self.turn()
        {
            self.is_over = true;
            return Some(Err(failure));
        }
        self.ready.pop_front().map(Ok)
    }
}

fn largest(ask: &Ask) -> usize {
    match ask.table {
        Table::Versions | Table::Adopted if !ask.keys_only => PAGE_LARGE,
        _ => PAGE_MAX,
    }
}

fn rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
