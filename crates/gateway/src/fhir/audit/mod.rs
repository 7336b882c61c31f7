//! Audit events over FHIR: retrieval (ATNA, ITI-81), the feed of grouped systems (ITI-20, ATX: FHIR Feed), and what an
//! auditor asks for: gaps and replay.
//!
//! Events are made of the log's entries when they are asked for. Nobody changes or deletes one.

mod disclosures;
mod feed;
mod page;
mod refused;
mod review;
mod search;
mod session;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::audit::{AuditSite, events, number_of};
use interop::fhir::{IssueType, ResourceType};
use std::sync::Arc;

use super::Fhir;
use super::caller::Caller;
use crate::auth::Permission;
use crate::http::fhir_json;
use crate::problem::Problem;

pub(crate) use disclosures::{disclosures, record_disclosure, suspend};
pub(crate) use feed::feed;
pub(crate) use refused::{Refusals, note_refusals};
pub(crate) use review::{gaps, replay};
pub(crate) use search::{search, search_by_form};
pub(crate) use session::{Sessions, keep_sessions};

/// Roles that see the events of all patients.
const AUDITORS: [&str; 2] = ["privacy-officer", "auditor"];

/// Whose events a caller sees.
enum Seen {
    All,
    Of(String),
}

/// read of an event: <https://hl7.org/fhir/R4/http.html#read>
pub(crate) async fn read(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    axum::extract::Path(id): axum::extract::Path<String>,
) -> Result<Response, Problem> {
    let seen = seen(&caller, Permission::Read)?;
    let number = number_of(&id).ok_or_else(Problem::not_found)?;
    if let Seen::Of(patient) = &seen
        && !fhir.custody.is_audited_of(patient, number)?
    {
        return Err(Problem::not_found());
    }
    let entry = fhir.custody.audit_entry(number)?;
    let entry = entry.ok_or_else(Problem::not_found)?;
    let mut own = caller.requester().audited("read");
    own.patient.clone_from(&entry.patient);
    own.target = format!("AuditEvent/{id}");
    fhir.custody.audit(own).await?;
    let events = events(&fhir.audit_site(), number, &entry);
    let mut named = events.into_iter();
    let event = named.find(|event| event.get("id").is_some_and(|one| *one == id.as_str()));
    let event = event.ok_or_else(Problem::not_found)?;
    Ok(fhir_json(StatusCode::OK, &event))
}

/// What nobody may do to an event.
pub(crate) async fn refuse(_: Caller) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        IssueType::NotSupported,
        "audit events are not changed and not deleted",
    )
}

impl Fhir {
    fn audit_site(&self) -> AuditSite {
        AuditSite {
            base: self.base.clone(),
            member: self.identity.member.to_string(),
        }
    }
}

/// A patient's token sees the events about that patient; others need an auditor's role.
fn seen(caller: &Caller, permission: Permission) -> Result<Seen, Problem> {
    caller.may(ResourceType::AUDIT_EVENT, permission)?;
    if let Some(own) = caller.patient() {
        return Ok(Seen::Of(own.to_owned()));
    }
    must_audit(caller)?;
    Ok(Seen::All)
}

/// Only who has an auditor's role.
pub(super) fn must_audit(caller: &Caller) -> Result<(), Problem> {
    let role = caller.requester().role.as_deref();
    if role.is_some_and(|role| AUDITORS.contains(&role)) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "this takes the role privacy-officer or auditor",
        ))
    }
}
