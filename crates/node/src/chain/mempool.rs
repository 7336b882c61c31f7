//! The mempool: statements that were admitted and are not final yet, in the order of their arrival.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::machine;
use ledger::ids::Digest;
use ledger::state::StateKey;
use ledger::statement::{StatementError, SubmittedStatement};

/// Bytes of statements that wait here at most.
const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A statement, decoded once.
pub(super) struct Pooled {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
    pub(super) statement: SubmittedStatement,
    pub(super) keys: Vec<StateKey>,
}

impl Pooled {
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Self, StatementError> {
        Ok(Self::of(SubmittedStatement::decode(&bytes)?, bytes))
    }

    pub(super) fn of(statement: SubmittedStatement, bytes: Vec<u8>) -> Self {
        let keys = machine::plan(&statement);
        Self {
            digest: Digest::of(&bytes),
            bytes,
            statement,
            keys,
        }
    }
}

/// Statements by arrival; those here have passed their signature check.
#[derive(Default)]
pub(super) struct Mempool {
    by_arrival: BTreeMap<u64, Arc<Pooled>>,
    arrivals: BTreeMap<Digest, u64>,
    next: u64,
    bytes: usize,
}

impl Mempool {
    /// Adds a statement; says whether there was room.
    pub(super) fn add(&mut self, statement: Arc<Pooled>) -> bool {
        if self.arrivals.contains_key(&statement.digest) {
            return true;
        }
        if self.bytes + statement.bytes.len() > POOL_BYTES_MAX {
            return false;
        }
        self.bytes += statement.bytes.len();
        self.arrivals.insert(statement.digest, self.next);
        self.by_arrival.insert(self.next, statement);
        self.next += 1;
        true
    }

    pub(super) fn get(&self, digest: Digest) -> Option<Arc<Pooled>> {
        self.arrivals
            .get(&digest)
            .and_then(|at| self.by_arrival.get(at))
            .cloned()
    }

    pub(super) fn remove<'a>(&mut self, digests: impl IntoIterator<Item = &'a Digest>) {
        for digest in digests {
            let arrival = self.arrivals.remove(digest);
            if let Some(statement) = arrival.and_then(|at| self.by_arrival.remove(&at)) {
                self.bytes -= statement.bytes.len();
            }
        }
    }

    /// The first statements, up to about twice `bytes`, so that some may be passed over.
    pub(super) fn first(&self, bytes: usize, but: &BTreeSet<Digest>) -> Vec<Arc<Pooled>> {
        let mut taken = 0;
        let waiting = self
            .by_arrival
            .values()
            .filter(|one| !but.contains(&one.digest));
        let within = waiting.take_while(|one| {
            taken += one.bytes.len();
            taken <= 2 * bytes
        });
        within.cloned().collect()
    }

    /// Whether anything waits that is not in `but`.
    pub(super) fn has_more_than(&self, but: &BTreeSet<Digest>) -> bool {
        self.arrivals.keys().any(|digest| !but.contains(digest))
    }

    /// Whether a statement waits that uses `key`.
    pub(super) fn has_key(&self, key: StateKey) -> bool {
        self.by_arrival.values().any(|one| one.keys.contains(&key))
    }

    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }
}
