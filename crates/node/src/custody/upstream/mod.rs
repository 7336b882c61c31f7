//! A façade: contents stay in an existing FHIR server, and everything else of custody stays as it is.
//!
//! What is written goes there first and is appended here with the digest of what the server made of it; what is read comes
//! from there and is held against that digest. What others change there is found and appended without an author. Before
//! a change leaves, an intent says durably on whose behalf: whatever breaks off in between, the version that is found
//! later is theirs.

mod canonical;
mod erase;
mod found;
mod http;
mod poll;
mod rows;
mod server;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use interop::fhir::ResourceType;
use ledger::ids::Digest;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use super::CustodyError;
use super::rows::DocumentKey;

pub use http::{HttpServer, HttpServerConfig};
pub use rows::SetAside;
pub use server::{Content, ExistingServer, Found, Listing, Outgoing, Page, Stored, UpstreamError};

pub(super) use canonical::marked;
pub(super) use poll::follow;

/// The author of a version that was found at the existing server, of which nobody here knows who wrote it.
pub const UNATTRIBUTED: &str = "urn:careledger:author:unattributed";
/// The system of the tag `unattributed`.
pub const TAG_SYSTEM: &str = "urn:careledger:tag";
/// Locks among which documents are spread.
const SHARDS: u8 = 64;

/// The existing server, and how often it is asked what has changed.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// The server.
    pub server: Arc<dyn ExistingServer>,
    /// The time between two questions.
    pub poll: Duration,
}

/// What is going on with the existing server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Whether its last answer was one.
    pub is_reachable: bool,
    /// Whether what stood there before is still being taken in.
    pub is_taking_in: bool,
    /// Versions that were appended without an author since the node started.
    pub unattributed: u64,
    /// Versions that cannot be recorded and wait for somebody to look.
    pub set_aside: u64,
    /// Contents that were not what had been anchored, since the node started.
    pub diverged: u64,
}

/// The existing server as custody uses it.
pub(super) struct Upstream {
    pub(super) server: Arc<dyn ExistingServer>,
    poll: Duration,
    shards: Vec<Arc<Mutex<()>>>,
    /// Something was met that the next question will explain.
    wake: Notify,
    is_reachable: AtomicBool,
    is_taking_in: AtomicBool,
    unattributed: AtomicU64,
    set_aside: AtomicU64,
    diverged: AtomicU64,
}

impl Upstream {
    pub(super) fn new(options: UpstreamOptions) -> Self {
        Self {
            server: options.server,
            poll: options.poll,
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            wake: Notify::new(),
            is_reachable: AtomicBool::new(true),
            is_taking_in: AtomicBool::new(false),
            unattributed: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
            diverged: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> UpstreamStatus {
        UpstreamStatus {
            is_reachable: self.is_reachable.load(Ordering::Relaxed),
            is_taking_in: self.is_taking_in.load(Ordering::Relaxed),
            unattributed: self.unattributed.load(Ordering::Relaxed),
            set_aside: self.set_aside.load(Ordering::Relaxed),
            diverged: self.diverged.load(Ordering::Relaxed),
        }
    }

    /// Keeps everybody else from these documents: a write and what is found of it meet one after the other.
    async fn hold(&self, documents: impl Iterator<Item = DocumentKey>) -> Vec<OwnedMutexGuard<()>> {
        let mut shards: Vec<u8> = documents.map(|[first, ..]| first % SHARDS).collect();
        // All take their locks in one order.
        shards.sort_unstable();
        shards.dedup();
        let mut guards = Vec::with_capacity(shards.len());
        for shard in shards {
            if let Some(shard) = self.shards.get(usize::from(shard)) {
                guards.push(Arc::clone(shard).lock_owned().await);
            }
        }
        guards
    }

    /// The content of a version as it was anchored.
    pub(super) async fn content(
        &self,
        resource_type: ResourceType,
        (id, version_id): (&str, &str),
        digest: Digest,
    ) -> Result<Vec<u8>, CustodyError> {
        let answer = self.server.version(resource_type, id, version_id).await;
        self.note(&answer);
        let content = match answer {
            Ok(value) => canonical::content(value, resource_type, id),
            Err(UpstreamError::Missing) => None,
            Err(error) => return Err(error.into()),
        };
        match content {
            Some(content) if Digest::of(&content) == digest => Ok(content),
            is_there => {
                self.diverged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    target: "security", %resource_type, is_there = is_there.is_some(),
                    "the existing server no longer holds what was anchored"
                );
                Err(CustodyError::Diverged)
            }
        }
    }

    /// Notes whether the server answers.
    fn note<T>(&self, answer: &Result<T, UpstreamError>) {
        let is_reachable = !matches!(
            answer,
            Err(UpstreamError::Unreachable | UpstreamError::OutcomeUnknown)
        );
        if self.is_reachable.swap(is_reachable, Ordering::Relaxed) != is_reachable {
            tracing::warn!(
                is_reachable,
                "whether the existing server answers has changed"
            );
        }
    }
}

impl std::fmt::Debug for UpstreamOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamOptions")
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}
