//! The writer, and what a transaction sees and changes.

use ledger::item::Item;
use tokio::sync::{mpsc, watch};

use super::{BATCH_MAX, Backend, Batch, Changes, Failure, Job, Persist, Table};
use crate::custody::CustodyError;

/// What writes, on a thread of its own.
pub(super) struct Writer<P> {
    pub(super) backend: Backend,
    pub(super) persist: P,
    pub(super) next_item: u64,
    pub(super) newest_change: watch::Sender<u64>,
}

impl<P: Persist> Writer<P> {
    /// Writes batch after batch until every handle is gone or a sync fails: after that nobody knows what is on disk.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while queue.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            if let Err(error) = self.write(&mut waiting) {
                tracing::error!(%error, "the record store does not write any more");
                return;
            }
        }
    }

    fn write(&mut self, waiting: &mut Vec<Job>) -> Result<(), Failure> {
        let mut changes = Changes::new();
        let mut answers = Vec::new();
        let mut next = Next {
            item: self.next_item,
            change: self.newest_change.borrow().saturating_add(1),
        };
        for job in waiting.drain(..) {
            let mut transaction = Transaction::after(&self.backend, &changes, next);
            let (counts, answer) = job(&mut transaction);
            if counts {
                next = transaction.next;
                let mut fresh = transaction.changes;
                changes.append(&mut fresh);
                answers.push(answer);
            } else {
                answer(Ok(()));
            }
        }
        self.next_item = next.item;
        let newest_change = next.change.saturating_sub(1);
        let outcome = self.persist.persist(Batch {
            backend: &self.backend,
            changes,
        });
        if outcome.is_ok() && newest_change > *self.newest_change.borrow() {
            self.newest_change.send_replace(newest_change);
        }
        for answer in answers {
            answer(outcome.clone().map_err(CustodyError::from));
        }
        outcome
    }
}

/// Work on the writer's thread: it sees its own changes and those before it in the batch.
pub(crate) struct Transaction<'a> {
    backend: &'a Backend,
    before: &'a Changes,
    changes: Changes,
    next: Next,
}

/// The next numbers of the outbox and of the feed.
#[derive(Debug, Clone, Copy)]
struct Next {
    item: u64,
    change: u64,
}

impl<'a> Transaction<'a> {
    fn after(backend: &'a Backend, before: &'a Changes, next: Next) -> Self {
        Self {
            backend,
            before,
            changes: Changes::new(),
            next,
        }
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        let place = (table, key.to_vec());
        match self.changes.get(&place).or_else(|| self.before.get(&place)) {
            Some(changed) => Ok(changed.clone()),
            None => self.backend.get(table, key),
        }
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.changes.insert((table, key.to_vec()), Some(value));
    }

    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) {
        self.changes.insert((table, key.to_vec()), None);
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
