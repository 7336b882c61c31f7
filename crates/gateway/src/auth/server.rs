//! Tokens for clients, and what a token is worth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::ids::MemberName;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::assertion::{AssertionError, User};
use super::authentication::{Authenticated, Credentials, How};
use super::cache::TokenCache;
use super::client::{Client, ClientConfig, ClientRegistry};
use super::clock::Clock;
use super::desk::Desk;
use super::patients::Patients;
use super::replay::ReplayCache;
use super::revocation::Revocations;
use super::rows::{Kept, Kind, Rows, RowsUnavailable};
use super::scope::Scopes;
use super::secret::NoRandomness;
use super::sign_in::SignIn;
use super::throttle::Throttle;
use super::token::{AccessToken, TokenProblem, TokenSigner, Validity};

/// Tokens live between five minutes and an hour.
const LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 300..=3600;
/// Wrong passwords or secrets of one account or client in a row that do not wait.
const GUESSES_FREE: u32 = 5;
/// The same of one address, behind which there may be many people.
const GUESSES_OF_ADDRESS_FREE: u32 = 30;
/// Rows that have expired are swept this often.
const SWEEP_SECONDS: u64 = 3_600;
/// Password hashes under way at once: each takes 19 MiB.
const HASHES_AT_ONCE: usize = 2;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The node's public base URL without a slash at its end; `iss` and `aud` of tokens.
    pub base_url: String,
    /// The member whose node this is.
    pub member: MemberName,
    /// How long tokens live; brought into 5 to 60 minutes.
    pub token_seconds: u64,
}

/// What a server works with.
pub struct Backing {
    /// What outlives a restart.
    pub rows: Box<dyn Rows>,
    /// Among whom practitioners choose.
    pub patients: Box<dyn Patients>,
    /// How people sign in.
    pub sign_in: SignIn,
}

/// The authorization server of one node.
pub struct AuthorizationServer {
    pub(super) base_url: String,
    pub(super) member: MemberName,
    pub(super) token_seconds: u64,
    pub(super) clients: ClientRegistry,
    pub(super) signer: TokenSigner,
    pub(super) clock: Clock,
    used: Mutex<ReplayCache>,
    verified: TokenCache,
    pub(super) kept: Kept,
    pub(super) revoked: Revocations,
    pub(super) guesses: Throttle,
    pub(super) addresses: Throttle,
    pub(super) hashing: Semaphore,
    pub(super) desk: Desk,
    pub(super) patients: Box<dyn Patients>,
    pub(super) sign_in: SignIn,
    swept_at: AtomicU64,
}

/// Why no token is issued (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TokenError {
    #[error("the body is not a form with the parameters of a token request")]
    RequestMalformed,
    #[error("the grant type is not supported")]
    GrantTypeUnsupported,
    #[error("the client may not use this grant type")]
    GrantTypeRefused,
    #[error(
        "the client must show who it is, by a client_assertion of type jwt-bearer or by its secret"
    )]
    AuthenticationMissing,
    #[error("the client shows in several ways who it is")]
    SeveralAuthentications,
    #[error("the secret is not the client's, or there were too many attempts")]
    SecretRefused,
    #[error(
        "the code is unknown, expired or used, another client's, or not for this verifier or redirect URI"
    )]
    CodeRefused,
    #[error("the refresh token is unknown, expired, used or revoked, or another client's")]
    RefreshRefused,
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    #[error("the client may not speak for another organization")]
    OtherOrganization,
    #[error("`subject_id` is not Practitioner/ID")]
    PractitionerMalformed,
    #[error("the client is not registered for this role")]
    RoleRefused,
    #[error("the client is not registered for this purpose of use")]
    PurposeRefused,
    #[error("the assertion states no purpose of use, and the client has several")]
    PurposeMissing,
    #[error("none of the scopes is known and allowed to the client")]
    ScopeRefused,
    #[error("the server cannot issue tokens at the moment")]
    Unavailable,
}

/// The parameters of a token request.
#[derive(Default)]
pub(super) struct TokenRequest {
    pub(super) grant_type: Option<String>,
    pub(super) credentials: Credentials,
    pub(super) scope: Option<String>,
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) refresh_token: Option<String>,
}

