//! Answers, and what every problem among them must be like.

use axum::body::to_bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::{PLANTED, log};

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) text: String,
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The answer is this problem: an outcome with this first code, that repeats nothing planted,
    /// neither itself nor in the log; and a denial names its exception to information blocking. Returns its diagnostics.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/fhir+json");
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issue = &outcome["issue"][0];
        assert_eq!(issue["code"], code, "{}", self.text);
        if status == 403 {
            let coding = &issue["details"]["coding"][0];
            assert_eq!(coding["system"], contracts::blocking::SYSTEM, "{outcome}");
            let code = coding["code"].as_str().unwrap();
            assert!(contracts::blocking::Exception::parse(code).is_some());
        }
        self.repeats_nothing();
        issue["diagnostics"].as_str().unwrap().to_owned()
    }

    /// The answer is this error of RFC 6749, that repeats nothing planted.
    #[track_caller]
    pub(crate) fn oauth_error(&self, status: u16, error: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json()["error"], error, "{}", self.text);
        self.repeats_nothing();
    }

    #[track_caller]
    pub(crate) fn repeats_nothing(&self) {
        let log = log::text();
        let headers = format!("{:?}", self.headers);
        for planted in PLANTED {
            assert!(!self.text.contains(planted), "the answer repeats {planted}");
            assert!(!headers.contains(planted), "a header repeats {planted}");
            assert!(!log.contains(planted), "the log repeats {planted}");
        }
    }
}
