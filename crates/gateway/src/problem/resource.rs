//! What a body, a Bundle or a query that is refused is in HTTP.

use axum::http::StatusCode;
use interop::fhir::ResourceError;
use interop::fhir::patch::PatchError;
use interop::fhir::search::QueryError;
use interop::fhir::transaction::{EntryProblem, TransactionError};

use super::Problem;

impl From<ResourceError> for Problem {
    fn from(error: ResourceError) -> Self {
        let status = match error {
            ResourceError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::with_outcome(status, error.outcome())
    }
}

impl From<TransactionError> for Problem {
    fn from(error: TransactionError) -> Self {
        let status = match &error {
            TransactionError::TooManyEntries { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            TransactionError::Entry { problem, .. } => status_of_entry(problem),
            TransactionError::NotABundle
            | TransactionError::KindUnsupported
            | TransactionError::EntriesMalformed => StatusCode::BAD_REQUEST,
        };
        Self::with_outcome(status, error.outcome())
    }
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        let status = if error.is_malformed() {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Self::with_outcome(status, error.outcome())
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::with_outcome(StatusCode::BAD_REQUEST, error.outcome())
    }
}

impl Problem {
    /// An entry of a batch, which fails alone.
    pub(crate) fn of_entry(index: usize, problem: &EntryProblem) -> Self {
        Self::with_outcome(status_of_entry(problem), problem.outcome(index))
    }
}

fn status_of_entry(problem: &EntryProblem) -> StatusCode {
    match problem {
        EntryProblem::ReferenceUnresolved { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        EntryProblem::OperationInTransaction => StatusCode::NOT_IMPLEMENTED,
        EntryProblem::NothingMatches => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::BAD_REQUEST,
    }
}
