//! The one connection that writes.
//!
//! It holds a lock of the server, which goes with it. Each batch carries the next number, so that after a connection was
//! lost in the middle of a commit the next one finds out whether it happened: whoever holds the lock knows that the
//! connection before has ended, and what it had not committed by then never will be.

use std::time::{Duration, Instant};

use aws_lc_rs::digest;

use super::session::{Session, failure};
use super::tls::Tls;
use super::{PostgresqlConfig, schema};
use crate::custody::store::{Changes, Failure};

/// How long the lock may be held by what ends: a connection whose end the server has not seen.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long the writer looks for a server that it lost.
const RETURN_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The one connection that writes.
pub(super) struct Writer {
    config: PostgresqlConfig,
    tls: Tls,
    /// `None` while it is lost.
    session: Option<Session>,
    /// What tells this run from all others.
    name: [u8; 16],
    /// Batches that are durable.
    batches: i64,
}

impl Writer {
    /// Takes the lock, makes what tables are missing, and begins to write.
    pub(super) async fn open(config: PostgresqlConfig, tls: Tls) -> Result<Self, Failure> {
        let session = Session::open(&config, &tls).await?;
        refuse_unsafe(&session).await?;
        lock(&session, &config.schema, LOCK_PATIENCE).await?;
        migrate(&session, &config.schema).await?;
        let name = rand::random::<[u8; 16]>();
        let named = name.as_slice();
        let take_over = schema::take_over(&config.schema);
        let row = session.client.query_one(&take_over, &[&named]).await;
        let batches = row.and_then(|row| row.try_get(0)).map_err(failure)?;
        Ok(Self {
            config,
            tls,
            session: Some(session),
            name,
            batches,
        })
    }

    /// Writes changes; they are durable after this. If nobody can say whether they are, it fails.
    pub(super) async fn write(&mut self, changes: &Changes) -> Result<(), Failure> {
        let number = self.batches.saturating_add(1);
        let patience = Instant::now() + RETURN_PATIENCE;
        while !self.is_sent(number, changes).await? {
            if self.come_back(number, patience).await? {
                tracing::info!("the database is back, and has the write");
                break;
            }
            tracing::info!("the database is back, without the write: it is written again");
        }
        self.batches = number;
        Ok(())
    }

    /// Sends a batch; says whether it is durable, or the connection was lost.
    async fn is_sent(&mut self, number: i64, changes: &Changes) -> Result<bool, Failure> {
        let Some(session) = &self.session else {
            return Ok(false);
        };
        match session.write(number, changes).await {
            Err(Failure::Lost(error)) => {
                tracing::warn!(error, "the database of the records was lost in a write");
                // Its end frees the lock.
                self.session = None;
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }

    /// Connects anew; says whether batch `number` is there.
    async fn come_back(&mut self, number: i64, until: Instant) -> Result<bool, Failure> {
        let mut pause = PAUSE_MIN;
        let session = loop {
            match self.reconnect(until).await {
                Err(Failure::Lost(error)) if Instant::now() >= until => {
                    return Err(Failure::Lost(error));
                }
                Err(Failure::Lost(_)) => {}
                reconnected => break reconnected?,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        };
        let written = schema::written(&self.config.schema);
        let row = session.client.query_one(&written, &[]).await;
        let row = row.map_err(failure)?;
        let writer: Vec<u8> = row.try_get(0).map_err(failure)?;
        let batches: i64 = row.try_get(1).map_err(failure)?;
        self.session = Some(session);
        if writer != self.name {
            let message =
                "another node has written to the schema meanwhile: this one must not go on";
            return Err(Failure::Refused(message.to_owned()));
        }
        match number.saturating_sub(batches) {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(Failure::Refused(format!(
                "the database came back with {batches} batches, and {} were acknowledged: it is a copy that was behind",
                self.batches
            ))),
        }
    }

    async fn reconnect(&self, until: Instant) -> Result<Session, Failure> {
        let session = Session::open(&self.config, &self.tls).await?;
        let left = until.saturating_duration_since(Instant::now());
        lock(&session, &self.config.schema, left).await?;
        Ok(session)
    }
}

/// How long a write may take in all, its search for a lost server among it.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(180);

/// A server that does not sync is no place for what is acknowledged.
async fn refuse_unsafe(session: &Session) -> Result<(), Failure> {
    let row = session.client.query_one("SHOW fsync", &[]).await;
    let value: String = row.and_then(|row| row.try_get(0)).map_err(failure)?;
    if value == "on" {
        return Ok(());
    }
    Err(Failure::Refused(
        "the PostgreSQL server has fsync = off: what it acknowledges may be lost; set it to on"
            .to_owned(),
    ))
}

/// Takes the lock of the schema, which goes with the connection.
async fn lock(session: &Session, schema: &str, patience: Duration) -> Result<(), Failure> {
    let until = Instant::now() + patience;
    let hash = digest::digest(&digest::SHA256, format!("careledger {schema}").as_bytes());
    let key = hash
        .as_ref()
        .first_chunk()
        .copied()
        .map_or(0, i64::from_be_bytes);
    loop {
        let sql = "SELECT pg_try_advisory_lock($1)";
        let row = session.client.query_one(sql, &[&key]).await;
        let is_ours: bool = row.and_then(|row| row.try_get(0)).map_err(failure)?;
        if is_ours {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Failure::Refused(format!(
                "another process has the records in schema `{schema}` of this database open: stop it first, or name \
                 another `schema` if it is another node's"
            )));
        }
        tokio::time::sleep(PAUSE_MIN).await;
    }
}

async fn migrate(session: &Session, schema: &str) -> Result<(), Failure> {
    let client = &session.client;
    let version = schema::version(schema);
    let known = client.query_one(&version, &[]).await;
    let known = known.and_then(|row| row.try_get::<_, i32>(0));
    let version = match known {
        Ok(version) => version,
        // There is nothing yet.
        Err(error) if error.as_db_error().is_some() => {
            client
                .batch_execute(&schema::foundation(schema))
                .await
                .map_err(failure)?;
            0
        }
        Err(error) => return Err(failure(error)),
    };
    let migration = format!("BEGIN; {}; COMMIT", schema::migration(schema, version)?);
    client.batch_execute(&migration).await.map_err(failure)
}
