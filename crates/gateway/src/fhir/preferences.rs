//! `Prefer`, `If-Match` and other headers that shape an interaction.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use interop::fhir::search::Handling;

use crate::problem::Problem;

/// What a write answers (`Prefer: return=…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

/// The preferences of a request; what is not known among them is passed over (RFC 7240 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// Without one, each interaction has its own default.
    pub(crate) answer: Option<Return>,
    pub(crate) handling: Handling,
}

/// The version that must be current (`If-Match: W/"3"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IfMatch(pub(crate) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Preferences {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(preferences(&parts.headers))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // To pass over a precondition would be to write what the client did not want written.
        let unknown = [header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE];
        if unknown.iter().any(|name| parts.headers.contains_key(name)) {
            return Err(Problem::not_supported(
                "If-Match is the only precondition that is known here",
            ));
        }
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let version = value.to_str().ok().and_then(version_of_etag);
        version
            .map(|version| Self(Some(version)))
            .ok_or_else(|| Problem::header("If-Match"))
    }
}

fn preferences(headers: &HeaderMap) -> Preferences {
    let mut preferences = Preferences {
        answer: None,
        handling: Handling::Lenient,
    };
    let words = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']));
    for word in words {
        match word.trim().replace('"', "").as_str() {
            "return=minimal" => preferences.answer = Some(Return::Minimal),
            "return=representation" => preferences.answer = Some(Return::Representation),
            "return=OperationOutcome" => preferences.answer = Some(Return::OperationOutcome),
            "handling=strict" => preferences.handling = Handling::Strict,
            "handling=lenient" => preferences.handling = Handling::Lenient,
            _ => {}
        }
    }
    preferences
}

fn version_of_etag(text: &str) -> Option<u64> {
    let quoted = text.trim();
    let quoted = quoted.strip_prefix("W/").unwrap_or(quoted);
    let digits = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_from_one_header_or_several() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            let read = preferences(&headers);
            (read.answer, read.handling)
        };
        assert_eq!(read(&[]), (None, Handling::Lenient));
        assert_eq!(
            read(&["return=minimal", "handling=strict"]),
            (Some(Return::Minimal), Handling::Strict)
        );
        assert_eq!(
            read(&["respond-async, return=\"representation\"; handling=strict"]),
            (Some(Return::Representation), Handling::Strict)
        );
    }

    #[test]
    fn an_etag_is_a_quoted_version() {
        for (text, version) in [
            (r#"W/"3""#, Some(3)),
            (r#""3""#, Some(3)),
            ("3", None),
            ("*", None),
            (r#"W/"+3""#, None),
            (r#"W/"""#, None),
        ] {
            assert_eq!(version_of_etag(text), version, "{text}");
        }
    }
}
