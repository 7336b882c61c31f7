//! `Patient/[id]/$ccd`: a CCD (C-CDA R2.1) of what is known here and at other members, as far as consents allow. It is answered
//! as XML; errors as everywhere.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use interop::ccda::{Record, ccd};
use serde_json::Value;

use super::summary::Gathered;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::problem::Problem;

pub(crate) async fn continuity_of_care(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    let Gathered {
        patient,
        opened,
        gaps,
    } = fhir.gather(&caller, &id).await?;
    let resources: Vec<Value> = opened.iter().map(|one| one.presented()).collect();
    let issues = gaps.iter().flat_map(|gap| gap.outcome.issues());
    let gaps: Vec<String> = issues.map(|issue| issue.diagnostics.clone()).collect();
    let document = ccd(&Record {
        patient: &patient.presented(),
        resources: &resources,
        custodian: fhir.identity.member.as_str(),
        id: &uuid::Uuid::new_v4().to_string(),
        time_ms: i64::try_from(fhir.custody.now()).unwrap_or(i64::MAX),
        gaps: &gaps,
    });
    let xml = HeaderValue::from_static("application/cda+xml; charset=utf-8");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, xml)], document).into_response())
}
