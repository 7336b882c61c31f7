//! Posting notifications to subscribers, and to nobody else: only to origins that the operator has named.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::http::{Origins, outgoing};

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
    #[error("the receiver answered AE: it does not take this message")]
    Refused,
    #[error("the receiver answered AR: it takes no message now")]
    Rejected,
}

/// What posts.
pub(super) struct RestHooks {
    http: Option<reqwest::Client>,
    allowed: Origins,
}

impl RestHooks {
    pub(super) fn new(allowed: &[String]) -> Self {
        let http = outgoing().timeout(TIMEOUT).build();
        if let Err(error) = &http {
            tracing::error!(%error, "notifications cannot be posted");
        }
        Self {
            http: http.ok(),
            allowed: Origins::new(allowed),
        }
    }

    /// Whether notifications may be posted there.
    pub(super) fn permits(&self, endpoint: &str) -> bool {
        self.allowed.permit(endpoint)
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
