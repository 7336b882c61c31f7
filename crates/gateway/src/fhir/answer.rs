//! Answers with a version: `ETag`, `Last-Modified`, `Location`, and the body that was preferred.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use interop::fhir::{Issue, IssueType, OperationOutcome, Resource, ResourceType, Severity};
use node::custody::{Opened, Written};
use serde_json::Value;

use super::precondition::Known;
use super::preferences::Return;
use super::shape::Shape;
use crate::http::fhir_json;

/// A version, as its headers say it.
pub(super) struct Version<'a> {
    pub(super) resource_type: ResourceType,
    pub(super) id: &'a str,
    pub(super) version: u64,
    pub(super) last_updated_ms: u64,
}

impl<'a> Version<'a> {
    pub(super) fn of(written: &'a Written) -> Self {
        Self {
            resource_type: written.resource_type,
            id: &written.id,
            version: written.version,
            last_updated_ms: written.last_updated_ms,
        }
    }

    pub(super) fn label(&self, headers: &mut HeaderMap) {
        let etag = HeaderValue::from_str(&format!("W/\"{}\"", self.version));
        let time = UNIX_EPOCH + Duration::from_millis(self.last_updated_ms);
        let time = HeaderValue::from_str(&httpdate::fmt_http_date(time));
        // INVARIANT: digits, and the date of RFC 9110, are header values.
        headers.extend(etag.ok().map(|etag| (header::ETAG, etag)));
        headers.extend(time.ok().map(|time| (header::LAST_MODIFIED, time)));
    }

    pub(super) fn locate(&self, base: &str, headers: &mut HeaderMap) {
        let (kind, id, version) = (self.resource_type, self.id, self.version);
        let url = HeaderValue::from_str(&format!("{base}/{kind}/{id}/_history/{version}"));
        headers.extend(url.ok().map(|url| (header::LOCATION, url)));
    }
}

/// A version that was opened.
pub(super) fn opened(opened: Opened) -> Response {
    opened_as(opened, &Known::default(), &Shape::default())
}

/// A version that was opened, in this shape; without a body if the reader has it.
pub(super) fn opened_as(opened: Opened, known: &Known, shape: &Shape) -> Response {
    let id = opened.id.clone();
    let version = Version {
        resource_type: opened.resource.resource_type(),
        id: &id,
        version: opened.version,
        last_updated_ms: opened.last_updated_ms,
    };
    let mut response = if known.has(opened.version, opened.last_updated_ms) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        fhir_json(StatusCode::OK, &shape.apply(opened.into_presented()))
    };
    version.label(response.headers_mut());
    response
}

/// A version that was written: 201 if the document is new, else 200; with remarks on it, if an outcome was preferred.
pub(super) fn written(
    base: &str,
    written: &Written,
    content: &Resource,
    (answer, remarks): (Option<Return>, Vec<Issue>),
) -> Response {
    let status = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let version = Version::of(written);
    let body = match answer.unwrap_or(Return::Representation) {
        Return::Minimal => None,
        Return::Representation => presented(content, written),
        Return::OperationOutcome => Some(done("the version is written and durable", remarks)),
    };
    let shows_content = answer.unwrap_or(Return::Representation) == Return::Representation;
    let mut response = body.map_or_else(|| status.into_response(), |body| fhir_json(status, &body));
    let headers = response.headers_mut();
    version.label(headers);
    version.locate(base, headers);
    if shows_content && let Some(url) = headers.get(header::LOCATION).cloned() {
        headers.insert(header::CONTENT_LOCATION, url);
    }
    response
}

/// The version that a conditional create found instead of writing one.
pub(super) fn existing(base: &str, found: &Version<'_>) -> Response {
    let mut response = StatusCode::OK.into_response();
    found.label(response.headers_mut());
    found.locate(base, response.headers_mut());
    response
}

/// A document that was deleted, or was not there.
pub(super) fn deleted(written: Option<&Written>, answer: Option<Return>) -> Response {
    let mut response = match answer {
        Some(Return::OperationOutcome) => {
            fhir_json(StatusCode::OK, &done("the document is deleted", Vec::new()))
        }
        Some(Return::Minimal | Return::Representation) | None => {
            StatusCode::NO_CONTENT.into_response()
        }
    };
    if let Some(written) = written.filter(|written| written.version > 0) {
        Version::of(written).label(response.headers_mut());
    }
    response
}

/// The content of a version that was just written, as a read would answer it.
pub(super) fn presented(content: &Resource, written: &Written) -> Option<Value> {
    let last_updated_ms = i64::try_from(written.last_updated_ms).unwrap_or(i64::MAX);
    let stored = written.stored.as_ref().unwrap_or(content);
    stored
        .present(&written.id, written.version, last_updated_ms)
        .ok()
}

pub(super) fn done(diagnostics: &str, remarks: Vec<Issue>) -> Value {
    let issue = Issue::error(IssueType::Informational, diagnostics);
    let outcome = OperationOutcome::of(issue.with_severity(Severity::Information));
    let outcome = remarks.into_iter().fold(outcome, OperationOutcome::with);
    outcome.to_value()
}
