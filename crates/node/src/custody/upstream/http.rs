//! The existing server over HTTP: <https://hl7.org/fhir/R4/http.html>
//!
//! Redirects are not followed, answers are bounded, and links to other pages lead to the same server or nowhere.

mod bundle;

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use futures::future::BoxFuture;
use interop::fhir::ResourceType;
use interop::fhir::resource::is_id;
use interop::fhir::timespan::format_instant;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, ETAG, HeaderMap, IF_MATCH, LAST_MODIFIED};
use reqwest::{Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;
use zeroize::Zeroizing;

use super::server::{ExistingServer, Listing, Outgoing, Page, Stored, UpstreamError};
use bundle::{current_of, page_of, stored_of, transaction_of, versions_of};

const FHIR_JSON: &str = "application/fhir+json";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer.
const BYTES_MAX: usize = 64 << 20;
/// Entries on a page.
const COUNT: &str = "200";

/// Where the existing server is.
#[derive(Debug, Clone)]
pub struct HttpServerConfig {
    /// Its base URL.
    pub base_url: String,
    /// A file with the bearer token that it wants; read for each request, so that it can be renewed.
    pub token_file: Option<PathBuf>,
}

/// Why a base URL does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerConfigError {
    /// It is no URL with https, nor one of this machine.
    #[error("the existing server's URL is none with https, nor one of this machine")]
    NotHttps,
    /// It has a query, a fragment or a password.
    #[error("the existing server's URL has more than scheme, host, port and path")]
    NotABase,
    /// There is no way to make requests.
    #[error("no requests can be made with the system's certificates")]
    NoClient,
}

/// A FHIR server that is reached over HTTP.
pub struct HttpServer {
    http: reqwest::Client,
    base: Url,
    token_file: Option<PathBuf>,
}

/// What came back, with a body that is JSON or empty.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<Value>,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServer").finish_non_exhaustive()
    }
}

