//! Entries that are answered as requests of their own, by the routes that answer such requests.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::fhir::transaction::{EntryRequest, EntryResponse, Method, PlannedCall};
use interop::fhir::{Resource, TimeSpan};
use serde_json::Value;
use tower::ServiceExt;

use crate::fhir::caller::Caller;
use crate::fhir::preferences::{Preferences, Return};
use crate::http::FHIR_JSON;
use crate::problem::Problem;
use interop::fhir::search::Handling;

/// Answers entries.
#[derive(Clone)]
pub(super) struct Entries {
    base: String,
    routes: Router,
}

impl Entries {
    pub(super) fn new(base: String, routes: Router) -> Self {
        let routes = routes.fallback(|| async { Problem::not_found() });
        Self { base, routes }
    }

    /// The answer to an entry that changes nothing by itself.
    pub(super) async fn call(
        &self,
        caller: &Caller,
        call: &PlannedCall,
        preferences: Preferences,
    ) -> EntryResponse {
        let resource = call.resource.as_ref();
        self.ask(caller, call.index, &call.request, resource, preferences)
            .await
    }

    /// The answer to a request.
    pub(super) async fn ask(
        &self,
        caller: &Caller,
        index: usize,
        request: &EntryRequest,
        resource: Option<&Resource>,
        preferences: Preferences,
    ) -> EntryResponse {
        let answer = match http_request(request, resource, preferences) {
            Ok(mut asked) => {
                asked.extensions_mut().insert(caller.clone());
                match self.routes.clone().oneshot(asked).await {
                    Ok(response) => self.entry(index, request, response).await,
                    Err(never) => match never {},
                }
            }
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(|problem| {
            let status = problem.status().to_string();
            EntryResponse::failed(index, &status, &problem.into_outcome())
        })
    }

    async fn entry(
        &self,
        index: usize,
        request: &EntryRequest,
        response: Response,
    ) -> Result<EntryResponse, Problem> {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .map_err(|_| Problem::internal("the answer to an entry did not arrive whole"))?;
        let content = if body.is_empty() || request.method == Method::Head {
            None
        } else {
            let no_fhir = |_| Problem::not_supported("the answer to the entry is not FHIR");
            Some(serde_json::from_slice::<Value>(&body).map_err(no_fhir)?)
        };
        let is_write = !request.is_safe() && !request.path().contains('$');
        let is_outcome = |content: &Value| {
            parts.status.is_client_error()
                || parts.status.is_server_error()
                || is_write && content["resourceType"] == "OperationOutcome"
        };
        let (outcome, resource) = match content {
            Some(content) if is_outcome(&content) => (Some(content), None),
            content => (None, content),
        };
        let text = |name: header::HeaderName| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let location = text(header::LOCATION).map(|url| {
            let below = url.strip_prefix(&self.base);
            below.map_or(url.clone(), |below| {
                below.trim_start_matches('/').to_owned()
            })
        });
        Ok(EntryResponse {
            index,
            status: status_line(parts.status),
            location,
            etag: text(header::ETAG),
            last_modified_ms: last_modified_ms(&parts.headers),
            resource,
            outcome,
        })
    }
}

fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn last_modified_ms(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(header::LAST_MODIFIED)?.to_str().ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    let since_1970 = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_1970.as_millis()).ok()
}

fn http_request(
    request: &EntryRequest,
    resource: Option<&Resource>,
    preferences: Preferences,
) -> Result<Request<Body>, Problem> {
    let malformed = |_| Problem::malformed("the entry's request is not one that HTTP can carry");
    let (content_type, body) = match resource {
        None => (FHIR_JSON.to_owned(), Vec::new()),
        Some(binary)
            if binary.resource_type().as_str() == "Binary" && request.method == Method::Patch =>
        {
            patch_of(binary)?
        }
        Some(resource) => {
            let text = Value::Object(resource.object().clone()).to_string();
            (FHIR_JSON.to_owned(), text.into_bytes())
        }
    };
    let mut asked = Request::builder()
        .method(request.method.as_str())
        .uri(if request.url.starts_with('?') {
            format!("/fhir{}", request.url)
        } else {
            format!("/fhir/{}", request.url)
        })
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .map_err(malformed)?;
    let headers = asked.headers_mut();
    let conditions = [
        (header::IF_MATCH, request.if_match.clone()),
        (header::IF_NONE_MATCH, request.if_none_match.clone()),
        (header::IF_MODIFIED_SINCE, modified_since(request)?),
        (
            header::HeaderName::from_static("if-none-exist"),
            request.if_none_exist.clone(),
        ),
    ];
    for (name, text) in conditions {
        if let Some(text) = text {
            let value = HeaderValue::from_str(&text)
                .map_err(|_| Problem::malformed("a condition of the entry is malformed"))?;
            headers.insert(name, value);
        }
    }
    headers.insert("prefer", HeaderValue::from_static(preference(preferences)));
    Ok(asked)
}

/// Without a preference nothing that was written is answered with its content.
fn preference(preferences: Preferences) -> &'static str {
    let is_strict = preferences.handling == Handling::Strict;
    match (preferences.answer.unwrap_or(Return::Minimal), is_strict) {
        (Return::Minimal, false) => "return=minimal",
        (Return::Minimal, true) => "return=minimal, handling=strict",
        (Return::Representation, false) => "return=representation",
        (Return::Representation, true) => "return=representation, handling=strict",
        (Return::OperationOutcome, false) => "return=OperationOutcome",
        (Return::OperationOutcome, true) => "return=OperationOutcome, handling=strict",
    }
}

/// `ifModifiedSince` is an instant, the header a date of HTTP.
fn modified_since(request: &EntryRequest) -> Result<Option<String>, Problem> {
    let Some(text) = &request.if_modified_since else {
        return Ok(None);
    };
    let span = TimeSpan::parse(text)
        .and_then(|span| u64::try_from(span.start_ms).ok())
        .ok_or_else(|| Problem::malformed("`request.ifModifiedSince` is not an instant"))?;
    let time = UNIX_EPOCH + Duration::from_millis(span);
    Ok(Some(httpdate::fmt_http_date(time)))
}

/// A patch in a Binary: its type and bytes.
fn patch_of(binary: &Resource) -> Result<(String, Vec<u8>), Problem> {
    let text = |name| binary.get(name).and_then(Value::as_str);
    let bytes = text("data").and_then(|data| STANDARD.decode(data).ok());
    match (text("contentType"), bytes) {
        (Some(content_type), Some(bytes)) => Ok((content_type.to_owned(), bytes)),
        _ => Err(Problem::malformed(
            "the Binary of a patch needs `contentType` and `data`",
        )),
    }
}
