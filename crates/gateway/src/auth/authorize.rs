//! Requests for authorization (RFC 6749 §4.1.1 with PKCE, as SMART App Launch has them), checked before anybody is asked (T5).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::client::Client;
use super::rows::Kind;
use super::scope::{Scopes, Word};
use super::secret;
use super::server::AuthorizationServer;

const VALUE_BYTES_MAX: usize = 8 << 10;
const STATE_BYTES_MAX: usize = 2 << 10;

/// A request whose client, redirect URI and parameters are in order.
#[derive(Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) client: Client,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) scopes: Scopes,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    /// How many seconds ago the user may have signed in at most (`max_age`; with `prompt=login` none).
    pub(super) max_age: Option<u64>,
    /// The launch, by the name under which it is kept until it is used.
    pub(super) launch: Option<(String, Launch)>,
}

/// The context that an EHR set, kept under the digest of its opaque id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    /// Whose launch it is alone.
    pub(super) client: Option<String>,
    /// The user (`Practitioner/ID`) who may answer alone.
    pub(super) user: Option<String>,
    pub(super) patient: Option<String>,
    pub(super) encounter: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum AuthorizeError {
    #[error("a parameter is there twice, too long, or not of its form")]
    Malformed,
    #[error("the app is not registered here")]
    ClientUnknown,
    #[error("the app did not say where to come back to, or it is not a place that it registered")]
    RedirectRefused,
    #[error("`response_type` must be `code`")]
    ResponseTypeUnsupported,
    #[error("`state` is missing or too long")]
    StateMissing,
    #[error("`aud` must be the FHIR base URL of this server")]
    OtherAudience,
    #[error("`code_challenge` with the method S256 is needed")]
    ChallengeMissing,
    #[error("none of the scopes is known and allowed to the app")]
    ScopeRefused,
    #[error("the launch is unknown, has expired or was used, or is another app's")]
    LaunchRefused,
    #[error("nobody can sign in at this server")]
    NoSignIn,
    #[error("the server cannot answer at the moment")]
    Unavailable,
}

/// A refusal, and where it is said: in a page, or to the app.
pub(super) struct Refused {
    pub(super) error: AuthorizeError,
    /// The redirect URI, once it is known to be the app's, and the state.
    pub(super) back_to: Option<(String, Option<String>)>,
}

impl AuthorizeError {
    /// RFC 6749 §4.1.2.1.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::ResponseTypeUnsupported => "unsupported_response_type",
            Self::ScopeRefused => "invalid_scope",
            Self::NoSignIn | Self::Unavailable => "temporarily_unavailable",
            _ => "invalid_request",
        }
    }
}

impl AuthorizationServer {
    /// Checks the parameters of a request.
    pub(super) async fn request(
        &self,
        pairs: &[(String, String)],
    ) -> Result<AuthorizationRequest, Refused> {
        let in_page = |error| Refused {
            error,
            back_to: None,
        };
        let parameters = Parameters(pairs);
        parameters.check().map_err(in_page)?;
        let client = self
            .client(parameters.get("client_id").unwrap_or_default())
            .await
            .map_err(|_| in_page(AuthorizeError::Unavailable))?
            .ok_or_else(|| in_page(AuthorizeError::ClientUnknown))?;
        let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
        if !client.redirect_uris.iter().any(|uri| uri == redirect_uri) {
            return Err(in_page(AuthorizeError::RedirectRefused));
        }
        let state = parameters.get("state");
        let to_app = |error| Refused {
            error,
            back_to: Some((redirect_uri.to_owned(), state.map(str::to_owned))),
        };
        self.details(&parameters, client, redirect_uri)
            .map_err(to_app)
    }

    fn details(
        &self,
        parameters: &Parameters<'_>,
        client: Client,
        redirect_uri: &str,
    ) -> Result<AuthorizationRequest, AuthorizeError> {
        if parameters.get("response_type") != Some("code") {
            return Err(AuthorizeError::ResponseTypeUnsupported);
        }
        let state = parameters
            .get("state")
            .filter(|state| (1..=STATE_BYTES_MAX).contains(&state.len()))
            .ok_or(AuthorizeError::StateMissing)?;
        let audience = parameters.get("aud").unwrap_or_default();
        if audience.trim_end_matches('/') != self.url("/fhir") {
            return Err(AuthorizeError::OtherAudience);
        }
        if parameters.get("code_challenge_method") != Some("S256") {
            return Err(AuthorizeError::ChallengeMissing);
        }
        let challenge = parameters
            .get("code_challenge")
            .filter(|text| text.len() == 43 && text.bytes().all(is_base64url))
            .ok_or(AuthorizeError::ChallengeMissing)?;
        if !self.sign_in.is_possible() {
            return Err(AuthorizeError::NoSignIn);
        }
        let scopes = parameters
            .get("scope")
            .and_then(Scopes::known)
            .and_then(|scopes| scopes.within(&client.scopes))
            .and_then(|scopes| scopes.of_a_person())
            .ok_or(AuthorizeError::ScopeRefused)?;
        let launch = match parameters.get("launch") {
            Some(id) => Some(self.launched(id, &client)?),
            None if scopes.have(Word::Launch) => return Err(AuthorizeError::LaunchRefused),
            None => None,
        };
        Ok(AuthorizationRequest {
            client,
            redirect_uri: redirect_uri.to_owned(),
            state: state.to_owned(),
            launch: launch.filter(|_| scopes.have(Word::Launch)),
            scopes,
            challenge: challenge.to_owned(),
            nonce: parameters.get("nonce").map(str::to_owned),
            max_age: parameters.max_age()?,
        })
    }

    fn launched(&self, id: &str, client: &Client) -> Result<(String, Launch), AuthorizeError> {
        let now = self.clock.now();
        let name = secret::digest(id);
        let found = self.kept.find::<Launch>(Kind::Launch, &name, now);
        let found = found.map_err(|_| AuthorizeError::Unavailable)?;
        let launch = found.ok_or(AuthorizeError::LaunchRefused)?.value;
        let is_theirs = launch.client.as_ref().is_none_or(|id| *id == client.id);
        is_theirs
            .then_some((name, launch))
            .ok_or(AuthorizeError::LaunchRefused)
    }
}

struct Parameters<'a>(&'a [(String, String)]);

impl Parameters<'_> {
    /// RFC 6749 §3.1: no parameter is there twice.
    fn check(&self) -> Result<(), AuthorizeError> {
        let mut names: Vec<&String> = self.0.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let is_single = names.windows(2).all(|pair| pair.first() != pair.last());
        let is_short = self
            .0
            .iter()
            .all(|(_, value)| value.len() <= VALUE_BYTES_MAX);
        (is_single && is_short)
            .then_some(())
            .ok_or(AuthorizeError::Malformed)
    }

    /// OpenID Connect Core §3.1.2.1.
    fn max_age(&self) -> Result<Option<u64>, AuthorizeError> {
        let prompts = self.get("prompt").unwrap_or_default();
        if prompts.split(' ').any(|prompt| prompt == "login") {
            return Ok(Some(0));
        }
        let stated = self.get("max_age").map(str::parse).transpose();
        stated.map_err(|_| AuthorizeError::Malformed)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(one, _)| one == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

impl std::fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorizationRequest(..)")
    }
}