impl HttpServer {
    /// A server at the base URL: with https, or on this machine.
    pub fn new(config: HttpServerConfig) -> Result<Self, ServerConfigError> {
        let mut base = Url::parse(&config.base_url).map_err(|_| ServerConfigError::NotHttps)?;
        let host = base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
        match base.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => return Err(ServerConfigError::NotHttps),
        }
        let is_plain = base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if !is_plain {
            return Err(ServerConfigError::NotABase);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // A redirect would lead where nobody has allowed it.
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| ServerConfigError::NoClient)?;
        Ok(Self {
            http,
            base,
            token_file: config.token_file,
        })
    }

    fn url(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Url, UpstreamError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| UpstreamError::Unsound("its URL has no path"))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn url_of(&self, listing: &Listing) -> Result<Url, UpstreamError> {
        let count = ("_count", COUNT.to_owned());
        let since = |ms: u64| ("_since", instant(ms));
        match listing {
            Listing::System { since_ms } => self.url(&["_history"], &[since(*since_ms), count]),
            Listing::Type {
                resource_type,
                since_ms,
            } => {
                let path = [resource_type.as_str(), "_history"];
                self.url(&path, &[since(*since_ms), count])
            }
            Listing::Current {
                resource_type,
                since_ms,
            } => {
                let mut query = vec![("_sort", "_lastUpdated".to_owned()), count];
                if *since_ms > 0 {
                    query.push(("_lastUpdated", format!("ge{}", instant(*since_ms))));
                }
                self.url(&[resource_type.as_str()], &query)
            }
            Listing::Document { resource_type, id } => {
                self.url(&[resource_type.as_str(), id, "_history"], &[count])
            }
            Listing::Further(url) => self.further(url),
        }
    }

    /// A link, if it leads to this server.
    fn further(&self, link: &str) -> Result<Url, UpstreamError> {
        let url = self.base.join(link);
        let url = url.map_err(|_| UpstreamError::Unsound("a link is no URL"))?;
        let is_below = url.path().starts_with(self.base.path())
            || url.path() == self.base.path().trim_end_matches('/');
        if url.origin() != self.base.origin() || !is_below {
            return Err(UpstreamError::Unsound("a link leads to another server"));
        }
        Ok(url)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url).header(ACCEPT, FHIR_JSON);
        let token = self.token_file.as_ref().and_then(|file| {
            let token = std::fs::read_to_string(file);
            token.map(Zeroizing::new).ok()
        });
        match token {
            Some(token) => request.bearer_auth(token.trim()),
            None => request,
        }
    }

    /// Sends a request; an answer of whatever status.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, UpstreamError> {
        let mut answer = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                UpstreamError::Unreachable
            } else {
                UpstreamError::OutcomeUnknown
            }
        })?;
        let broken_off = |_| UpstreamError::OutcomeUnknown;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(broken_off)? {
            if body.len().saturating_add(piece.len()) > BYTES_MAX {
                return Err(UpstreamError::Unsound("it is too long"));
            }
            body.extend_from_slice(&piece);
        }
        let status = answer.status();
        match status.as_u16() {
            200..=299 => {}
            404 | 410 => return Err(UpstreamError::Missing),
            409 | 412 => return Err(UpstreamError::Overtaken),
            429 | 503 => return Err(UpstreamError::Unreachable),
            501 => return Err(UpstreamError::Refused(501)),
            500..=599 => return Err(UpstreamError::OutcomeUnknown),
            other => return Err(UpstreamError::Refused(other)),
        }
        Ok(Answer {
            status,
            headers: answer.headers().clone(),
            body: serde_json::from_slice(&body).ok(),
        })
    }

    async fn get(&self, url: Url) -> Result<Value, UpstreamError> {
        let answer = self.send(self.request(Method::GET, url)).await?;
        answer.body.ok_or(UpstreamError::Unsound("it is not JSON"))
    }

    async fn read_version(
        &self,
        resource_type: ResourceType,
        id: &str,
        version_id: &str,
    ) -> Result<Value, UpstreamError> {
        let path = [resource_type.as_str(), id, "_history", version_id];
        self.get(self.url(&path, &[])?).await
    }

    async fn put(&self, change: &Outgoing, content: &Value) -> Result<Stored, UpstreamError> {
        let url = self.url(&[change.resource_type.as_str(), &change.id], &[])?;
        let request = self.request(Method::PUT, url);
        let request = request
            .header(CONTENT_TYPE, FHIR_JSON)
            .header("Prefer", "return=representation")
            .body(content.to_string());
        let answer = self.send(matching(request, change)).await?;
        let version_id = version_in(&answer.headers);
        let content = match answer.body {
            Some(body) if body.get("resourceType") == content.get("resourceType") => body,
            // It keeps to itself what it made of it.
            _ => {
                let version_id = version_id.ok_or(UpstreamError::OutcomeUnknown)?;
                let read = self.read_version(change.resource_type, &change.id, &version_id);
                read.await.map_err(|_| UpstreamError::OutcomeUnknown)?
            }
        };
        stored_of(content).ok_or(UpstreamError::OutcomeUnknown)
    }

    async fn delete(&self, change: &Outgoing) -> Result<Stored, UpstreamError> {
        let url = self.url(&[change.resource_type.as_str(), &change.id], &[])?;
        let answer = self
            .send(matching(self.request(Method::DELETE, url), change))
            .await;
        let headers = match answer {
            Ok(answer) => answer.headers,
            // It is gone already.
            Err(UpstreamError::Missing) => HeaderMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Stored {
            version_id: version_in(&headers),
            at_ms: time_in(&headers).unwrap_or(0),
            content: None,
        })
    }

    /// Several changes, all or none.
    async fn transact(&self, changes: &[Outgoing]) -> Result<Vec<Stored>, UpstreamError> {
        let request = self.request(Method::POST, self.base_without_slash());
        let request = request
            .header(CONTENT_TYPE, FHIR_JSON)
            .header("Prefer", "return=representation")
            .body(transaction_of(changes).to_string());
        let answer = self.send(request).await?;
        let body = answer.body.ok_or(UpstreamError::OutcomeUnknown)?;
        let mut versions = versions_of(changes, &body).ok_or(UpstreamError::OutcomeUnknown)?;
        for (change, stored) in changes.iter().zip(&mut versions) {
            if change.content.is_none() || stored.content.is_some() {
                continue;
            }
            let version_id = stored.version_id.as_deref();
            let version_id = version_id.ok_or(UpstreamError::OutcomeUnknown)?;
            let read = self.read_version(change.resource_type, &change.id, version_id);
            let content = read.await.map_err(|_| UpstreamError::OutcomeUnknown)?;
            *stored = stored_of(content).ok_or(UpstreamError::OutcomeUnknown)?;
        }
        Ok(versions)
    }

    fn base_without_slash(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path(self.base.path().trim_end_matches('/'));
        url
    }

    async fn page(&self, listing: &Listing) -> Result<Page, UpstreamError> {
        let bundle = self.get(self.url_of(listing)?).await?;
        let kind = bundle.get("type").and_then(Value::as_str);
        let mut page = match (listing, kind) {
            (Listing::Current { .. } | Listing::Further(_), Some("searchset")) => {
                current_of(&bundle)
            }
            // Some servers take `_history` for the name of a type and find nothing.
            (_, Some("searchset")) => return Err(UpstreamError::Missing),
            _ => page_of(&bundle),
        }
        .ok_or(UpstreamError::Unsound("it is no Bundle"))?;
        if let Listing::Current { since_ms, .. } = listing {
            // Not every server understands the parameter.
            page.found.retain(|found| found.at_ms >= *since_ms);
        }
        Ok(page)
    }
}

