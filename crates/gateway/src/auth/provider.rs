//! An organisation's own identity provider (OpenID Connect): discovery, keys, code with PKCE, and what its ID token says.

mod keys;
mod mapping;

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Mutex;

use self::keys::Keys;
use self::mapping::Claims;
pub use self::mapping::{Mapping, Person};
use super::jws::{JwsError, Unverified};
use super::secret;
use super::user::User;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How far clocks may differ.
const SKEW: u64 = 60;
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The provider as it is written in the node's configuration.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProviderConfig {
    /// What the sign-in page calls it.
    pub name: String,
    /// The issuer, as its ID tokens name it.
    pub issuer: String,
    /// This node's client id there.
    pub client_id: String,
    /// This node's secret there, if it has one.
    #[serde(skip)]
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How its claims become a practitioner here.
    #[serde(default)]
    pub mapping: Mapping,
}

/// A provider, and what is known of it.
pub struct Provider {
    config: ProviderConfig,
    http: reqwest::Client,
    known: Mutex<Option<Metadata>>,
    keys: Keys,
}

/// Why nobody can sign in at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProviderError {
    #[error("the issuer is neither https nor on this machine")]
    IssuerNotUsable,
    #[error("no client for HTTP can be made")]
    NoClient,
    #[error("the identity provider does not answer as it should")]
    Unreachable,
    #[error("the identity provider's metadata is another issuer's")]
    OtherIssuer,
    #[error("the identity provider refused the code")]
    CodeRefused,
    #[error("the ID token is malformed, or not signed by the identity provider")]
    TokenRefused,
    #[error("the ID token is for another client")]
    OtherAudience,
    #[error("the ID token has expired, or is from the future")]
    NotNow,
    #[error("the ID token answers another request")]
    NonceWrong,
    #[error("the person is nobody here")]
    PersonUnknown,
}

#[derive(Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

/// What ties the provider's answer to the request.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

impl Provider {
    /// The provider of this configuration. It is asked for its metadata when somebody signs in.
    pub fn new(config: ProviderConfig) -> Result<Self, ProviderError> {
        if !is_usable(&config.issuer) {
            return Err(ProviderError::IssuerNotUsable);
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| ProviderError::NoClient)?;
        Ok(Self {
            config,
            http,
            known: Mutex::default(),
            keys: Keys::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Where the user goes to sign in.
    pub(super) async fn sign_in_url(
        &self,
        question: &Question,
        callback: &str,
        max_age: Option<u64>,
    ) -> Result<String, ProviderError> {
        let metadata = self.metadata().await?;
        let mut url =
            Url::parse(&metadata.authorization_endpoint).map_err(|_| ProviderError::Unreachable)?;
        let mut scope = String::from("openid");
        for one in &self.config.scopes {
            scope.push(' ');
            scope.push_str(one);
        }
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", callback)
            .append_pair("scope", &scope)
            .append_pair("state", &question.state)
            .append_pair("nonce", &question.nonce)
            .append_pair("code_challenge", &secret::challenge(&question.verifier))
            .append_pair("code_challenge_method", "S256");
        if let Some(seconds) = max_age {
            url.query_pairs_mut()
                .append_pair("max_age", &seconds.to_string());
        }
        Ok(url.into())
    }

    /// Who came back with this code, and when they signed in there: 0 if the provider does not say.
    pub(super) async fn person(
        &self,
        code: &str,
        question: &Question,
        callback: &str,
        now: u64,
    ) -> Result<(User, u64), ProviderError> {
        let metadata = self.metadata().await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", &question.verifier),
            ("client_id", &self.config.client_id),
        ];
        let mut request = self.http.post(&metadata.token_endpoint);
        request = match &self.config.client_secret {
            // RFC 6749 §2.3.1: both are encoded as in a form.
            Some(secret) => request
                .basic_auth(encoded(&self.config.client_id), Some(encoded(secret)))
                .form(form.get(..4).unwrap_or_default()),
            None => request.form(&form),
        };
        let answer = request.send().await;
        let answer = answer.map_err(|_| ProviderError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(ProviderError::CodeRefused);
        }
        let answer: Answer = read(answer).await?;
        let claims = self.checked(&answer.id_token, &metadata, now).await?;
        if claims.nonce.as_deref() != Some(&*question.nonce) {
            return Err(ProviderError::NonceWrong);
        }
        let at = claims.auth_time.unwrap_or(0).min(now);
        let user = self.config.mapping.user(&claims);
        user.map(|user| (user, at))
            .ok_or(ProviderError::PersonUnknown)
    }

    /// OpenID Connect Core §3.1.3.7.
    async fn checked(
        &self,
        text: &str,
        metadata: &Metadata,
        now: u64,
    ) -> Result<Claims, ProviderError> {
        let refused = |_: JwsError| ProviderError::TokenRefused;
        let token = Unverified::parse(text).map_err(refused)?;
        let keys = self
            .keys
            .get(&self.http, &metadata.jwks_uri, token.key_id(), now);
        let claims: Claims = token.verify(&keys.await?).map_err(refused)?;
        if claims.iss != metadata.issuer {
            return Err(ProviderError::OtherIssuer);
        }
        if !claims.is_for(&self.config.client_id) {
            return Err(ProviderError::OtherAudience);
        }
        let is_now = claims.exp.saturating_add(SKEW) > now
            && claims.iat.unwrap_or(now) <= now.saturating_add(SKEW);
        is_now.then_some(claims).ok_or(ProviderError::NotNow)
    }

    async fn metadata(&self) -> Result<Metadata, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(metadata) = &*known {
            return Ok(metadata.clone());
        }
        let issuer = self.config.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Metadata = fetch(&self.http, &url).await?;
        if metadata.issuer != self.config.issuer {
            return Err(ProviderError::OtherIssuer);
        }
        let places = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        if !places.iter().all(|url| is_usable(url)) {
            return Err(ProviderError::Unreachable);
        }
        Ok(known.insert(metadata).clone())
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderConfig({})", self.issuer)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.config.issuer)
    }
}

async fn fetch<T: DeserializeOwned>(http: &reqwest::Client, url: &str) -> Result<T, ProviderError> {
    let answer = http.get(url).send().await;
    let answer = answer.map_err(|_| ProviderError::Unreachable)?;
    if !answer.status().is_success() {
        return Err(ProviderError::Unreachable);
    }
    read(answer).await
}

async fn read<T: DeserializeOwned>(mut answer: reqwest::Response) -> Result<T, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|_| ProviderError::Unreachable)?
    {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(ProviderError::Unreachable);
        }
    }
    serde_json::from_slice(&body).map_err(|_| ProviderError::Unreachable)
}

/// https, or on this machine.
fn is_usable(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    })
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
