//! Why a query is refused.

use thiserror::Error;

use super::limits::{
    CHAIN_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_TERMS_MAX, INCLUDES_MAX, PARAMETERS_MAX,
    SORT_KEYS_MAX, VALUE_BYTES_MAX, VALUES_MAX, WAYS_MAX,
};
use crate::fhir::{Issue, IssueType, OperationOutcome};

/// Why a query is refused. Names the parameter, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("parameter `{parameter}` {problem}")]
pub struct QueryError {
    /// The name as it was sent; `*` if it is not of the form of a parameter.
    pub parameter: String,
    /// What is wrong with it.
    pub problem: QueryProblem,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum QueryProblem {
    #[error("is not known for this type")]
    ParameterUnknown,
    #[error("has an expression with a parameter that is not known for this type")]
    ExpressionParameterUnknown,
    #[error("is known, but not supported")]
    ParameterUnsupported,
    #[error("has a modifier that is not supported")]
    ModifierUnknown,
    #[error("has no value")]
    ValueMissing,
    #[error("has a value of another form")]
    ValueMalformed,
    #[error("asks for something that is not supported")]
    ValueUnsupported,
    #[error("has an operator that its type does not support here")]
    OperatorUnsupported,
    #[error("names a value set that is not known here")]
    ValueSetUnknown,
    #[error("names a code whose hierarchy is not known here")]
    HierarchyUnknown,
    #[error("names a type that it cannot refer to")]
    TargetImpossible,
    #[error("is chained, but is no reference to a type with the next parameter")]
    ChainBroken,
    #[error("follows more than {CHAIN_MAX} references")]
    ChainTooLong,
    #[error("may lead more than {WAYS_MAX} ways: name the types in between")]
    ChainTooWide,
    #[error("has more than {VALUES_MAX} values")]
    TooManyValues,
    #[error("has a value of more than {VALUE_BYTES_MAX} bytes")]
    ValueTooLong,
    #[error("is one more than the {PARAMETERS_MAX} that a query may have")]
    TooManyParameters,
    #[error("is one more than the {INCLUDES_MAX} that may be included")]
    TooManyIncludes,
    #[error("has more than {SORT_KEYS_MAX} keys")]
    TooManySortKeys,
    #[error(
        "has more than {EXPRESSION_TERMS_MAX} terms, or brackets more than {EXPRESSION_DEPTH_MAX} deep"
    )]
    ExpressionTooLarge,
    #[error("is of another kind for another of the types")]
    KindsDiffer,
}

impl QueryError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self.problem {
            QueryProblem::ParameterUnknown
            | QueryProblem::ExpressionParameterUnknown
            | QueryProblem::ParameterUnsupported
            | QueryProblem::ModifierUnknown
            | QueryProblem::ValueUnsupported
            | QueryProblem::OperatorUnsupported
            | QueryProblem::ValueSetUnknown
            | QueryProblem::HierarchyUnknown => IssueType::NotSupported,
            QueryProblem::ValueMissing => IssueType::Required,
            QueryProblem::ValueMalformed => IssueType::Value,
            QueryProblem::TargetImpossible
            | QueryProblem::ChainBroken
            | QueryProblem::KindsDiffer => IssueType::Invalid,
            QueryProblem::ChainTooLong
            | QueryProblem::ChainTooWide
            | QueryProblem::TooManyValues
            | QueryProblem::ValueTooLong
            | QueryProblem::TooManyParameters
            | QueryProblem::ExpressionTooLarge
            | QueryProblem::TooManyIncludes
            | QueryProblem::TooManySortKeys => IssueType::TooCostly,
        };
        OperationOutcome::of(Issue::error(code, self.to_string()))
    }
}
