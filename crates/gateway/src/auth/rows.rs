//! What outlives a restart: registered clients, grants, codes, launches and revocations.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use node::custody::Custody;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::server::TokenError;

/// Durable values by name. Implemented by the record store, where they are sealed.
pub trait Rows: Send + Sync {
    /// The value under this name.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RowsUnavailable>;
    /// All values whose names begin with `prefix`.
    fn all(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, RowsUnavailable>;
    /// Puts `next` where `expected` is, durably; says whether it did.
    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expected: Option<Vec<u8>>,
        next: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<bool, RowsUnavailable>>;
}

/// What is kept cannot be read or written at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what the server keeps cannot be read or written at the moment")]
pub struct RowsUnavailable;

impl Rows for Custody {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RowsUnavailable> {
        self.authorization(name).map_err(|_| RowsUnavailable)
    }

    fn all(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, RowsUnavailable> {
        self.authorizations(prefix).map_err(|_| RowsUnavailable)
    }

    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expected: Option<Vec<u8>>,
        next: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<bool, RowsUnavailable>> {
        Box::pin(async move {
            let done = self.exchange_authorization(name, expected, next).await;
            done.map_err(|_| RowsUnavailable)
        })
    }
}

/// What a name begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Code,
    Grant,
    Launch,
    Revoked,
}

impl Kind {
    const PASSING: [Self; 4] = [Self::Code, Self::Grant, Self::Launch, Self::Revoked];

    fn prefix(self) -> &'static str {
        match self {
            Self::Client => "client/",
            Self::Code => "code/",
            Self::Grant => "grant/",
            Self::Launch => "launch/",
            Self::Revoked => "revoked/",
        }
    }

    fn name(self, id: &str) -> String {
        format!("{}{id}", self.prefix())
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    expires_at: Option<u64>,
    value: T,
}

/// A value as it was found; it is replaced only if it still stands so.
pub(super) struct Found<T> {
    pub(super) value: T,
    name: String,
    bytes: Vec<u8>,
    expires_at: Option<u64>,
}

/// Typed values over [`Rows`].
pub(super) struct Kept(Box<dyn Rows>);

impl Kept {
    pub(super) fn new(rows: Box<dyn Rows>) -> Self {
        Self(rows)
    }

    pub(super) fn find<T: DeserializeOwned>(
        &self,
        kind: Kind,
        id: &str,
        now: u64,
    ) -> Result<Option<Found<T>>, RowsUnavailable> {
        let name = kind.name(id);
        let Some(bytes) = self.0.get(&name)? else {
            return Ok(None);
        };
        let envelope: Envelope<T> = opened(&bytes)?;
        let found = Found {
            value: envelope.value,
            name,
            bytes,
            expires_at: envelope.expires_at,
        };
        Ok(Some(found).filter(|found| found.expires_at.is_none_or(|at| now < at)))
    }

    /// Everything of a kind that has not expired, by id.
    pub(super) fn all<T: DeserializeOwned>(
        &self,
        kind: Kind,
        now: u64,
    ) -> Result<Vec<(String, Option<u64>, T)>, RowsUnavailable> {
        let mut found = Vec::new();
        for (name, bytes) in self.0.all(kind.prefix())? {
            let envelope: Envelope<T> = opened(&bytes)?;
            if envelope.expires_at.is_none_or(|at| now < at) {
                let id = name.strip_prefix(kind.prefix()).unwrap_or_default();
                found.push((id.to_owned(), envelope.expires_at, envelope.value));
            }
        }
        Ok(found)
    }

    /// Puts a value where none is; says whether it did.
    pub(super) async fn put<T: Serialize>(
        &self,
        kind: Kind,
        id: &str,
        value: &T,
        expires_at: Option<u64>,
    ) -> Result<bool, RowsUnavailable> {
        let next = sealed(value, expires_at)?;
        self.0.exchange(&kind.name(id), None, Some(next)).await
    }

    /// Replaces a value, if it is still the one that was found.
    pub(super) async fn replace<T: Serialize>(
        &self,
        found: &Found<T>,
        next: &T,
    ) -> Result<bool, RowsUnavailable> {
        let next = sealed(next, found.expires_at)?;
        let expected = Some(found.bytes.clone());
        self.0.exchange(&found.name, expected, Some(next)).await
    }

    /// Removes a value, if it is still the one that was found.
    pub(super) async fn remove<T>(&self, found: &Found<T>) -> Result<bool, RowsUnavailable> {
        let expected = Some(found.bytes.clone());
        self.0.exchange(&found.name, expected, None).await
    }

    /// Removes what has expired.
    pub(super) async fn sweep(&self, now: u64) -> Result<(), RowsUnavailable> {
        for kind in Kind::PASSING {
            for (name, bytes) in self.0.all(kind.prefix())? {
                let envelope: Envelope<serde_json::Value> = opened(&bytes)?;
                if envelope.expires_at.is_some_and(|at| at <= now) {
                    self.0.exchange(&name, Some(bytes), None).await?;
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(..)")
    }
}

impl From<RowsUnavailable> for TokenError {
    fn from(_: RowsUnavailable) -> Self {
        Self::Unavailable
    }
}

fn opened<T: DeserializeOwned>(bytes: &[u8]) -> Result<Envelope<T>, RowsUnavailable> {
    serde_json::from_slice(bytes).map_err(|_| RowsUnavailable)
}

fn sealed<T: Serialize>(value: &T, expires_at: Option<u64>) -> Result<Vec<u8>, RowsUnavailable> {
    serde_json::to_vec(&Envelope { expires_at, value }).map_err(|_| RowsUnavailable)
}
