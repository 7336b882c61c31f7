//! The invariants of R4, before a write: what is wrong is refused, what could be better is not.

use axum::http::StatusCode;
use interop::fhir::invariants::{Weight, violations};
use interop::fhir::{OperationOutcome, Resource};

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
