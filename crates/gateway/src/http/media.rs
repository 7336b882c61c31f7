//! JSON, and nothing else (<https://hl7.org/fhir/R4/http.html#mime-type>).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use interop::fhir::IssueType;
use serde_json::Value;

use super::payload::pairs_of;
use crate::problem::Problem;

/// The media type of R4 in JSON.
const FHIR_JSON: &str = "application/fhir+json";

/// Types that mean JSON to a FHIR client.
const JSON_TYPES: [&str; 3] = [FHIR_JSON, "application/json", "text/json"];
/// What operations answer beside JSON.
const CBOR: &str = "application/cbor";

/// A response with a resource.
pub(crate) fn fhir_json(status: StatusCode, resource: &Value) -> Response {
    let content_type = HeaderValue::from_static(FHIR_JSON);
    (
        status,
        [(header::CONTENT_TYPE, content_type)],
        resource.to_string(),
    )
        .into_response()
}

/// Lets a request through if it can be answered in a type that it accepts.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let format = request
        .uri()
        .query()
        .into_iter()
        .flat_map(pairs_of)
        .find(|(name, _)| name == "_format")
        .map(|(_, value)| value);
    let is_acceptable = match format {
        Some(format) => format == "json" || names_json(&format),
        None => accepts_known_type(request.headers()),
    };
    if is_acceptable {
        next.run(request).await
    } else {
        let status = StatusCode::NOT_ACCEPTABLE;
        let diagnostics = "resources are answered as application/fhir+json only";
        Problem::new(status, IssueType::NotSupported, diagnostics).into_response()
    }
}

/// Whether the body says that it is JSON; FHIR 4.0, if it names a release.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(names_json)
}

/// Whether an answer of this type is acceptable; any is if no type is named.
pub(crate) fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let mut ranges = headers.get_all(header::ACCEPT).iter().peekable();
    let (name, _) = essence(content_type);
    let group = name.split('/').next().unwrap_or_default();
    ranges.peek().is_none()
        || ranges
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|range| essence(range).0)
            .any(|range| range == "*/*" || range == name || range == format!("{group}/*"))
}

fn accepts_known_type(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(header::ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let (name, _) = essence(range);
            ["*/*", "application/*", CBOR].contains(&name.as_str()) || names_json(range)
        })
}

/// Whether a media type or range means FHIR in JSON.
pub(crate) fn names_json(text: &str) -> bool {
    // In a query `+` is a blank.
    let (name, mut parameters) = essence(text);
    let name = name.replace(' ', "+");
    JSON_TYPES.contains(&name.as_str())
        && parameters.all(|parameter| match parameter.split_once('=') {
            Some((key, value)) => match key.trim().to_ascii_lowercase().as_str() {
                "charset" => value.trim_matches([' ', '"']).eq_ignore_ascii_case("utf-8"),
                "fhirversion" => {
                    ["4.0", "4.0.0", "4.0.1"].contains(&value.trim_matches([' ', '"']))
                }
                _ => true,
            },
            None => true,
        })
}

fn essence(text: &str) -> (String, impl Iterator<Item = &str>) {
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    (name, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_its_names_is_accepted_and_nothing_else() {
        for (text, expected) in [
            ("application/fhir+json", true),
            ("application/fhir json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/fhir+json; fhirVersion=4.0", true),
            ("application/fhir+json; fhirVersion=5.0", false),
            ("application/json; charset=latin1", false),
            ("application/fhir+xml", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(names_json(text), expected, "{text}");
        }
    }

    #[test]
    fn one_acceptable_range_is_enough() {
        let accepts = |text: &'static str| {
            let headers = [(header::ACCEPT, HeaderValue::from_static(text))];
            accepts_known_type(&headers.into_iter().collect())
        };
        assert!(accepts_known_type(&HeaderMap::new()));
        assert!(accepts("text/html, */*;q=0.1"));
        assert!(accepts("application/xml, application/fhir+json"));
        assert!(!accepts("application/fhir+xml"));
    }
}
