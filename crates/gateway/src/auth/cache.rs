//! Tokens whose signature was found valid, until they expire or the keys are replaced: a client sends one many times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::ids::Digest;

use super::token::AccessToken;

/// More tokens than this are not kept at once.
const TOKENS_MAX: usize = 4_096;

/// Valid tokens by the digest of their text: the text itself is a secret and is not kept.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<HashMap<Digest, Kept>>);

struct Kept {
    token: Arc<AccessToken>,
    expires_at: u64,
    /// How often the keys had been replaced when it was verified.
    replaced: u64,
}

impl TokenCache {
    /// What this text says and until when, if it was found valid before by the keys that there are, and has not expired
    /// since.
    pub(super) fn find(
        &self,
        text: &str,
        (replaced, now): (u64, u64),
    ) -> Option<(Arc<AccessToken>, u64)> {
        let name = Digest::of(text.as_bytes());
        let kept = self.kept();
        let is_good = |kept: &&Kept| now < kept.expires_at && kept.replaced == replaced;
        let found = kept.get(&name).filter(is_good)?;
        Some((Arc::clone(&found.token), found.expires_at))
    }

    /// Keeps what a valid token says. `replaced` was asked for before the token was verified.
    pub(super) fn keep(
        &self,
        text: &str,
        (token, expires_at): (&Arc<AccessToken>, u64),
        (replaced, now): (u64, u64),
    ) {
        let mut kept = self.kept();
        if kept.len() >= TOKENS_MAX {
            kept.retain(|_, kept| now < kept.expires_at);
        }
        if kept.len() >= TOKENS_MAX {
            kept.clear();
        }
        let token = Arc::clone(token);
        let fresh = Kept {
            token,
            expires_at,
            replaced,
        };
        kept.insert(Digest::of(text.as_bytes()), fresh);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenCache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(client: &str) -> Arc<AccessToken> {
        Arc::new(AccessToken {
            client: client.to_owned(),
            practitioner: None,
            role: None,
            patient: None,
            purpose: "TREAT".to_owned(),
            scopes: "system/*.r".parse().unwrap(),
            context: None,
            grant: None,
            jti: "1".to_owned(),
            signed_in_at: None,
            related: None,
            emergency: None,
        })
    }

    #[test]
    fn a_token_is_kept_until_it_expires_under_its_whole_text() {
        let cache = TokenCache::default();
        cache.keep("a.b.c", (&token("ehr"), 100), (0, 0));
        assert!(cache.find("a.b.c", (0, 99)) == Some((token("ehr"), 100)));
        assert!(cache.find("a.b.c", (0, 100)).is_none());
        assert!(cache.find("a.b.c", (1, 99)).is_none(), "other keys");
        assert!(cache.find("a.b.d", (0, 99)).is_none());
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = TokenCache::default();
        for n in 0..TOKENS_MAX {
            cache.keep(&n.to_string(), (&token("old"), 100), (0, 0));
        }
        cache.keep("new", (&token("new"), 300), (0, 200));
        assert_eq!(cache.kept().len(), 1);
        for n in 0..3 * TOKENS_MAX {
            cache.keep(&n.to_string(), (&token("fresh"), 300), (0, 200));
            assert!(cache.kept().len() <= TOKENS_MAX);
        }
    }
}
