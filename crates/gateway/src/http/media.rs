//! Resources in JSON and XML: <https://hl7.org/fhir/R4/http.html#mime-type>
//!
//! The interactions know JSON alone. What a client sends as XML is read as JSON (`payload`), and an answer is written
//! in the form that the client accepts on its way out, an `OperationOutcome` too.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use interop::fhir::xml::to_xml;
use interop::fhir::{IssueType, labels};
use serde_json::Value;

use super::payload::pairs_of;
use crate::problem::Problem;

/// The media type of R4 in JSON.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";
/// The media type of R4 in XML.
pub(crate) const FHIR_XML: &str = "application/fhir+xml";

/// Types that mean JSON to a FHIR client.
const JSON_TYPES: [&str; 3] = [FHIR_JSON, "application/json", "text/json"];
/// Types that mean XML to a FHIR client.
const XML_TYPES: [&str; 3] = [FHIR_XML, "application/xml", "text/xml"];
/// What operations and exports answer beside resources; they look at `Accept` themselves.
const OTHER_TYPES: [&str; 4] = [
    "application/cbor",
    "application/fhir+ndjson",
    "application/jose",
    "application/ld+json",
];

/// How a resource is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
}

/// A response with a resource.
pub(crate) fn fhir_json(status: StatusCode, resource: &Value) -> Response {
    let content_type = HeaderValue::from_static(FHIR_JSON);
    let body = if labels::is_to_be_marked(resource) {
        let mut marked = resource.clone();
        labels::high_water_mark(&mut marked);
        marked.to_string()
    } else {
        resource.to_string()
    };
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Lets a request through if it can be answered in a form that it accepts, and answers in that form.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let (mut asked, mut is_pretty) = (None, false);
    for (name, value) in request.uri().query().into_iter().flat_map(pairs_of) {
        match name.as_str() {
            "_format" => asked = Some(value),
            "_pretty" => is_pretty = value == "true",
            _ => {}
        }
    }
    let format = match asked {
        Some(text) => format_named(&text),
        None => accepted(request.headers()),
    };
    match format {
        Some(format) => written(next.run(request).await, format, is_pretty).await,
        // A report is also a page and a table, a CCD is no resource.
        None if has_own_forms(request.uri().path()) => next.run(request).await,
        None => {
            let status = StatusCode::NOT_ACCEPTABLE;
            let diagnostics =
                "resources are answered as application/fhir+json or application/fhir+xml";
            Problem::new(status, IssueType::NotSupported, diagnostics).into_response()
        }
    }
}

/// The form that the body says it has; FHIR 4.0, if it names a release.
pub(super) fn format_of_body(headers: &HeaderMap) -> Option<Format> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    format_of_type(text)
}

/// The answer in this form. What is no resource in JSON stays as it is.
async fn written(response: Response, format: Format, is_pretty: bool) -> Response {
    let is_resource = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == FHIR_JSON);
    if !is_resource || format == Format::Json && !is_pretty {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    if format == Format::Xml {
        let content_type = HeaderValue::from_static(FHIR_XML);
        parts.headers.insert(header::CONTENT_TYPE, content_type);
    }
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::internal("an answer did not arrive whole").into_response();
    };
    // The answer to HEAD.
    if bytes.is_empty() {
        return Response::from_parts(parts, Body::empty());
    }
    let Ok(resource) = serde_json::from_slice::<Value>(&bytes) else {
        return Problem::internal("an answer is not JSON").into_response();
    };
    let text = match format {
        Format::Xml => Ok(to_xml(&resource)),
        Format::Json => serde_json::to_string_pretty(&resource),
    };
    match text {
        Ok(text) => Response::from_parts(parts, Body::from(text)),
        Err(_) => Problem::internal("an answer cannot be written").into_response(),
    }
}

