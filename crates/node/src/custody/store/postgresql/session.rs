//! One connection, and what is asked through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::PostgresqlConfig;
use super::config::cause;
use super::schema;
use super::tls::Tls;
use crate::custody::store::view::Span;
use crate::custody::store::{Changes, Failure, Table};

/// Plans are made once and used for years: they must not be those that suit a table of ten rows.
const SETTINGS: &str = "SET synchronous_commit = on; SET jit = off; SET enable_seqscan = off; \
    SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan; \
    SET idle_in_transaction_session_timeout = '10min'; SET statement_timeout = '5min'";

/// Key and value; the value is empty where only keys were asked for.
pub(super) type KeyedRow = (Vec<u8>, Vec<u8>);

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    schema: String,
    statements: Mutex<BTreeMap<(Table, Query), Statement>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Query {
    Get,
    GetAll,
    /// Rows between two keys.
    Rows,
    /// Rows from a key to the end of the table.
    RowsOn,
    Keys,
    KeysOn,
    Upsert,
    Delete,
}

/// What a page of a scan is asked with.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) table: Table,
    /// The first key that may be in it.
    pub(super) first: Vec<u8>,
    /// The first key after all that may; `None` to the end of the table.
    pub(super) end: Option<Vec<u8>>,
    pub(super) keys_only: bool,
}

impl Ask {
    pub(super) fn of(table: Table, span: Span, keys_only: bool) -> Self {
        let (first, end) = match span {
            Span::Prefix(prefix) => {
                let end = after_prefix(&prefix);
                (prefix, end)
            }
            Span::From(first) => (first, None),
        };
        Self {
            table,
            first,
            end,
            keys_only,
        }
    }
}

