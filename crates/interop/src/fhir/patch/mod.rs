//! Patches (<https://hl7.org/fhir/R4/http.html#patch>): JSON Patch (RFC 6902) and FHIRPath Patch.
//!
//! A patch is applied to a copy, as a whole or not at all; what results is checked as a resource
//! that is written. It cannot change the type or the id.

mod json;
mod parameters;
mod place;

use serde_json::Value;
use thiserror::Error;

use super::fhirpath::EvaluationError;
use super::{Checking, Issue, IssueType, OperationOutcome, Resource, ResourceError};

/// More operations than this are refused.
pub const OPERATIONS_MAX: usize = 1_000;

/// A patch that was read.
///
/// Debug shows the number of operations alone.
pub struct Patch(Form);

enum Form {
    Json(json_patch::Patch),
    Parameters(Vec<parameters::Operation>),
}

/// Why a patch is not one, or cannot be applied. Holds no value of the patch or the resource.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The body is no JSON Patch.
    #[error("the body is not a JSON Patch (RFC 6902)")]
    NotJsonPatch,
    /// The resource is no FHIRPath Patch.
    #[error("the body is not a FHIRPath Patch: Parameters with operations")]
    NotParameters,
    /// More operations than are applied.
    #[error("the patch has more than {OPERATIONS_MAX} operations")]
    TooManyOperations,
    /// An operation of the patch is wrong, or does not fit the resource.
    #[error("operation {index}: {problem}")]
    Operation {
        /// Its place in the patch.
        index: usize,
        /// What is wrong.
        problem: OperationProblem,
    },
    /// The type or the id would be another.
    #[error("the patch changes the resource's type or id")]
    IdentityChanged,
    /// What would result is no resource.
    #[error(transparent)]
    Result(ResourceError),
}

/// What is wrong with one operation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OperationProblem {
    /// A part that every such operation has is missing or of another type.
    #[error("`{0}` is missing or malformed")]
    Part(&'static str),
    /// A type of operation that is not defined.
    #[error("the type of the operation is unknown")]
    UnknownType,
    /// The path names nothing.
    #[error("the path `{path}` names nothing")]
    NothingThere {
        /// The path, without what R4 does not define.
        path: String,
    },
    /// The path names several elements.
    #[error("the path names several elements")]
    SeveralElements,
    /// The path cannot be read.
    #[error("the path is not a FHIRPath: {0}")]
    Syntax(#[from] super::fhirpath::SyntaxError),
    /// The path has no result.
    #[error("the path cannot be evaluated: {0}")]
    Evaluation(#[from] EvaluationError),
    /// The path names no element of the resource.
    #[error("the path does not name an element of the resource")]
    NotAnElement,
    /// An element that does not repeat is there already.
    #[error("the element is there already and does not repeat")]
    Occupied,
    /// The holder has no element with this name.
    #[error("the element has no child with this name")]
    UnknownName,
    /// The path names no list.
    #[error("the path does not name the elements of one list")]
    NotAList,
    /// An index beyond the list.
    #[error("an index is beyond the end of the list")]
    IndexTooLarge,
    /// A test of a JSON Patch failed.
    #[error("the test at `{path}` fails")]
    TestFailed {
        /// The path, without what R4 does not define.
        path: String,
    },
    /// The operation would make the resource too large.
    #[error("the operation copies too much")]
    TooLarge,
}

impl Patch {
    /// Reads a JSON Patch.
    pub fn from_json(body: &[u8]) -> Result<Self, PatchError> {
        json::read(body).map(|patch| Self(Form::Json(patch)))
    }

    /// Reads a FHIRPath Patch.
    pub fn from_parameters(parameters: &Resource) -> Result<Self, PatchError> {
        parameters::read(parameters).map(|operations| Self(Form::Parameters(operations)))
    }

    /// What the resource becomes, checked strictly.
    pub fn apply(&self, resource: &Resource) -> Result<Resource, PatchError> {
        self.apply_checking(resource, Checking::Strict)
    }

    /// What the resource becomes, held against the definitions as `checking` says.
    pub fn apply_checking(
        &self,
        resource: &Resource,
        checking: Checking,
    ) -> Result<Resource, PatchError> {
        let mut value = Value::Object(resource.object().clone());
        match &self.0 {
            Form::Json(patch) => json::apply(patch, resource.resource_type(), &mut value)?,
            Form::Parameters(operations) => {
                for (index, operation) in operations.iter().enumerate() {
                    operation
                        .apply(&mut value)
                        .map_err(|problem| PatchError::Operation { index, problem })?;
                }
            }
        }
        let is_same = |name: &str| value.get(name) == resource.get(name);
        if !is_same("resourceType") || !is_same("id") {
            return Err(PatchError::IdentityChanged);
        }
        let read = Resource::from_value_noting(value, checking);
        read.map(|(resource, _)| resource)
            .map_err(PatchError::Result)
    }
}

impl std::fmt::Debug for Patch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = match &self.0 {
            Form::Json(patch) => patch.0.len(),
            Form::Parameters(operations) => operations.len(),
        };
        write!(out, "Patch({count} operations)")
    }
}

impl PatchError {
    /// Whether the patch itself cannot be read, whatever the resource is.
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::NotJsonPatch | Self::NotParameters | Self::TooManyOperations => true,
            Self::Operation { problem, .. } => matches!(
                problem,
                OperationProblem::Part(_)
                    | OperationProblem::UnknownType
                    | OperationProblem::Syntax(_)
            ),
            Self::IdentityChanged | Self::Result(_) => false,
        }
    }

    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::Result(error) => return error.outcome(),
            Self::TooManyOperations => IssueType::TooCostly,
            Self::NotJsonPatch | Self::NotParameters => IssueType::Structure,
            Self::IdentityChanged => IssueType::BusinessRule,
            Self::Operation { problem, .. } => match problem {
                OperationProblem::Part(_) => IssueType::Required,
                OperationProblem::TooLarge => IssueType::TooCostly,
                OperationProblem::TestFailed { .. } => IssueType::Conflict,
                OperationProblem::NothingThere { .. } => IssueType::NotFound,
                _ => IssueType::Processing,
            },
        };
        let issue = Issue::error(code, self.to_string());
        let issue = match self {
            Self::Operation { index, .. } => issue.at(format!("Parameters.parameter[{index}]")),
            _ => issue,
        };
        OperationOutcome::of(issue)
    }
}

#[cfg(test)]
mod tests;