fn has_own_forms(path: &str) -> bool {
    path.ends_with("/$disclosures") || path.ends_with("/$ccd")
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

/// Whether a media type or range means a FHIR resource.
pub(crate) fn names_fhir(text: &str) -> bool {
    format_of_type(text).is_some()
}

/// Whether the body says that it is a FHIR resource.
pub(crate) fn is_fhir(headers: &HeaderMap) -> bool {
    format_of_body(headers).is_some()
}

/// The form of `_format`: a short name or a media type.
fn format_named(text: &str) -> Option<Format> {
    match text {
        "json" => Some(Format::Json),
        "xml" => Some(Format::Xml),
        _ => format_of_type(text),
    }
}

/// The form of `Accept` with the greatest weight; JSON if several have it.
fn accepted(headers: &HeaderMap) -> Option<Format> {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .peekable();
    if ranges.peek().is_none() {
        return Some(Format::Json);
    }
    let mut best: Option<(u32, Format)> = None;
    for range in ranges {
        let Some(format) = format_of_range(range) else {
            continue;
        };
        let weight = weight(range);
        let is_better = best.is_none_or(|(most, chosen)| {
            weight > most || weight == most && chosen == Format::Xml && format == Format::Json
        });
        if weight > 0 && is_better {
            best = Some((weight, format));
        }
    }
    best.map(|(_, format)| format)
}

fn format_of_range(range: &str) -> Option<Format> {
    let (name, _) = essence(range);
    let is_any = ["*/*", "application/*"].contains(&name.as_str());
    if is_any || OTHER_TYPES.contains(&name.as_str()) || name.ends_with("cose") {
        return Some(Format::Json);
    }
    format_of_type(range)
}

/// The weight of a range, in thousandths.
fn weight(range: &str) -> u32 {
    let (_, mut parameters) = essence(range);
    let text = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(text) = text else {
        return 1_000;
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let thousandths = format!("{decimals:0<3}");
    let thousandths = thousandths
        .get(..3)
        .and_then(|digits| digits.parse::<u32>().ok());
    match (whole, thousandths) {
        ("1", _) => 1_000,
        ("0", Some(thousandths)) => thousandths,
        _ => 0,
    }
}

fn format_of_type(text: &str) -> Option<Format> {
    // In a query `+` is a blank.
    let (name, mut parameters) = essence(text);
    let name = name.replace(' ', "+");
    let format = if JSON_TYPES.contains(&name.as_str()) {
        Format::Json
    } else if XML_TYPES.contains(&name.as_str()) {
        Format::Xml
    } else {
        return None;
    };
    let is_known = parameters.all(|parameter| match parameter.split_once('=') {
        Some((key, value)) => match key.trim().to_ascii_lowercase().as_str() {
            "charset" => value.trim_matches([' ', '"']).eq_ignore_ascii_case("utf-8"),
            "fhirversion" => ["4.0", "4.0.0", "4.0.1"].contains(&value.trim_matches([' ', '"'])),
            _ => true,
        },
        None => true,
    });
    is_known.then_some(format)
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
    fn json_and_xml_in_their_names_are_known_and_nothing_else() {
        for (text, expected) in [
            ("application/fhir+json", Some(Format::Json)),
            ("application/fhir json", Some(Format::Json)),
            ("Application/JSON; charset=UTF-8", Some(Format::Json)),
            ("application/fhir+json; fhirVersion=4.0", Some(Format::Json)),
            ("application/fhir+json; fhirVersion=5.0", None),
            ("application/json; charset=latin1", None),
            ("application/fhir+xml", Some(Format::Xml)),
            ("text/xml", Some(Format::Xml)),
            ("xml", Some(Format::Xml)),
            ("text/turtle", None),
            ("", None),
        ] {
            assert_eq!(format_named(text), expected, "{text}");
        }
    }

    #[test]
    fn the_range_with_the_greatest_weight_is_taken() {
        let accepts = |text: &'static str| {
            let headers = [(header::ACCEPT, HeaderValue::from_static(text))];
            accepted(&headers.into_iter().collect())
        };
        assert_eq!(accepted(&HeaderMap::new()), Some(Format::Json));
        for (text, expected) in [
            ("text/html, */*;q=0.1", Some(Format::Json)),
            ("application/fhir+xml", Some(Format::Xml)),
            ("application/xml, application/fhir+json", Some(Format::Json)),
            ("application/fhir+xml, */*;q=0.5", Some(Format::Xml)),
            (
                "application/fhir+xml;q=0.9, application/fhir+json;q=0.95",
                Some(Format::Json),
            ),
            ("application/cbor", Some(Format::Json)),
            ("application/fhir+json;q=0", None),
            ("text/turtle", None),
        ] {
            assert_eq!(accepts(text), expected, "{text}");
        }
    }
}
