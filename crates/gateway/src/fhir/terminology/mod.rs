//! The operations of the terminology module (<https://hl7.org/fhir/R4/terminology-service.html>), over the vocabularies
//! that are loaded and over code systems and value sets among the records, which the caller may see.

mod asking;
mod capabilities;
mod code_system;
mod concept_map;
mod desk;
mod value_set;

pub(crate) use capabilities::terminology_capabilities;
use code_system::{lookup, subsumes, subsumes_of, validate_code_of};
use concept_map::{translate, translate_by};
use value_set::{expand, expand_of, validate_code};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::Arc;

use interop::fhir::{IssueType, ResourceType};
use interop::terminology::TerminologyProblem;

use super::Fhir;
use crate::problem::Problem;

/// The operations, at types and at instances.
pub(super) fn routes() -> Router<Arc<Fhir>> {
    Router::new()
        .route("/fhir/{type}/$lookup", get(lookup).post(lookup))
        .route("/fhir/{type}/$subsumes", get(subsumes).post(subsumes))
        .route(
            "/fhir/{type}/{id}/$subsumes",
            get(subsumes_of).post(subsumes_of),
        )
        .route(
            "/fhir/{type}/$validate-code",
            get(validate_code).post(validate_code),
        )
        .route(
            "/fhir/{type}/{id}/$validate-code",
            get(validate_code_of).post(validate_code_of),
        )
        .route("/fhir/{type}/$expand", get(expand).post(expand))
        .route("/fhir/{type}/{id}/$expand", get(expand_of).post(expand_of))
        .route("/fhir/{type}/$translate", get(translate).post(translate))
        .route(
            "/fhir/{type}/{id}/$translate",
            get(translate_by).post(translate_by),
        )
}

/// An operation of one type.
fn must_be(resource_type: ResourceType, name: &str) -> Result<(), Problem> {
    match resource_type.as_str() == name {
        true => Ok(()),
        false => Err(Problem::not_supported(format!(
            "the operation is defined for {name}"
        ))),
    }
}

impl From<TerminologyProblem> for Problem {
    fn from(problem: TerminologyProblem) -> Self {
        let status = match problem.code() {
            IssueType::NotFound => StatusCode::NOT_FOUND,
            IssueType::Transient => return Self::unavailable("a vocabulary"),
            IssueType::NotSupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, problem.code(), problem.to_string())
    }
}
