//! Where this node sends requests of its own: only to origins that the operator has named.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Origins that are allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Vec<Origin>);

/// Scheme, host and port.
type Origin = (String, String, u16);

impl Origins {
    /// Those that are origins with https, or of this machine; others are passed over, and said to be.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let mut origins = Vec::new();
        for text in allowed {
            match origin(text) {
                Some(origin) => origins.push(origin),
                None => tracing::error!(
                    "an allowed origin has no https, and is not of this machine: it is passed over"
                ),
            }
        }
        Self(origins)
    }

    /// Whether requests may go to this URL.
    pub(crate) fn permit(&self, url: &str) -> bool {
        origin(url).is_some_and(|origin| self.0.contains(&origin))
    }
}

/// What builds a client that goes where it is sent and nowhere else: a redirect would lead where nobody has allowed it, and
/// so would a proxy.
pub(crate) fn outgoing() -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
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
    fn only_allowed_origins_are_asked() {
        let allowed = [
            "https://ehr.example",
            "http://127.0.0.1:9000",
            "http://ehr.example",
        ];
        let origins = Origins::new(&allowed.map(str::to_owned));
        for url in [
            "https://ehr.example/hook",
            "https://EHR.example:443/other?x=1",
            "http://127.0.0.1:9000/hook",
            "http://127.1:9000/hook",
        ] {
            assert!(origins.permit(url), "{url}");
        }
        for url in [
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
            assert!(!origins.permit(url), "{url}");
        }
        assert!(!Origins::new(&[]).permit("http://127.0.0.1:9000/"));
    }
}
