//! How many patients share a blocking key. What many share is counted seldom: a count is kept until the patients are an
//! eighth more or fewer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::custody::CustodyError;
use crate::custody::postings::Posting;
use crate::custody::store::{Table, View};

/// Patients with a name that are counted at most.
const COUNTED_MAX: usize = 4_096;
/// What fewer share is counted each time: that costs little.
const KEPT_MIN: u64 = 64;
/// Counts that are kept at most.
const KEPT_MAX: usize = 8_192;

/// Counts by blocking key.
#[derive(Default)]
pub(super) struct Commonness {
    counts: Mutex<BTreeMap<Posting, Counted>>,
}

#[derive(Clone, Copy)]
struct Counted {
    /// `None`: more than are counted.
    count: Option<u64>,
    /// The patients that there were.
    among: u64,
}

impl Counted {
    fn holds_among(self, total: u64) -> bool {
        total.abs_diff(self.among) <= self.among / 8
    }
}

impl Commonness {
    /// How many of `total` patients share the key; `None` if it is more than [`COUNTED_MAX`].
    pub(super) fn of(
        &self,
        posting: &Posting,
        view: &View,
        total: u64,
    ) -> Result<Option<u64>, CustodyError> {
        let known = self.lock().get(posting).copied();
        if let Some(known) = known.filter(|known| known.holds_among(total)) {
            return Ok(known.count);
        }
        let mut keys = view.keys(Table::Postings, posting).take(COUNTED_MAX);
        let count = keys.try_fold(0_u64, |count, key| key.map(|_| count + 1))?;
        let is_counted = usize::try_from(count).is_ok_and(|it| it < COUNTED_MAX);
        let count = is_counted.then_some(count);
        if count.is_none_or(|it| it >= KEPT_MIN) {
            let mut counts = self.lock();
            if counts.len() >= KEPT_MAX {
                counts.clear();
            }
            counts.insert(
                *posting,
                Counted {
                    count,
                    among: total,
                },
            );
        }
        Ok(count)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Posting, Counted>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
