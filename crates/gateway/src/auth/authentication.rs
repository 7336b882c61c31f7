//! Which client sends a request to the token endpoint, and how it shows that (T5).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::assertion::{self, AssertionError, User};
use super::client::Client;
use super::replay::Use;
use super::secret;
use super::server::{AuthorizationServer, TokenError};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Public and confidential clients may not show more than this.
const SECRET_BYTES_MAX: usize = 512;

/// What a request says of its client.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) client_id: Option<String>,
    pub(super) assertion_type: Option<String>,
    pub(super) assertion: Option<String>,
    /// The `Authorization` header, if it is Basic.
    pub(super) basic: Option<Basic>,
}

/// Id and secret.
pub(super) struct Basic {
    id: String,
    secret: String,
}

/// A client that has shown who it is.
pub(super) struct Authenticated {
    pub(super) client: Client,
    /// For whom it speaks, in an assertion.
    pub(super) user: Option<User>,
    pub(super) how: How,
}

/// How a client has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Assertion,
    Secret,
    /// It only said so: it is public.
    Nothing,
}

impl Basic {
    /// Of an `Authorization` header; both parts are encoded as in a form (RFC 6749 §2.3.1).
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, TokenError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| TokenError::RequestMalformed)?;
        let Some((scheme, encoded)) = text.split_once(' ') else {
            return Err(TokenError::RequestMalformed);
        };
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 2 * SECRET_BYTES_MAX {
            return Err(TokenError::RequestMalformed);
        }
        let decoded = STANDARD
            .decode(encoded.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(TokenError::RequestMalformed)?;
        let (id, secret) = decoded
            .split_once(':')
            .ok_or(TokenError::RequestMalformed)?;
        Ok(Some(Self {
            id: form_decoded(id),
            secret: form_decoded(secret),
        }))
    }
}

impl AuthorizationServer {
    /// The client, shown in one way and not in several.
    pub(super) async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<Authenticated, TokenError> {
        match (&credentials.assertion, &credentials.basic) {
            (Some(_), Some(_)) => Err(TokenError::SeveralAuthentications),
            (Some(assertion), None) => self.by_assertion(credentials, assertion).await,
            (None, Some(basic)) => self.by_secret(credentials, basic).await,
            (None, None) => {
                let id = credentials.client_id.as_deref();
                let id = id.ok_or(TokenError::AuthenticationMissing)?;
                let client = self.client(id).await?;
                let client = client.filter(|client| client.is_public);
                Ok(Authenticated {
                    client: client.ok_or(TokenError::AuthenticationMissing)?,
                    user: None,
                    how: How::Nothing,
                })
            }
        }
    }

    async fn by_assertion(
        &self,
        credentials: &Credentials,
        text: &str,
    ) -> Result<Authenticated, TokenError> {
        if credentials.assertion_type.as_deref() != Some(ASSERTION_TYPE) {
            return Err(TokenError::AuthenticationMissing);
        }
        let now = self.clock.now();
        let claimed = assertion::claimed_client(text, credentials.client_id.as_deref())?;
        let client = self.client(&claimed).await?;
        let client = client.ok_or(AssertionError::ClientUnknown)?;
        let audience = [self.url("/oauth2/token")];
        let checked = assertion::check(text, &client, &audience, now)?;
        let used = {
            let mut used = self.used();
            used.first_use(&client.id, &checked.jti, checked.expires_at, now)
        };
        match used {
            Use::First => Ok(Authenticated {
                client,
                user: Some(checked.user),
                how: How::Assertion,
            }),
            Use::Again => Err(AssertionError::Replayed.into()),
            Use::Full => Err(TokenError::Unavailable),
        }
    }

    async fn by_secret(
        &self,
        credentials: &Credentials,
        basic: &Basic,
    ) -> Result<Authenticated, TokenError> {
        let named = credentials.client_id.as_ref();
        if named.is_some_and(|id| *id != basic.id) {
            return Err(AssertionError::NotOneClient.into());
        }
        let (now, name) = (self.clock.now(), format!("client/{}", basic.id));
        if basic.secret.len() > SECRET_BYTES_MAX || self.guesses.attempt(&name, now).is_err() {
            return Err(TokenError::SecretRefused);
        }
        let client = self.client(&basic.id).await?;
        let expected = client
            .as_ref()
            .and_then(|client| client.secret_sha256.clone());
        // Unknown clients take as long as wrong secrets.
        let is_right = secret::is_of(&basic.secret, &expected.unwrap_or_default());
        match client {
            Some(client) if is_right => {
                self.guesses.succeeded(&name);
                Ok(Authenticated {
                    client,
                    user: None,
                    how: How::Secret,
                })
            }
            _ => {
                tracing::warn!(event = "client_secret_refused", "security");
                Err(TokenError::SecretRefused)
            }
        }
    }
}

fn form_decoded(text: &str) -> String {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}
