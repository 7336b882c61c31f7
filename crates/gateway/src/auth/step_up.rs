//! What takes more than a token (RFC 9470): who declares an emergency has signed in just now, or shows an assertion that was
//! made for this declaration alone (T13). The token for the emergency comes from here.

use contracts::emergency::EmergencyId;
use serde_json::Value;

use super::assertion::{self, AssertionError};
use super::replay::Use;
use super::scope::Scopes;
use super::server::{AuthorizationServer, TokenError};
use super::token::AccessToken;

/// How long a sign-in counts as one of just now.
pub(crate) const FRESH_SECONDS: u64 = 120;

/// Why somebody has to show again who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFresh {
    #[error("sign in again: the last sign-in is more than two minutes ago")]
    SignInAgain,
    #[error(
        "a system declares with a client assertion whose audience is this URL, in the parameter `assertion`"
    )]
    AssertionMissing,
    #[error(
        "the assertion is not the client's, for this URL, for this practitioner and used for the first time"
    )]
    AssertionRefused,
    #[error("the assertion cannot be checked at the moment")]
    Unavailable,
}

impl AuthorizationServer {
    /// Whether the bearer has shown just now who they are, for what is done at `url`.
    pub(crate) async fn stepped_up(
        &self,
        token: &AccessToken,
        assertion: Option<&str>,
        url: &str,
    ) -> Result<(), NotFresh> {
        let now = self.clock.now();
        if token.grant.is_some() {
            // A sign-in of the future is of a clock that was set back.
            let is_fresh = token
                .signed_in_at
                .is_some_and(|at| at <= now && now - at <= FRESH_SECONDS);
            return is_fresh.then_some(()).ok_or(NotFresh::SignInAgain);
        }
        let text = assertion.ok_or(NotFresh::AssertionMissing)?;
        let client = self.client(&token.client).await;
        let client = client.map_err(|_| NotFresh::Unavailable)?;
        let client = client.ok_or(NotFresh::AssertionRefused)?;
        let checked = assertion::check(text, &client, &[url.to_owned()], now);
        let checked = checked.map_err(|error| match error {
            AssertionError::WalletsUnavailable => NotFresh::Unavailable,
            _ => NotFresh::AssertionRefused,
        })?;
        let is_theirs =
            checked.user.practitioner.is_some() && checked.user.practitioner == token.practitioner;
        if !is_theirs {
            return Err(NotFresh::AssertionRefused);
        }
        let used = {
            let mut used = self.used();
            used.first_use(&client.id, &checked.jti, checked.expires_at, now)
        };
        match used {
            Use::First => Ok(()),
            Use::Again => Err(NotFresh::AssertionRefused),
            Use::Full => Err(NotFresh::Unavailable),
        }
    }

    /// A token for what an emergency opens: this patient's records of these types, read alone, until it ends.
    pub(crate) fn emergency_token(
        &self,
        declared_by: &AccessToken,
        (id, patient, until_ms): (EmergencyId, &str, i64),
        types: impl Iterator<Item = String>,
    ) -> Result<Value, TokenError> {
        let scopes: Vec<String> = types.map(|name| format!("patient/{name}.rs")).collect();
        let scopes: Scopes = scopes
            .join(" ")
            .parse()
            .map_err(|_| TokenError::ScopeRefused)?;
        let until = u64::try_from(until_ms / 1_000).unwrap_or(0);
        let token = AccessToken {
            client: declared_by.client.clone(),
            practitioner: declared_by.practitioner.clone(),
            role: declared_by.role.clone(),
            patient: None,
            purpose: node::custody::BREAK_GLASS.to_owned(),
            scopes,
            context: Some(patient.to_owned()),
            grant: declared_by.grant.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            signed_in_at: declared_by.signed_in_at,
            related: None,
            emergency: Some(id),
            extensions: None,
        };
        self.token_for(&token, until.saturating_sub(self.clock.now()))
    }
}