impl Session {
    pub(super) async fn open(config: &PostgresqlConfig, tls: &Tls) -> Result<Self, Failure> {
        let client = if config.server.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = config.server.connect(NoTls).await.map_err(failure)?;
            tokio::spawn(carry(connection));
            client
        } else {
            let connected = config.server.connect(tls.clone()).await;
            let (client, connection) = connected.map_err(failure)?;
            tokio::spawn(carry(connection));
            client
        };
        // An operator sees whose connection it is.
        let name = format!("; SET application_name = 'careledger {}'", config.schema);
        let settings = [SETTINGS, &name].concat();
        client.batch_execute(&settings).await.map_err(failure)?;
        Ok(Self {
            client,
            schema: config.schema.clone(),
            statements: Mutex::default(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let statement = self.statement(table, Query::Get).await?;
        let row = self.client.query_opt(&statement, &[&key]).await;
        row.map_err(failure)?.map(|row| column(&row, 0)).transpose()
    }

    /// The rows under `keys`, in their order.
    pub(super) async fn get_all(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.statement(table, Query::GetAll).await?;
        let rows = self.client.query(&statement, &[&keys]).await;
        let mut found = BTreeMap::new();
        for row in rows.map_err(failure)? {
            found.insert(column(&row, 0)?, column(&row, 1)?);
        }
        // A key may be asked for twice.
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// The rows of a page, at most `limit`.
    pub(super) async fn page(&self, ask: &Ask, limit: i64) -> Result<Vec<KeyedRow>, Failure> {
        let query = match (ask.keys_only, &ask.end) {
            (false, Some(_)) => Query::Rows,
            (false, None) => Query::RowsOn,
            (true, Some(_)) => Query::Keys,
            (true, None) => Query::KeysOn,
        };
        let statement = self.statement(ask.table, query).await?;
        let rows = match &ask.end {
            Some(end) => {
                let parameters: [&(dyn ToSql + Sync); 3] = [&limit, &ask.first, end];
                self.client.query(&statement, &parameters).await
            }
            None => self.client.query(&statement, &[&limit, &ask.first]).await,
        };
        let rows = rows.map_err(failure)?;
        let value = |row: &Row| match ask.keys_only {
            true => Ok(Vec::new()),
            false => column(row, 1),
        };
        rows.iter()
            .map(|row| Ok((column(row, 0)?, value(row)?)))
            .collect()
    }

    /// Writes changes as batch `number`, all or none.
    pub(super) async fn write(&self, number: i64, changes: &Changes) -> Result<(), Failure> {
        let mut tables: BTreeMap<Table, Group<'_>> = BTreeMap::new();
        for ((table, key), value) in changes {
            let group = tables.entry(*table).or_default();
            match value {
                Some(value) => group.put.push((key, value)),
                None => group.removed.push(key),
            }
        }
        // What is asked is sent at once, in order, and answered together: a batch costs one round trip.
        let mut work = vec![self.plain("BEGIN".to_owned())];
        for (table, group) in tables {
            if !group.put.is_empty() {
                let statement = self.statement(table, Query::Upsert).await?;
                let (keys, values): (Vec<&[u8]>, Vec<&[u8]>) = group.put.into_iter().unzip();
                work.push(Box::pin(async move {
                    let written = self.client.execute(&statement, &[&keys, &values]).await;
                    written.map(drop).map_err(failure)
                }));
            }
            if !group.removed.is_empty() {
                let statement = self.statement(table, Query::Delete).await?;
                let keys = group.removed;
                work.push(Box::pin(async move {
                    let removed = self.client.execute(&statement, &[&keys]).await;
                    removed.map(drop).map_err(failure)
                }));
            }
        }
        work.push(self.plain(schema::count_batch(&self.schema, number)));
        work.push(self.plain("COMMIT".to_owned()));
        in_order(work).await
    }

    fn plain(&self, sql: String) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move { self.client.batch_execute(&sql).await.map_err(failure) })
    }

    async fn statement(&self, table: Table, query: Query) -> Result<Statement, Failure> {
        let known = |statements: &BTreeMap<_, Statement>| statements.get(&(table, query)).cloned();
        let lock = || {
            self.statements
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(statement) = known(&lock()) {
            return Ok(statement);
        }
        let sql = schema::statement(&self.schema, table, query);
        let statement = self.client.prepare(&sql).await.map_err(failure)?;
        lock().insert((table, query), statement.clone());
        Ok(statement)
    }
}

#[derive(Default)]
struct Group<'a> {
    put: Vec<(&'a [u8], &'a [u8])>,
    removed: Vec<&'a [u8]>,
}

/// Sends what each asks in their order; the first failure in that order counts.
async fn in_order(work: Vec<BoxFuture<'_, Result<(), Failure>>>) -> Result<(), Failure> {
    let last: BoxFuture<'_, Result<(), Failure>> = Box::pin(std::future::ready(Ok(())));
    // `join` polls its first half first.
    let all = work.into_iter().rfold(last, |later, one| {
        let both = join(one, later);
        both.map(|(one, later)| one.and(later)).boxed()
    });
    all.await
}

async fn carry<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio_postgres::tls::TlsStream + Unpin,
{
    if let Err(error) = connection.await {
        tracing::debug!(error = cause(&error), "a connection to the database ended");
    }
}

/// Keys for the thread that asks for them.
pub(super) fn owned(keys: &[impl AsRef<[u8]>]) -> Arc<[Vec<u8>]> {
    keys.iter().map(|key| key.as_ref().to_vec()).collect()
}

fn column(row: &Row, index: usize) -> Result<Vec<u8>, Failure> {
    row.try_get(index).map_err(failure)
}

/// What the server said, less its details, which may quote a row.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
pub(super) fn failure(error: tokio_postgres::Error) -> Failure {
    let Some(told) = error.as_db_error() else {
        return Failure::Lost(cause(&error));
    };
    let code = told.code();
    let text = format!("PostgreSQL: {} ({})", told.message(), code.code());
    let is_going = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::QUERY_CANCELED,
    ];
    if *code == SqlState::DISK_FULL {
        Failure::DiskFull
    } else if is_going.contains(code) || code.code().starts_with("08") {
        Failure::Lost(text)
    } else {
        Failure::Refused(text)
    }
}

/// The first key that is after all keys with a prefix.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte = byte.saturating_add(1);
    }
    Some(end)
}

/// A connection that many use at the same time: what they ask is answered in turn.
#[derive(Default)]
pub(super) struct Slot(tokio::sync::Mutex<Option<Arc<Session>>>);

impl Slot {
    /// The connection, made anew if it was lost.
    pub(super) async fn session(
        &self,
        config: &PostgresqlConfig,
        tls: &Tls,
    ) -> Result<Arc<Session>, Failure> {
        let mut slot = self.0.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::open(config, tls).await?);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(b""), None);
    }
}
