//! QIDO-RS: studies from a FHIR search for ImagingStudy, series and instances from what an ImagingStudy lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use interop::dicom::{StudyQuery, study_row};
use interop::fhir::search::{Handling, Scope};
use interop::fhir::{Checking, IssueType, Resource};
use serde_json::Value;

use super::{Desk, imaging_study};
use crate::fhir::Caller;
use crate::http::pairs_of;
use crate::problem::Problem;

const DICOM_JSON: &str = "application/dicom+json";

/// `GET /dicom-web/studies?…`
pub(super) async fn studies(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs: Vec<_> = query.iter().flat_map(|query| pairs_of(query)).collect();
    let query = StudyQuery::read(&pairs).map_err(|error| Problem::malformed(error.to_string()))?;
    let scope = Scope::Type(imaging_study()?);
    let mut parameters = query.parameters.clone();
    // A patient's token searches the patient's own records, and DICOM has no way to say so.
    let own = caller.patient();
    parameters.extend(own.map(|own| ("patient".to_owned(), own.to_owned())));
    let searching = desk
        .fhir
        .search_within(&caller, &scope, parameters, Handling::Strict);
    let bundle = searching.await?;
    let mut patients = BTreeMap::new();
    let mut studies = Vec::new();
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        let resource = entry["resource"].clone();
        let resource = Resource::from_value_noting(resource, Checking::Stored);
        let (resource, _) = resource.map_err(|_| Problem::internal("a search's entry"))?;
        match entry["search"]["mode"].as_str() {
            Some("match") => studies.push(resource),
            Some("include") => {
                let id = resource.id().unwrap_or_default();
                patients.insert(format!("Patient/{id}"), resource);
            }
            _ => {}
        }
    }
    let shown = studies.iter().filter(|study| query.admits(study));
    let shown = shown.skip(query.offset).take(query.limit);
    let rows = shown.filter_map(|study| {
        let subject = study.get("subject")?.get("reference")?.as_str()?;
        study_row(study, patients.get(subject), &desk.base)
    });
    let has_more = bundle["link"]
        .as_array()
        .is_some_and(|links| links.iter().any(|link| link["relation"] == "next"));
    Ok(answer(rows.collect(), has_more))
}

/// DICOM JSON; nothing found is an answer too.
pub(super) fn answer(rows: Vec<Value>, has_more: bool) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(DICOM_JSON))];
    let body = Value::Array(rows).to_string();
    let mut response = (StatusCode::OK, content_type, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if has_more {
        let said = "299 - \"there are more results: ask with limit and offset\"";
        headers.insert(header::WARNING, HeaderValue::from_static(said));
    }
    response
}

/// Series and instances are not searched by attributes.
pub(super) fn without_attributes(query: Option<&str>) -> Result<(), Problem> {
    let mut names = query.into_iter().flat_map(pairs_of).map(|(name, _)| name);
    if names.all(|name| name == "includefield" || name == "fuzzymatching") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        IssueType::NotSupported,
        "series and instances are listed whole: they are not searched by attributes",
    ))
}
