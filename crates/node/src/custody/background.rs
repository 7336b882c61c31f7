//! What custody does beside requests, for as long as it is open: delivering, entering, sweeping, and going on with what a
//! stop has cut off.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::relabel::{self, Relabelling};
use super::{Custody, CustodyError, matching, upstream};

/// Tasks that end with what holds them.
#[derive(Default)]
pub(super) struct Background(Mutex<Vec<JoinHandle<()>>>);

impl Background {
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.push(tokio::spawn(task));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            task.abort();
        }
    }
}

impl Custody {
    /// Goes on with what a stop has cut off.
    pub(super) fn go_on(&self) -> Result<(), CustodyError> {
        for subject in self.0.subjects.all() {
            self.expect_consents_of(&*subject?)?;
        }
        self.watch_for_replay();
        self.go_on_indexing();
        self.go_on_rewrapping();
        let background = &self.0.background;
        if self.0.payloads.upstream().is_some() {
            background.run(upstream::follow(Arc::downgrade(&self.0)));
        }
        background.run(matching::follow(Arc::downgrade(&self.0)));
        Relabelling::begin(&self.0.store, self.label_rules().digest)?;
        background.run(relabel::follow(Arc::downgrade(&self.0)));
        Ok(())
    }
}