impl AuthorizationServer {
    /// A server for these clients, signing with this key.
    pub fn new(
        config: AuthConfig,
        clients: ClientRegistry,
        signer: TokenSigner,
        clock: Clock,
        backing: Backing,
    ) -> Result<Self, RowsUnavailable> {
        let (shortest, longest) = LIFETIME_SECONDS.into_inner();
        let kept = Kept::new(backing.rows);
        for (_, _, registered) in kept.all::<ClientConfig>(Kind::Client, clock.now())? {
            // What was in order when it was registered may not be any more, after a change of the rules.
            match Client::configured(registered) {
                Ok(client) => clients.add(client),
                Err(error) => tracing::error!(%error, "a registered client is passed over"),
            }
        }
        Ok(Self {
            base_url: config.base_url,
            member: config.member,
            token_seconds: config.token_seconds.clamp(shortest, longest),
            clients,
            signer,
            revoked: Revocations::load(&kept, clock.now())?,
            clock,
            used: Mutex::default(),
            verified: TokenCache::default(),
            kept,
            guesses: Throttle::new(GUESSES_FREE),
            addresses: Throttle::new(GUESSES_OF_ADDRESS_FREE),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            desk: Desk::default(),
            patients: backing.patients,
            sign_in: backing.sign_in,
            swept_at: AtomicU64::new(0),
        })
    }

    /// The member whose server this is.
    pub fn member(&self) -> &MemberName {
        &self.member
    }

    /// Who issues its tokens.
    pub(crate) fn issuer(&self) -> &str {
        &self.base_url
    }

