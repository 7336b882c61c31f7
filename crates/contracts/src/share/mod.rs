//! Links by which a patient shares something (SMART Health Links): how long one is there, and what it takes.
//!
//! Evaluated at the member that keeps the ciphertext. What is shared is sealed under the link's key, which that member does
//! not have.
//!
//! # Invariants
//! - **L1** After its end, and after its last wrong passcode, a link gives nothing, whoever asks.
//! - **L2** A passcode takes a try before it is looked at, and only the right one gives the try back: asking several
//!   times at once brings no more tries.
//! - **L3** A link that takes a passcode gives nothing without one.

mod branches;

use minicbor::{Decode, Encode};

pub use branches::{BranchGrant, NotABranchGrant};

/// Wrong passcodes that a link takes in its life.
pub const TRIES: u32 = 10;

/// What a link takes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// When it ends, milliseconds since 1970.
    #[n(0)]
    pub until: Option<u64>,
    /// Passcodes that may still be wrong; `None` if it takes none.
    #[n(1)]
    pub tries: Option<u32>,
}

/// The link gives nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is not active any more")]
pub struct Ended;

impl Terms {
    /// Those of a new link.
    pub fn new(until: Option<u64>, takes_passcode: bool) -> Self {
        Self {
            until,
            tries: takes_passcode.then_some(TRIES),
        }
    }

    /// Whether the link is there still.
    pub fn stand(&self, now: u64) -> Result<(), Ended> {
        let has_ended = self.until.is_some_and(|until| until <= now) || self.tries == Some(0);
        (!has_ended).then_some(()).ok_or(Ended)
    }

    /// Takes the try that looking at a passcode costs (L2).
    pub fn take_try(&mut self, now: u64) -> Result<(), Ended> {
        self.stand(now)?;
        self.tries = self.tries.map(|tries| tries.saturating_sub(1));
        Ok(())
    }

    /// Gives the try of the right passcode back.
    pub fn give_back(&mut self) {
        self.tries = self.tries.map(|tries| tries.saturating_add(1).min(TRIES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_link_ends_in_time_and_after_its_last_wrong_passcode() {
        let mut terms = Terms::new(Some(10), true);
        for _ in 0..TRIES {
            terms.take_try(9).unwrap();
        }
        assert_eq!(terms.stand(9), Err(Ended));
        assert_eq!(terms.take_try(9), Err(Ended));
        let terms = Terms::new(Some(10), false);
        assert_eq!((terms.stand(9), terms.stand(10)), (Ok(()), Err(Ended)));
        assert_eq!(Terms::new(None, false).stand(u64::MAX), Ok(()));
    }

    #[test]
    fn l2_a_try_is_gone_before_the_passcode_is_looked_at_and_comes_back_with_the_right_one() {
        let mut terms = Terms::new(None, true);
        for _ in 0..TRIES {
            terms.take_try(0).unwrap();
        }
        assert_eq!(terms.take_try(0), Err(Ended), "all at once");
        terms.give_back();
        assert_eq!(terms.tries, Some(1));
        let mut fresh = Terms::new(None, true);
        fresh.give_back();
        assert_eq!(fresh.tries, Some(TRIES), "never more than at first");
    }
}
