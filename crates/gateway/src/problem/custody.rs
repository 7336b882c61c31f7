//! What custody's refusals and failures are in HTTP and FHIR.

use axum::http::StatusCode;
use contracts::blocking::{Exception, split};
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use node::custody::CustodyError;

use super::{Problem, details};

impl From<CustodyError> for Problem {
    fn from(error: CustodyError) -> Self {
        let said = error.to_string();
        let (status, code) = match error {
            CustodyError::NotFound => (StatusCode::NOT_FOUND, IssueType::NotFound),
            CustodyError::Gone => (StatusCode::GONE, IssueType::Deleted),
            CustodyError::Deleted { version, .. } => {
                let mut problem = Self::new(StatusCode::GONE, IssueType::Deleted, said);
                problem.version = Some(version);
                return problem;
            }
            CustodyError::Held { .. } => (StatusCode::CONFLICT, IssueType::BusinessRule),
            CustodyError::Retained { .. } => (StatusCode::CONFLICT, IssueType::BusinessRule),
            CustodyError::Denied {
                reason,
                determining,
            } => return denied(&reason, &determining),
            CustodyError::VersionConflict { .. }
            | CustodyError::PreconditionFailed
            | CustodyError::Exists => (StatusCode::PRECONDITION_FAILED, IssueType::Conflict),
            CustodyError::UnknownPatient => (StatusCode::UNPROCESSABLE_ENTITY, IssueType::NotFound),
            CustodyError::RefusedConsent { element, .. } => {
                let issue = Issue::error(IssueType::BusinessRule, said).at(element);
                return unprocessable(issue);
            }
            CustodyError::ConsentNotSigned => {
                (StatusCode::UNPROCESSABLE_ENTITY, IssueType::Security)
            }
            CustodyError::Invalid(issue) => return unprocessable(issue),
            CustodyError::Diverged | CustodyError::RefusedUpstream { .. } => {
                (StatusCode::BAD_GATEWAY, IssueType::Incomplete)
            }
            CustodyError::Overtaken => (StatusCode::CONFLICT, IssueType::Conflict),
            CustodyError::Unavailable { what } => return Self::unavailable(what),
            CustodyError::DamagedBlob(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception)
            }
            CustodyError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, IssueType::NoStore),
            CustodyError::Storage(what) => return Self::internal(&what),
        };
        Self::new(status, code, said)
    }
}

/// The reason, its exception and the policies that determined it; nothing of the record.
fn denied(reason: &str, determining: &[String]) -> Problem {
    let exception = Exception::of_denial(reason, determining);
    let (_, words) = split(reason);
    let issue = Issue::error(IssueType::Forbidden, words);
    let mut outcome = OperationOutcome::of(issue.with_details(details(exception)));
    if !determining.is_empty() {
        let policies = determining.join(", ");
        let issue = Issue::error(
            IssueType::Informational,
            format!("determined by {policies}"),
        );
        outcome = outcome.with(issue.with_severity(Severity::Information));
    }
    Problem::with_outcome(StatusCode::FORBIDDEN, outcome)
}

fn unprocessable(issue: Issue) -> Problem {
    let outcome = OperationOutcome::of(issue);
    Problem::with_outcome(StatusCode::UNPROCESSABLE_ENTITY, outcome)
}
