//! Record Audit Event (ITI-20, ATX: FHIR Feed): systems that are grouped with the member put their own events into the
//! member's log, where they stay as they came.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use interop::fhir::{Resource, ResourceType};

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn feed(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(ResourceType::AUDIT_EVENT, Permission::Create)?;
    if caller.patient().is_some() {
        return Err(Problem::forbidden("systems feed audit events"));
    }
    let event = Resource::parse_as(ResourceType::AUDIT_EVENT, &body, &fhir.rules.limits())?;
    let mut entry = caller.requester().audited("feed");
    entry.target = "AuditEvent".to_owned();
    if let Some(patient) = patient_of(&event) {
        let is_known = fhir.custody.subject_view(&patient).is_ok();
        entry.patient = Some(patient).filter(|_| is_known);
    }
    entry.fed = Some(body.to_vec());
    let number = fhir.custody.audit(entry).await?;
    let entry = fhir.custody.audit_entry(number)?;
    let entry = entry.ok_or_else(|| Problem::internal("an audit entry is gone"))?;
    let events = interop::fhir::audit::events(&fhir.audit_site(), number, &entry);
    let event = events.first().cloned().unwrap_or_default();
    let mut response = fhir_json(StatusCode::CREATED, &event);
    let location = format!("{}/AuditEvent/{number}", fhir.base);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The first patient among the entities.
fn patient_of(event: &Resource) -> Option<String> {
    let entities = event.get("entity")?.as_array()?.iter();
    let mut references = entities.filter_map(|one| one.pointer("/what/reference")?.as_str());
    references.find_map(|reference| reference.strip_prefix("Patient/").map(str::to_owned))
}
