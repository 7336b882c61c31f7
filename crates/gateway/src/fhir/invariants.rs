//! The invariants of R4, before a write: what is wrong is refused, what could be better is not.

use axum::http::StatusCode;
use interop::fhir::invariants::{Weight, violations};
use interop::fhir::{OperationOutcome, Resource};
use node::custody::Change;

use crate::problem::Problem;

/// Refuses a resource that breaks an invariant.
pub(super) fn check(resource: &Resource) -> Result<(), Problem> {
    let broken = violations(resource);
    let mut issues = broken
        .iter()
        .filter(|violation| violation.weight == Weight::Error)
        .map(|violation| violation.issue());
    let Some(first) = issues.next() else {
        return Ok(());
    };
    let outcome = issues.fold(OperationOutcome::of(first), OperationOutcome::with);
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Err(Problem::with_outcome(status, outcome))
}

/// Refuses a change to such a resource. A signed consent is not looked at: custody reads its
/// bytes.
pub(super) fn check_change(change: &Change) -> Result<(), Problem> {
    match change {
        Change::Create { resource, .. }
        | Change::CreateAs { resource }
        | Change::Update { resource, .. } => check(resource),
        Change::Delete { .. } | Change::File(_) => Ok(()),
    }
}
