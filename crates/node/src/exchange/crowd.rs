//! How many are served at once: strangers at the door, and connections and requests of each member.
//!
//! Each member has places of its own, so that one which asks without end keeps nobody else waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::ids::MemberName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Connections that have not said yet whose they are.
const STRANGERS_MAX: usize = 128;
const CONNECTIONS_MAX: usize = 64;
/// Requests of a member that are worked on at a time; those of its other connections wait.
const REQUESTS_MAX: usize = 16;

/// Who is being served.
#[derive(Clone)]
pub(super) struct Crowd {
    strangers: Arc<Semaphore>,
    members: Arc<Mutex<BTreeMap<MemberName, Places>>>,
}

/// A member's places.
#[derive(Clone)]
struct Places {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

/// A connection of a member.
#[derive(Clone)]
pub(super) struct Guest {
    requests: Arc<Semaphore>,
    _connection: Arc<OwnedSemaphorePermit>,
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self {
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            members: Arc::default(),
        }
    }

    /// A place for who has to say first whose connection it is; `None` if too many do.
    pub(super) fn stranger(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.strangers).try_acquire_owned().ok()
    }

    /// A place for a connection of `member`; `None` if it has too many.
    pub(super) fn guest(&self, member: &MemberName) -> Option<Guest> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let places = members.entry(member.clone()).or_insert_with(Places::new);
        let connection = Arc::clone(&places.connections).try_acquire_owned().ok()?;
        Some(Guest {
            requests: Arc::clone(&places.requests),
            _connection: Arc::new(connection),
        })
    }
}

impl Places {
    fn new() -> Self {
        Self {
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }
}

impl Guest {
    /// Waits until a request may be worked on; the place is free again when what it returns is dropped.
    pub(super) async fn served(&self) -> Option<SemaphorePermit<'_>> {
        // INVARIANT: nobody closes the semaphore.
        self.requests.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_member_that_asks_without_end_takes_nobody_elses_place() {
        let crowd = Crowd::new();
        let (payer, clinic) = ("payer".parse().unwrap(), "clinic".parse().unwrap());
        let crowded: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| crowd.guest(&payer).unwrap())
            .collect();
        assert!(crowd.guest(&payer).is_none());
        let mut requests = Vec::new();
        for at in 0..REQUESTS_MAX {
            requests.push(crowded[at % CONNECTIONS_MAX].served().await);
        }
        assert_eq!(crowded[0].requests.available_permits(), 0);
        let other = crowd.guest(&clinic).unwrap();
        assert!(other.served().await.is_some());
        drop(requests);
        assert!(crowded[0].served().await.is_some());
        drop(crowded);
        assert!(crowd.guest(&payer).is_some(), "places are given back");
    }
}
