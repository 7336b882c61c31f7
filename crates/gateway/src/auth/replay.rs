//! Which assertions were used (T1).

use std::collections::{BTreeMap, BTreeSet};

use ledger::ids::Digest;

/// Assertions remembered at once; at five minutes each this is 218 tokens a second.
const REMEMBERED_MAX: usize = 1 << 16;

/// The `jti` of every assertion used, until it expires.
#[derive(Debug, Default)]
pub(super) struct ReplayCache {
    expiry: BTreeMap<Digest, u64>,
    by_expiry: BTreeSet<(u64, Digest)>,
}

/// Whether an assertion may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    First,
    Again,
    /// Too many unexpired assertions: nothing more is accepted, since nothing may be forgotten.
    Full,
}

impl ReplayCache {
    /// Remembers the assertion until `expires_at`.
    pub(super) fn first_use(&mut self, client: &str, jti: &str, expires_at: u64, now: u64) -> Use {
        self.forget_expired(now);
        let key = Digest::with_domain("careledger/jti", &[client.as_bytes(), jti.as_bytes()]);
        if self.expiry.contains_key(&key) {
            return Use::Again;
        }
        if self.expiry.len() >= REMEMBERED_MAX {
            return Use::Full;
        }
        self.expiry.insert(key, expires_at);
        self.by_expiry.insert((expires_at, key));
        Use::First
    }

    fn forget_expired(&mut self, now: u64) {
        while let Some(&(expires_at, key)) = self.by_expiry.first() {
            if expires_at > now {
                return;
            }
            self.by_expiry.pop_first();
            self.expiry.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_used_once_until_it_expires() {
        let mut cache = ReplayCache::default();
        assert_eq!(cache.first_use("a", "1", 100, 10), Use::First);
        assert_eq!(cache.first_use("a", "1", 100, 99), Use::Again);
        assert_eq!(cache.first_use("b", "1", 100, 10), Use::First);
        assert_eq!(cache.first_use("a", "1", 200, 100), Use::First);
        assert_eq!((cache.expiry.len(), cache.by_expiry.len()), (1, 1));
    }

    #[test]
    fn a_full_cache_refuses_instead_of_forgetting() {
        let mut cache = ReplayCache::default();
        for n in 0..REMEMBERED_MAX {
            assert_eq!(cache.first_use("a", &n.to_string(), 100, 1), Use::First);
        }
        assert_eq!(cache.first_use("a", "more", 100, 1), Use::Full);
        assert_eq!(cache.first_use("a", "0", 100, 1), Use::Again);
        assert_eq!(cache.first_use("a", "more", 200, 100), Use::First);
    }
}