impl ExistingServer for HttpServer {
    fn version<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
        version_id: &'a str,
    ) -> BoxFuture<'a, Result<Value, UpstreamError>> {
        Box::pin(self.read_version(resource_type, id, version_id))
    }

    fn write<'a>(
        &'a self,
        changes: &'a [Outgoing],
    ) -> BoxFuture<'a, Result<Vec<Stored>, UpstreamError>> {
        Box::pin(async move {
            match changes {
                [only] => {
                    let stored = match &only.content {
                        Some(content) => self.put(only, content).await?,
                        None => self.delete(only).await?,
                    };
                    Ok(vec![stored])
                }
                several => self.transact(several).await,
            }
        })
    }

    fn list<'a>(&'a self, what: &'a Listing) -> BoxFuture<'a, Result<Page, UpstreamError>> {
        Box::pin(self.page(what))
    }

    fn types(&self) -> BoxFuture<'_, Result<Vec<ResourceType>, UpstreamError>> {
        Box::pin(async move {
            let statement = self.get(self.url(&["metadata"], &[])?).await?;
            let types = statement.pointer("/rest/0/resource");
            let types = types.and_then(Value::as_array).into_iter().flatten();
            let names = types.filter_map(|one| one.get("type")?.as_str());
            Ok(names.filter_map(ResourceType::parse).collect())
        })
    }

    fn purge<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, UpstreamError>> {
        Box::pin(async move {
            let url = self.url(&[resource_type.as_str(), id, "_history"], &[])?;
            match self.send(self.request(Method::DELETE, url)).await {
                Ok(answer) => Ok(answer.status.is_success()),
                Err(UpstreamError::Unreachable) => Err(UpstreamError::Unreachable),
                Err(_) => Ok(false),
            }
        })
    }
}

fn matching(request: RequestBuilder, change: &Outgoing) -> RequestBuilder {
    match &change.if_match {
        Some(version_id) => request.header(IF_MATCH, format!("W/\"{version_id}\"")),
        None => request,
    }
}

fn version_in(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    version_of_etag(etag)
}

/// When the answer was made, or what it is about.
fn time_in(headers: &HeaderMap) -> Option<u64> {
    let time = headers.get(LAST_MODIFIED).or_else(|| headers.get(DATE))?;
    let time = httpdate::parse_http_date(time.to_str().ok()?).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn version_of_etag(etag: &str) -> Option<String> {
    let name = etag.trim_start_matches("W/").trim_matches('"');
    is_id(name).then(|| name.to_owned())
}

fn instant(ms: u64) -> String {
    format_instant(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
