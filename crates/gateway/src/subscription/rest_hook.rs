//! Posting notifications to subscribers, and to nobody else: only to origins that the operator has named.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url, redirect};
use thiserror::Error;

/// How long a subscriber may take that names no time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a notification was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum NotTaken {
    #[error("the endpoint is not among those to which this node may send")]
    NotAllowed,
    #[error("the subscriber cannot be reached")]
    Unreachable,
    #[error("the subscriber did not answer in time")]
    Late,
    #[error("the subscriber answered {0}")]
    Status(StatusCode),
    #[error("the subscriber's connection has ended")]
    Disconnected,
}

/// What posts.
pub(super) struct RestHooks {
    http: Option<reqwest::Client>,
    allowed: Vec<Origin>,
}

/// Scheme, host and port.
type Origin = (String, String, u16);

impl RestHooks {
    pub(super) fn new(allowed: &[String]) -> Self {
        // A redirect would lead where nobody has allowed it, and so would a proxy.
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build();
        if let Err(error) = &http {
            tracing::error!(%error, "notifications cannot be posted");
        }
        let mut origins = Vec::new();
        for text in allowed {
            match origin(text) {
                Some(origin) => origins.push(origin),
                None => tracing::error!(
                    "an allowed rest-hook is no origin with https, nor one of this machine: it is passed over"
                ),
            }
        }
        Self {
            http: http.ok(),
            allowed: origins,
        }
    }

    /// Whether notifications may be posted there.
    pub(super) fn permits(&self, endpoint: &str) -> bool {
        origin(endpoint).is_some_and(|origin| self.allowed.contains(&origin))
    }

    pub(super) async fn post(
        &self,
        endpoint: &str,
        headers: &[(String, String)],
        timeout: Option<Duration>,
        body: String,
    ) -> Result<(), NotTaken> {
        // The operator may have changed what is allowed since.
        if !self.permits(endpoint) {
            return Err(NotTaken::NotAllowed);
        }
        let http = self.http.as_ref().ok_or(NotTaken::Unreachable)?;
        let mut named = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) {
                value.set_sensitive(true);
                named.append(name, value);
            }
        }
        let answer = http
            .post(endpoint)
            .headers(named)
            .header(CONTENT_TYPE, "application/fhir+json")
            .timeout(timeout.unwrap_or(TIMEOUT))
            .body(body)
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(NotTaken::Status(answer.status())),
            Err(error) if error.is_timeout() => Err(NotTaken::Late),
            Err(_) => Err(NotTaken::Unreachable),
        }
    }
}

/// The origin of a URL with https, or of one of this machine.
fn origin(text: &str) -> Option<Origin> {
    let url = Url::parse(text).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = url.host_str()?.to_owned();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => return None,
    }
    let port = url.port_or_known_default()?;
    Some((url.scheme().to_owned(), host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_origins_are_posted_to() {
        let allowed = [
            "https://ehr.example",
            "http://127.0.0.1:9000",
            "http://ehr.example",
        ];
        let hooks = RestHooks::new(&allowed.map(str::to_owned));
        for endpoint in [
            "https://ehr.example/hook",
            "https://EHR.example:443/other?x=1",
            "http://127.0.0.1:9000/hook",
            "http://127.1:9000/hook",
        ] {
            assert!(hooks.permits(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://ehr.example/hook",
            "https://ehr.example:8443/hook",
            "https://ehr.example.org/hook",
            "https://user@ehr.example/hook",
            "https://169.254.169.254/latest",
            "http://127.0.0.1:9001/hook",
            "http://localhost:9000/hook",
            "file:///etc/passwd",
            "hook",
        ] {
            assert!(!hooks.permits(endpoint), "{endpoint}");
        }
        assert!(!RestHooks::new(&[]).permits("http://127.0.0.1:9000/"));
    }
}
