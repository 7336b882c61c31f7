//! Counts damaged rows that a running node meets: each time one is, what needed it fails.

use std::sync::atomic::Ordering;

use super::{Chain, Inner, StoreError};

impl Chain {
    /// How often a damaged row was met since the chain was opened.
    pub fn damaged_rows(&self) -> u64 {
        self.0.damaged.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Counts what is damaged and passes it on.
    pub(super) fn met<T>(&self, looked: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Damaged(_) | StoreError::Database(_)) = &looked {
            self.count_damaged();
        }
        looked
    }

    /// Counts a damaged row that an execution met.
    pub(super) fn count_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }
}
