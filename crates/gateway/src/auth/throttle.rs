//! Guessing made slow: after a few attempts each further one has to wait, longer each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names remembered at once.
const NAMES_MAX: usize = 1 << 16;
const WAIT_SECONDS_MAX: u64 = 900;
/// Attempts are forgotten after this long without one.
const FORGOTTEN_AFTER: u64 = 3_600;

/// Attempts by name: of an account, a client, an address.
#[derive(Debug)]
pub(super) struct Throttle {
    free: u32,
    attempts: Mutex<HashMap<String, Attempts>>,
}

#[derive(Debug, Clone, Copy)]
struct Attempts {
    count: u32,
    last: u64,
    next: u64,
}

/// How many seconds to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait(pub(super) u64);

impl Throttle {
    /// The first `free` attempts in a row do not wait.
    pub(super) fn new(free: u32) -> Self {
        Self {
            free,
            attempts: Mutex::default(),
        }
    }

    /// Counts an attempt before its outcome is known, so that attempts at one time count, too.
    pub(super) fn attempt(&self, name: &str, now: u64) -> Result<(), Wait> {
        let mut attempts = self.attempts();
        if attempts.len() >= NAMES_MAX {
            attempts.retain(|_, one| now < one.last.saturating_add(FORGOTTEN_AFTER));
        }
        if attempts.len() >= NAMES_MAX && !attempts.contains_key(name) {
            return Err(Wait(WAIT_SECONDS_MAX));
        }
        let one = attempts.entry(name.to_owned()).or_insert(Attempts {
            count: 0,
            last: now,
            next: now,
        });
        if now >= one.last.saturating_add(FORGOTTEN_AFTER) {
            one.count = 0;
        }
        if now < one.next {
            return Err(Wait(one.next.saturating_sub(now)));
        }
        one.count = one.count.saturating_add(1);
        one.last = now;
        let over = one.count.saturating_sub(self.free);
        if over > 0 {
            let wait = 1_u64.checked_shl(over).unwrap_or(WAIT_SECONDS_MAX);
            one.next = now.saturating_add(wait.min(WAIT_SECONDS_MAX));
        }
        Ok(())
    }

    /// The attempt was right: those before it are forgotten.
    pub(super) fn succeeded(&self, name: &str) {
        self.attempts().remove(name);
    }

    /// The attempt was right, and others under the name may not have been: it alone is forgotten.
    pub(super) fn forgive(&self, name: &str) {
        if let Some(one) = self.attempts().get_mut(name) {
            one.count = one.count.saturating_sub(1);
            one.next = one.last;
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<String, Attempts>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_slows_down_and_a_right_attempt_starts_anew() {
        let throttle = Throttle::new(3);
        for _ in 0..3 {
            assert_eq!(throttle.attempt("a", 100), Ok(()));
        }
        assert_eq!(throttle.attempt("a", 100), Ok(()));
        assert_eq!(throttle.attempt("a", 100), Err(Wait(2)));
        assert_eq!(throttle.attempt("b", 100), Ok(()));
        assert_eq!(throttle.attempt("a", 102), Ok(()));
        assert_eq!(throttle.attempt("a", 103), Err(Wait(3)));
        throttle.succeeded("a");
        assert_eq!(throttle.attempt("a", 103), Ok(()));
    }

    #[test]
    fn a_right_attempt_among_wrong_ones_does_not_hide_them() {
        let throttle = Throttle::new(3);
        for _ in 0..3 {
            assert_eq!(throttle.attempt("address", 1), Ok(()));
            assert_eq!(throttle.attempt("address", 1), Ok(()));
            throttle.forgive("address");
        }
        assert_eq!(throttle.attempt("address", 1), Ok(()));
        assert_eq!(throttle.attempt("address", 1), Err(Wait(2)));
    }

    #[test]
    fn in_a_day_few_guesses_are_made_and_nobody_is_locked_out_for_ever() {
        let throttle = Throttle::new(5);
        let guesses = (0..86_400).filter(|at| throttle.attempt("a", *at).is_ok());
        assert!(guesses.count() < 120);
        assert_eq!(throttle.attempt("a", 200_000), Ok(()));
    }

    #[test]
    fn the_names_are_bounded() {
        let throttle = Throttle::new(1);
        for n in 0..NAMES_MAX {
            assert_eq!(throttle.attempt(&n.to_string(), 1), Ok(()));
        }
        assert!(throttle.attempt("new", 1).is_err());
        assert_eq!(throttle.attempt("new", FORGOTTEN_AFTER + 1), Ok(()));
        assert_eq!(throttle.attempts().len(), 1);
    }
}