    /// What the bearer of the value of an `Authorization` header may do.
    pub fn verify(&self, authorization: &str) -> Result<Arc<AccessToken>, TokenProblem> {
        let (scheme, text) = authorization
            .split_once(' ')
            .ok_or(TokenProblem::NotBearer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenProblem::NotBearer);
        }
        self.verified(text.trim()).map(|(token, _)| token)
    }

    /// What a token says, and when it expires.
    pub(super) fn verified(&self, text: &str) -> Result<(Arc<AccessToken>, u64), TokenProblem> {
        let now = self.clock.now();
        let as_of = (self.signer.replaced(), now);
        let (token, expires_at) = match self.verified.find(text, as_of) {
            Some(found) => found,
            None => {
                let member = self.member.as_str();
                let (token, expires_at) = self.signer.verify(text, &self.base_url, member, now)?;
                let token = Arc::new(token);
                self.verified.keep(text, (&token, expires_at), as_of);
                (token, expires_at)
            }
        };
        // T8: also when the signature was found valid before.
        if self.revoked.has(&token) {
            return Err(TokenProblem::Revoked);
        }
        Ok((token, expires_at))
    }

    pub(super) async fn issue(&self, request: &TokenRequest) -> Result<Value, TokenError> {
        self.sweep_at_times().await;
        let grant_type = request.grant_type.as_deref();
        match grant_type.ok_or(TokenError::RequestMalformed)? {
            "client_credentials" => self.for_itself(request).await,
            "authorization_code" => {
                let by = self.authenticate(&request.credentials).await?;
                self.redeem(&by, request).await
            }
            "refresh_token" => {
                let by = self.refreshing(request).await?;
                self.refresh(&by, request).await
            }
            _ => Err(TokenError::GrantTypeUnsupported),
        }
    }

    /// A token for a system, which speaks for its users itself.
    async fn for_itself(&self, request: &TokenRequest) -> Result<Value, TokenError> {
        let by = self.authenticate(&request.credentials).await?;
        if by.how != How::Assertion {
            // SMART Backend Services: with a key, and with nothing less.
            return Err(TokenError::GrantTypeRefused);
        }
        let user = by.user.unwrap_or_default();
        let token = self.permitted(&by.client, &user, request.scope.as_deref())?;
        self.token_answer(&token)
    }

    /// Who refreshes. A public client may leave its id out (RFC 6749 §6): it could only repeat what the token tells.
    async fn refreshing(&self, request: &TokenRequest) -> Result<Authenticated, TokenError> {
        let given = &request.credentials;
        if given.client_id.is_some() || given.assertion.is_some() || given.basic.is_some() {
            return self.authenticate(given).await;
        }
        let text = request.refresh_token.as_deref();
        let holder = self.holder(text.ok_or(TokenError::RequestMalformed)?)?;
        let holder = Credentials {
            client_id: Some(holder.ok_or(TokenError::RefreshRefused)?),
            ..Credentials::default()
        };
        self.authenticate(&holder).await
    }

    /// Where apps send their users, if there are any.
    pub(crate) fn authorization_url(&self) -> Option<String> {
        let url = self.url("/oauth2/authorize");
        self.sign_in.is_possible().then_some(url)
    }

    /// The client with this id.
    pub(super) async fn client(&self, id: &str) -> Result<Option<Client>, TokenError> {
        let found = self.clients.find(id).await;
        found.map_err(|_| TokenError::Assertion(AssertionError::WalletsUnavailable))
    }

    pub(super) fn token_answer(&self, token: &AccessToken) -> Result<Value, TokenError> {
        self.token_for(token, self.token_seconds)
    }

    /// A token that lives this long.
    pub(super) fn token_for(&self, token: &AccessToken, seconds: u64) -> Result<Value, TokenError> {
        let now = self.clock.now();
        let validity = Validity {
            issuer: &self.base_url,
            member: self.member.as_str(),
            issued_at: now,
            expires_at: now.saturating_add(seconds),
        };
        let signed = self
            .signer
            .issue(token, &validity)
            .map_err(|_| TokenError::Unavailable)?;
        Ok(json!({
            "access_token": signed,
            "token_type": "bearer",
            "expires_in": seconds,
            "scope": token.scopes.to_string(),
        }))
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    pub(super) fn is_https(&self) -> bool {
        self.base_url.starts_with("https:")
    }

    pub(super) fn used(&self) -> MutexGuard<'_, ReplayCache> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what has expired, once in a while.
    async fn sweep_at_times(&self) {
        let now = self.clock.now();
        let last = self.swept_at.swap(now, Ordering::Relaxed);
        if now.saturating_sub(last) < SWEEP_SECONDS {
            self.swept_at.store(last, Ordering::Relaxed);
        } else if let Err(error) = self.kept.sweep(now).await {
            tracing::warn!(%error, "expired grants are not swept");
        }
    }

    pub(super) fn jwks(&self) -> Value {
        self.signer.jwks()
    }

    /// T2: only what the client is registered for.
    fn permitted(
        &self,
        client: &Client,
        user: &User,
        scope: Option<&str>,
    ) -> Result<AccessToken, TokenError> {
        if user
            .organization
            .as_deref()
            .is_some_and(|name| name != self.member.as_str())
        {
            return Err(TokenError::OtherOrganization);
        }
        if !user.practitioner.as_deref().is_none_or(is_practitioner) {
            return Err(TokenError::PractitionerMalformed);
        }
        if let Some(role) = &user.role
            && !client.roles.contains(role)
        {
            return Err(TokenError::RoleRefused);
        }
        Ok(AccessToken {
            client: client.id.clone(),
            practitioner: user.practitioner.clone(),
            role: user.role.clone(),
            patient: client.patient.clone(),
            purpose: purpose(client, user.purpose.as_deref())?,
            scopes: scopes(client, scope)?,
            context: None,
            grant: None,
            jti: uuid::Uuid::new_v4().to_string(),
            signed_in_at: None,
            related: None,
            emergency: None,
        })
    }
}

impl std::fmt::Debug for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backing(..)")
    }
}

impl std::fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorizationServer({})", self.base_url)
    }
}

impl From<NoRandomness> for TokenError {
    fn from(_: NoRandomness) -> Self {
        Self::Unavailable
    }
}

pub(super) fn is_practitioner(reference: &str) -> bool {
    reference
        .strip_prefix("Practitioner/")
        .is_some_and(interop::fhir::resource::is_id)
}

fn purpose(client: &Client, stated: Option<&str>) -> Result<String, TokenError> {
    match (stated, client.purposes.as_slice()) {
        (Some(stated), allowed) if allowed.iter().any(|one| one == stated) => Ok(stated.to_owned()),
        (Some(_), _) => Err(TokenError::PurposeRefused),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(TokenError::PurposeMissing),
    }
}

/// Scopes that are unknown or too wide are left out (RFC 6749 §3.3); the answer says what is left.
fn scopes(client: &Client, requested: Option<&str>) -> Result<Scopes, TokenError> {
    let Some(requested) = requested else {
        return Ok(client.scopes.clone());
    };
    Scopes::known(requested)
        .and_then(|wanted| wanted.within(&client.scopes))
        .ok_or(TokenError::ScopeRefused)
}
