//! What people are in the middle of: sessions in browsers, and requests that wait for them. In memory, and bounded: who is
//! in the middle of something when the node stops begins again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::authorize::AuthorizationRequest;
use super::provider::Question;
use super::user::User;

const SESSIONS_MAX: usize = 10_000;
const PENDING_MAX: usize = 10_000;
/// A sign-in is good for this long.
const SESSION_SECONDS: u64 = 30 * 60;
const PENDING_SECONDS: u64 = 10 * 60;

/// One browser. Kept under the digest of its cookie.
#[derive(Clone)]
pub(super) struct Session {
    /// Who has signed in, and when.
    pub(super) user: Option<(User, u64)>,
    /// What forms of this browser carry.
    pub(super) csrf: String,
}

/// A request for authorization that waits for a person.
#[derive(Clone)]
pub(super) struct Pending {
    /// The only session that may answer it.
    pub(super) session: String,
    pub(super) request: AuthorizationRequest,
    /// The patient (local id) in context, and what pages show.
    pub(super) patient: Option<(String, String)>,
    /// As whom the user acts in that patient's place.
    pub(super) related: Option<String>,
    pub(super) encounter: Option<String>,
}

/// Somebody who went to the identity provider.
#[derive(Clone)]
pub(super) struct Away {
    pub(super) session: String,
    pub(super) pending: String,
    pub(super) question: Question,
}

/// Everything that is under way.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) sessions: Passing<Session>,
    pub(super) pending: Passing<Pending>,
    pub(super) away: Passing<Away>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            sessions: Passing::new(SESSIONS_MAX, SESSION_SECONDS),
            pending: Passing::new(PENDING_MAX, PENDING_SECONDS),
            away: Passing::new(PENDING_MAX, PENDING_SECONDS),
        }
    }
}

/// Values by name, each for a time.
pub(super) struct Passing<T> {
    values_max: usize,
    seconds: u64,
    values: Mutex<HashMap<String, (u64, T)>>,
}

impl<T: Clone> Passing<T> {
    fn new(values_max: usize, seconds: u64) -> Self {
        Self {
            values_max,
            seconds,
            values: Mutex::default(),
        }
    }

    /// Puts a value; says whether there is room.
    pub(super) fn put(&self, name: &str, value: T, now: u64) -> bool {
        let mut values = self.values();
        if values.len() >= self.values_max {
            values.retain(|_, (until, _)| now < *until);
        }
        let has_room = values.len() < self.values_max || values.contains_key(name);
        if has_room {
            let until = now.saturating_add(self.seconds);
            values.insert(name.to_owned(), (until, value));
        }
        has_room
    }

    pub(super) fn find(&self, name: &str, now: u64) -> Option<T> {
        let values = self.values();
        let found = values.get(name).filter(|(until, _)| now < *until);
        found.map(|(_, value)| value.clone())
    }

    /// Finds a value for the last time.
    pub(super) fn take(&self, name: &str, now: u64) -> Option<T> {
        let found = self.values().remove(name);
        found
            .filter(|(until, _)| now < *until)
            .map(|(_, value)| value)
    }

    /// Changes a value where it is, without giving it more time.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut T)) {
        if let Some((_, value)) = self.values().get_mut(name) {
            change(value);
        }
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, (u64, T)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Passing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passing(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_pass_and_are_bounded() {
        let passing = Passing::new(2, 10);
        assert!(passing.put("a", 1, 0) && passing.put("b", 2, 5));
        assert!(!passing.put("c", 3, 9));
        assert!(passing.put("a", 4, 9));
        assert_eq!(
            (passing.find("a", 18), passing.find("b", 14)),
            (Some(4), Some(2))
        );
        assert_eq!(passing.find("b", 15), None);
        assert!(passing.put("c", 3, 16));
        assert_eq!(
            (passing.take("c", 17), passing.take("c", 17)),
            (Some(3), None)
        );
    }
}
