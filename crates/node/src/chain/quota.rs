//! Quotas: how fast this node takes in what a member submits, and how much worthless traffic of a peer.
//!
//! A bucket for each fills with time, up to a burst. What is beyond it is refused, not queued.

use std::collections::BTreeMap;

use ledger::genesis::Quota;

/// Items are counted in thousandths: a bucket fills evenly from one millisecond to the next.
const PARTS: u64 = 1_000;

/// Statements that break a rule in any state: a peer that follows the rules passes none on.
pub(super) const WORTHLESS: Quota = Quota {
    items_per_second: 10,
    burst_items: 200,
};

/// What a member's own node lets in arrives less evenly at the others.
pub(super) fn of_gossip(quota: Quota) -> Quota {
    Quota {
        items_per_second: quota
            .items_per_second
            .saturating_add(quota.items_per_second / 4),
        burst_items: quota.burst_items.saturating_add(quota.burst_items / 4),
    }
}

/// A bucket for each `K` of which something has come.
pub(super) struct Buckets<K>(BTreeMap<K, Bucket>);

#[derive(Clone, Copy)]
struct Bucket {
    parts: u64,
    at_ms: u64,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Buckets<K> {
    /// Milliseconds until `items` of `key` are within `quota`: 0 if they are now.
    pub(super) fn wait_ms(&self, key: &K, items: usize, quota: Quota, now_ms: u64) -> u64 {
        let lacking = cost(items, quota).saturating_sub(self.filled(key, quota, now_ms));
        lacking.div_ceil(u64::from(quota.items_per_second).max(1))
    }

    /// Counts `items` of `key`.
    pub(super) fn charge(&mut self, key: &K, items: usize, quota: Quota, now_ms: u64) {
        let filled = self.filled(key, quota, now_ms);
        let bucket = Bucket {
            parts: filled.saturating_sub(cost(items, quota)),
            at_ms: now_ms,
        };
        self.0.insert(key.clone(), bucket);
    }

    fn filled(&self, key: &K, quota: Quota, now_ms: u64) -> u64 {
        let full = u64::from(quota.burst_items) * PARTS;
        let Some(bucket) = self.0.get(key) else {
            return full;
        };
        // A thousandth of an item a millisecond is an item a second.
        let flowed = now_ms
            .saturating_sub(bucket.at_ms)
            .saturating_mul(quota.items_per_second.into());
        bucket.parts.saturating_add(flowed).min(full)
    }
}

/// What is larger than a burst passes when the bucket is full.
fn cost(items: usize, quota: Quota) -> u64 {
    let items = u64::try_from(items).unwrap_or(u64::MAX);
    items.min(quota.burst_items.into()).saturating_mul(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        items_per_second: 100,
        burst_items: 50,
    };

    #[test]
    fn a_burst_passes_and_then_what_the_rate_allows() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.wait_ms(&"payer", 50, QUOTA, 0), 0);
        buckets.charge(&"payer", 50, QUOTA, 0);
        assert_eq!(buckets.wait_ms(&"payer", 1, QUOTA, 0), 10);
        assert_eq!(buckets.wait_ms(&"clinic", 50, QUOTA, 0), 0);
        let mut passed = 0;
        for ms in 0..10_000 {
            if buckets.wait_ms(&"payer", 1, QUOTA, ms) == 0 {
                buckets.charge(&"payer", 1, QUOTA, ms);
                passed += 1;
            }
        }
        assert_eq!(passed, 999, "a hundred a second, the first after 10 ms");
    }

    #[test]
    fn what_is_larger_than_a_burst_passes_alone() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.wait_ms(&0, 1_024, QUOTA, 7), 0);
        buckets.charge(&0, 1_024, QUOTA, 7);
        assert_eq!(buckets.wait_ms(&0, 1_024, QUOTA, 7), 500);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut buckets = Buckets::default();
        buckets.charge(&0, 50, QUOTA, 1_000);
        assert_eq!(buckets.wait_ms(&0, 1, QUOTA, 0), 10);
    }
}
