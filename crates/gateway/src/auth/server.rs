//! Tokens for clients, and what a token is worth.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::ids::MemberName;
use serde_json::{Value, json};
use thiserror::Error;

use super::assertion::{self, Assertion, AssertionError};
use super::cache::TokenCache;
use super::client::{Client, ClientRegistry};
use super::clock::Clock;
use super::replay::{ReplayCache, Use};
use super::scope::Scopes;
use super::token::{AccessToken, TokenProblem, TokenSigner, Validity};

const GRANT_TYPE: &str = "client_credentials";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Tokens live between five minutes and an hour.
const LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 300..=3600;

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

/// The authorization server of one node.
#[derive(Debug)]
pub struct AuthorizationServer {
    base_url: String,
    member: MemberName,
    token_seconds: u64,
    clients: ClientRegistry,
    signer: TokenSigner,
    clock: Clock,
    used: Mutex<ReplayCache>,
    verified: TokenCache,
}

/// Why no token is issued (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TokenError {
    #[error("the body is not a form with the parameters of a token request")]
    RequestMalformed,
    #[error("only client_credentials is supported")]
    GrantTypeUnsupported,
    #[error("a client_assertion of type jwt-bearer is needed")]
    AssertionMissing,
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
    pub(super) assertion_type: Option<String>,
    pub(super) assertion: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) scope: Option<String>,
}

impl AuthorizationServer {
    /// A server for these clients, signing with this key.
    pub fn new(
        config: AuthConfig,
        clients: ClientRegistry,
        signer: TokenSigner,
        clock: Clock,
    ) -> Self {
        let (shortest, longest) = LIFETIME_SECONDS.into_inner();
        Self {
            base_url: config.base_url,
            member: config.member,
            token_seconds: config.token_seconds.clamp(shortest, longest),
            clients,
            signer,
            clock,
            used: Mutex::default(),
            verified: TokenCache::default(),
        }
    }

    /// The member whose server this is.
    pub fn member(&self) -> &MemberName {
        &self.member
    }

    /// What the bearer of the value of an `Authorization` header may do.
    pub fn verify(&self, authorization: &str) -> Result<Arc<AccessToken>, TokenProblem> {
        let (scheme, text) = authorization
            .split_once(' ')
            .ok_or(TokenProblem::NotBearer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenProblem::NotBearer);
        }
        let (text, now) = (text.trim(), self.clock.now());
        if let Some(token) = self.verified.find(text, now) {
            return Ok(token);
        }
        let member = self.member.as_str();
        let (token, expires_at) = self.signer.verify(text, &self.base_url, member, now)?;
        let token = Arc::new(token);
        self.verified.keep(text, &token, expires_at, now);
        Ok(token)
    }

    pub(super) async fn issue(&self, request: &TokenRequest) -> Result<Value, TokenError> {
        match request.grant_type.as_deref() {
            Some(GRANT_TYPE) => {}
            Some(_) => return Err(TokenError::GrantTypeUnsupported),
            None => return Err(TokenError::RequestMalformed),
        }
        let assertion = match (&request.assertion_type, &request.assertion) {
            (Some(kind), Some(assertion)) if kind == ASSERTION_TYPE => assertion,
            _ => return Err(TokenError::AssertionMissing),
        };
        let now = self.clock.now();
        let assertion = assertion::check(
            assertion,
            request.client_id.as_deref(),
            &self.clients,
            &[&self.token_url()],
            now,
        )
        .await?;
        let token = self.permitted(&assertion, request.scope.as_deref())?;
        self.use_once(&assertion, now)?;
        let validity = Validity {
            issuer: &self.base_url,
            member: self.member.as_str(),
            issued_at: now,
            expires_at: now.saturating_add(self.token_seconds),
        };
        let signed = self
            .signer
            .issue(&token, &validity)
            .map_err(|_| TokenError::Unavailable)?;
        Ok(json!({
            "access_token": signed,
            "token_type": "bearer",
            "expires_in": self.token_seconds,
            "scope": token.scopes.to_string(),
        }))
    }

    pub(super) fn jwks(&self) -> Value {
        self.signer.jwks()
    }

    pub(super) fn smart_configuration(&self) -> Value {
        let base = &self.base_url;
        json!({
            "issuer": base,
            "jwks_uri": format!("{base}/oauth2/jwks"),
            "token_endpoint": self.token_url(),
            "grant_types_supported": [GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
            "scopes_supported": ["system/*.cruds", "patient/*.cruds"],
            "response_types_supported": [],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": [
                "client-confidential-asymmetric",
                "permission-v1",
                "permission-v2"
            ],
        })
    }

    fn token_url(&self) -> String {
        format!("{}/oauth2/token", self.base_url)
    }

    /// T2: only what the client is registered for.
    fn permitted(
        &self,
        assertion: &Assertion,
        scope: Option<&str>,
    ) -> Result<AccessToken, TokenError> {
        let (client, user) = (&assertion.client, &assertion.user);
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
        })
    }

    fn use_once(&self, assertion: &Assertion, now: u64) -> Result<(), TokenError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Assertion {
            client,
            jti,
            expires_at,
            ..
        } = assertion;
        match used.first_use(&client.id, jti, *expires_at, now) {
            Use::First => Ok(()),
            Use::Again => Err(AssertionError::Replayed.into()),
            Use::Full => Err(TokenError::Unavailable),
        }
    }
}

fn is_practitioner(reference: &str) -> bool {
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
    let known: Vec<&str> = requested
        .split_ascii_whitespace()
        .filter(|text| text.parse::<Scopes>().is_ok())
        .collect();
    known
        .join(" ")
        .parse::<Scopes>()
        .ok()
        .and_then(|wanted| wanted.within(&client.scopes))
        .ok_or(TokenError::ScopeRefused)
}
