//! Access tokens that are worth nothing any more though they have not expired (T8).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rows::{Kept, Kind, RowsUnavailable};
use super::token::AccessToken;

/// Names of revoked tokens and grants, until all their tokens have expired.
#[derive(Debug)]
pub(super) struct Revocations(Mutex<HashMap<String, u64>>);

impl Revocations {
    /// Those that were revoked before this start.
    pub(super) fn load(kept: &Kept, now: u64) -> Result<Self, RowsUnavailable> {
        let mut names = HashMap::new();
        for (name, expires_at, ()) in kept.all(Kind::Revoked, now)? {
            names.insert(name, expires_at.unwrap_or(u64::MAX));
        }
        Ok(Self(Mutex::new(names)))
    }

    /// Revokes what has this name; durable when this returns.
    pub(super) async fn add(
        &self,
        kept: &Kept,
        name: &str,
        (now, until): (u64, u64),
    ) -> Result<(), RowsUnavailable> {
        // First here: from this moment nobody gets in.
        {
            let mut names = self.names();
            names.retain(|_, until| now < *until);
            names.insert(name.to_owned(), until);
        }
        kept.put(Kind::Revoked, name, &(), Some(until)).await?;
        Ok(())
    }

    pub(super) fn has(&self, token: &AccessToken) -> bool {
        let names = self.names();
        let grant = token.grant.as_deref();
        names.contains_key(&token.jti) || grant.is_some_and(|grant| names.contains_key(grant))
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
