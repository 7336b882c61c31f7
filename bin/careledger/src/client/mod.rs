//! A client of a member's FHIR API: SMART Backend Services, and answers that say what went wrong.

mod answer;
mod assertion;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::network::Credential;

pub(crate) use answer::Answer;
pub(crate) use assertion::{ClientKey, User};

const TIMEOUT: Duration = Duration::from_secs(120);
/// A token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;

/// Talks to one member, for one client system and one user.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
    key: ClientKey,
    user: User,
    token: Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    text: String,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

/// What goes out.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The connections that clients share.
pub(crate) fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?)
}

impl Request {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            body: body.to_string().into_bytes(),
            headers: Vec::new(),
        }
    }

    fn names(&self, header: &str) -> bool {
        self.headers.iter().any(|(name, _)| name == header)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> anyhow::Result<Self> {
        let header = (HeaderName::from_static(name), HeaderValue::from_str(value)?);
        self.headers.push(header);
        Ok(self)
    }
}

impl Client {
    /// A client of the member at `base_url`.
    pub(crate) fn new(http: &reqwest::Client, base_url: &str, key: ClientKey, user: User) -> Self {
        Self {
            http: http.clone(),
            base_url: base_url.to_owned(),
            key,
            user,
            token: Mutex::new(None),
        }
    }

    /// A client system of the member that its credential names.
    pub(crate) fn of_system(
        http: &reqwest::Client,
        credential: &Credential,
        user: User,
        scope: &str,
    ) -> anyhow::Result<Self> {
        let base_url = credential.token_url.strip_suffix("/oauth2/token");
        let base_url =
            base_url.context("the credential's token URL does not end in /oauth2/token")?;
        let key = ClientKey::of_system(credential, scope)?;
        Ok(Self::new(http, base_url, key, user))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, &Request::default()).await
    }

    /// The resources that a search finds, page after page.
    pub(crate) async fn found(&self, query: String) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut next = Some(query);
        while let Some(path) = next.take() {
            let mut bundle = self.get(&path).await?.ok()?.json()?;
            let link = bundle["link"].as_array().and_then(|links| {
                let mut links = links.iter().filter(|link| link["relation"] == "next");
                links.next()?["url"].as_str()?.split_once("/fhir")
            });
            next = link.map(|(_, path)| path.trim_start_matches('/').to_owned());
            let entries = bundle["entry"].as_array_mut().into_iter().flatten();
            found.extend(entries.map(|entry| entry["resource"].take()));
        }
        Ok(found)
    }

    pub(crate) async fn post(&self, path: &str, request: &Request) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, request).await
    }

    pub(crate) async fn put(&self, path: &str, request: &Request) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, request).await
    }

    /// The clients that were registered while the node runs.
    pub(crate) async fn clients(&self) -> anyhow::Result<Answer> {
        self.at_clients(Method::GET, "", None).await
    }

    /// Registers a client with this metadata (RFC 7591).
    pub(crate) async fn register_client(&self, metadata: &Value) -> anyhow::Result<Answer> {
        self.at_clients(Method::POST, "", Some(metadata)).await
    }

    pub(crate) async fn remove_client(&self, id: &str) -> anyhow::Result<Answer> {
        self.at_clients(Method::DELETE, &format!("/{id}"), None)
            .await
    }

    async fn at_clients(
        &self,
        method: Method,
        below: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}/oauth2/clients{below}", self.base_url);
        let request = self.http.request(method, &url);
        let mut request = request.bearer_auth(self.token().await?);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await;
        Answer::of(answer.with_context(|| unreachable(&self.base_url))?).await
    }

    /// The token that requests carry, renewed when it is about to expire.
    pub(crate) async fn token(&self) -> anyhow::Result<String> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.text.clone());
        }
        let url = format!("{}/oauth2/token", self.base_url);
        let assertion = self.key.assertion(&url, &self.user)?;
        let form = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion.as_str()),
            ("scope", self.key.scope()),
        ];
        let answer = self.http.post(&url).form(&form).send().await;
        let answer = Answer::of(answer.with_context(|| unreachable(&self.base_url))?).await?;
        let answer: TokenAnswer = serde_json::from_slice(answer.ok()?.bytes())?;
        let lifetime = Duration::from_secs(answer.expires_in);
        let text = answer.access_token;
        *token = Some(Token {
            text: text.clone(),
            until: Instant::now() + lifetime.saturating_sub(EARLY),
        });
        Ok(text)
    }

    /// An assertion that is made for one request alone, at this path of the FHIR API.
    pub(crate) fn assertion_for(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}/fhir/{path}", self.base_url);
        self.key.assertion(&url, &self.user)
    }

    /// Reads with a token that was given, such as one for an emergency.
    pub(crate) async fn get_with(&self, token: &str, path: &str) -> anyhow::Result<Answer> {
        let url = format!("{}/fhir/{path}", self.base_url);
        let answer = self.http.get(url).bearer_auth(token).send().await;
        Answer::of(answer.with_context(|| unreachable(&self.base_url))?).await
    }

    /// Sends; what cannot be reached is tried again if doing it twice does no harm.
    async fn send(&self, method: Method, path: &str, request: &Request) -> anyhow::Result<Answer> {
        let url = format!("{}/fhir/{path}", self.base_url);
        let mut attempt = 1;
        loop {
            let mut outgoing = self
                .http
                .request(method.clone(), &url)
                .bearer_auth(self.token().await?);
            if !request.names("accept") {
                outgoing =
                    outgoing.header("accept", "application/fhir+json, application/cbor;q=0.9");
            }
            if !request.body.is_empty() {
                outgoing = outgoing.body(request.body.clone());
                if !request.names("content-type") {
                    outgoing = outgoing.header("content-type", "application/fhir+json");
                }
            }
            for (name, value) in &request.headers {
                outgoing = outgoing.header(name, value);
            }
            match outgoing.send().await {
                Ok(answer) => return Answer::of(answer).await,
                Err(error)
                    if attempt < ATTEMPTS && (error.is_connect() || method == Method::GET) =>
                {
                    tokio::time::sleep(Duration::from_millis(100) * attempt).await;
                    attempt += 1;
                }
                Err(error) => return Err(error).with_context(|| unreachable(&self.base_url)),
            }
        }
    }
}

fn unreachable(base_url: &str) -> String {
    format!("{base_url} does not answer: is the node running?")
}
