//! Preconditions of reads and writes: <https://hl7.org/fhir/R4/http.html#concurrency> and
//! <https://hl7.org/fhir/R4/http.html#cread>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use interop::fhir::etag;
use interop::fhir::transaction::Expected;

use crate::problem::Problem;

/// What must hold of the current version for an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expecting(pub(crate) Expected);

/// The version that a reader has already (`If-None-Match`, `If-Modified-Since`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    etags: Vec<String>,
    since: Option<SystemTime>,
}

impl<S: Send + Sync> FromRequestParts<S> for Expecting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        expected(&parts.headers).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(known(&parts.headers))
    }
}

impl Known {
    /// Whether the reader has this version. `If-None-Match` outweighs `If-Modified-Since` (RFC 9110 §13.2.2).
    pub(super) fn has(&self, version: u64, last_updated_ms: u64) -> bool {
        if !self.etags.is_empty() {
            return self
                .etags
                .iter()
                .any(|one| one == "*" || etag::parse(one) == Some(version));
        }
        // The header counts whole seconds.
        let written = UNIX_EPOCH + Duration::from_secs(last_updated_ms / 1_000);
        self.since.is_some_and(|since| written <= since)
    }
}

fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    // To pass over a precondition would be to write what the client did not want written.
    if headers.contains_key(header::IF_UNMODIFIED_SINCE) {
        return Err(Problem::not_supported(
            "If-Unmodified-Since is not supported; use If-Match",
        ));
    }
    let one = |name: header::HeaderName, label: &'static str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Problem::header(label)),
            _ => Err(Problem::header(label)),
        }
    };
    let none_match = one(header::IF_NONE_MATCH, "If-None-Match")?;
    let matches = one(header::IF_MATCH, "If-Match")?;
    match (none_match.map(str::trim), matches) {
        (None, None) => Ok(Expected::Anything),
        (Some("*"), None) => Ok(Expected::Nothing),
        (None, Some(text)) => etag::parse(text.trim())
            .map(Expected::Version)
            .ok_or_else(|| Problem::header("If-Match")),
        (Some(_), _) => Err(Problem::header("If-None-Match")),
    }
}

fn known(headers: &HeaderMap) -> Known {
    let texts = |name| {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    let etags = texts(header::IF_NONE_MATCH)
        .flat_map(|text| text.split(','))
        .map(|text| text.trim().to_owned())
        .collect();
    let since = texts(header::IF_MODIFIED_SINCE)
        .next()
        .and_then(|text| httpdate::parse_http_date(text).ok());
    Known { etags, since }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_update_expects_a_version_or_none_or_anything() {
        for (pairs, wanted) in [
            (vec![], Some(Expected::Anything)),
            (vec![("if-match", r#"W/"3""#)], Some(Expected::Version(3))),
            (vec![("if-none-match", "*")], Some(Expected::Nothing)),
            (vec![("if-none-match", r#"W/"3""#)], None),
            (vec![("if-match", "3")], None),
            (vec![("if-match", r#""3""#), ("if-match", r#""4""#)], None),
            (vec![("if-match", r#""3""#), ("if-none-match", "*")], None),
            (vec![("if-unmodified-since", "x")], None),
        ] {
            assert_eq!(expected(&headers(&pairs)).ok(), wanted, "{pairs:?}");
        }
    }

    #[test]
    fn a_reader_has_a_version_by_etag_or_else_by_time() {
        let has = |pairs: &[(&'static str, &'static str)]| {
            // 1994-11-06T08:49:37.500Z
            known(&headers(pairs)).has(3, 784_111_777_500)
        };
        let same = ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
        let before = ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT");
        assert!(!has(&[]));
        assert!(has(&[("if-none-match", r#"W/"2", W/"3""#)]));
        assert!(has(&[("if-none-match", "*")]));
        assert!(!has(&[("if-none-match", r#"W/"2""#), same]));
        assert!(has(&[same]));
        assert!(!has(&[before]));
        assert!(!has(&[("if-modified-since", "rubbish")]));
    }
}
