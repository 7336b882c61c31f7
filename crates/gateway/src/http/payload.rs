//! Bodies: whole, within a limit and a time, of the right type.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use interop::fhir::xml::{XmlError, from_xml};
use interop::fhir::{IssueType, ParseLimits};

use super::media::{Format, format_of_body};
use crate::problem::Problem;

/// The longest body, unless a node has another limit.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// The media type of JSON Patch.
const JSON_PATCH: &str = "application/json-patch+json";
/// The media types of clinical documents.
const DOCUMENT_TYPES: [&str; 3] = ["application/cda+xml", "application/xml", "text/xml"];
/// The longest wait for a body.
const BODY_SECONDS_MAX: u64 = 30;

/// The longest body that the routes below take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

impl BodyLimit {
    fn of(request: &Request) -> usize {
        let limit = request.extensions().get::<Self>();
        limit.map_or(BODY_BYTES_MAX, |limit| limit.0)
    }
}

/// A resource in JSON; what came as XML is read into it.
pub(crate) struct Payload(pub(crate) Bytes);

/// The body of a patch.
pub(crate) struct PatchPayload {
    /// Whether it says that it is a JSON Patch (RFC 6902); else it is a resource.
    pub(crate) is_json_patch: bool,
    pub(crate) body: Bytes,
}

/// A clinical document (CDA) as it came.
pub(crate) struct DocumentPayload(pub(crate) Bytes);

/// The pairs of an `application/x-www-form-urlencoded` body.
pub(crate) struct FormPairs(pub(crate) Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        match format_of_body(request.headers()) {
            Some(Format::Json) => whole_body(request).await.map(Self),
            Some(Format::Xml) => {
                let bytes_max = BodyLimit::of(&request);
                let body = whole_body(request).await?;
                let limits = ParseLimits {
                    bytes_max,
                    ..ParseLimits::default()
                };
                let resource = from_xml(&body, &limits).map_err(|error| match error {
                    XmlError::TooLarge { .. } => too_large(bytes_max),
                    other => Problem::with_outcome(StatusCode::BAD_REQUEST, other.outcome()),
                })?;
                Ok(Self(resource.to_string().into()))
            }
            None => Err(unsupported(
                "the body must be application/fhir+json or application/fhir+xml",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for PatchPayload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_json_patch = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|name| name.trim().eq_ignore_ascii_case(JSON_PATCH));
        let body = if is_json_patch {
            whole_body(request).await?
        } else {
            Payload::from_request(request, state).await?.0
        };
        Ok(Self {
            is_json_patch,
            body,
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for DocumentPayload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_document = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|name| {
                let mut types = DOCUMENT_TYPES.iter();
                types.any(|own| name.trim().eq_ignore_ascii_case(own))
            });
        if !is_document {
            let diagnostics = "the body must be application/cda+xml, application/xml or text/xml";
            return Err(unsupported(diagnostics));
        }
        whole_body(request).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for FormPairs {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_form = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|name| {
                name.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            let diagnostics = "the body must be application/x-www-form-urlencoded";
            return Err(unsupported(diagnostics));
        }
        let body = whole_body(request).await?;
        match std::str::from_utf8(&body) {
            Ok(text) => Ok(Self(pairs_of(text).collect())),
            Err(_) => Err(Problem::malformed("the body is not UTF-8")),
        }
    }
}

/// The decoded names and values of a query or form.
pub(crate) fn pairs_of(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

async fn whole_body(request: Request) -> Result<Bytes, Problem> {
    let limit = BodyLimit::of(&request);
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    let body = to_bytes(request.into_body(), limit);
    match tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), body).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large(limit)),
        Ok(Err(_)) => Err(Problem::malformed("the body did not arrive whole")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            IssueType::Timeout,
            format!("the body took longer than {BODY_SECONDS_MAX} seconds"),
        )),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        IssueType::TooLong,
        format!("the body is longer than {limit} bytes"),
    )
}

fn unsupported(diagnostics: &str) -> Problem {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, IssueType::NotSupported, diagnostics)
}
