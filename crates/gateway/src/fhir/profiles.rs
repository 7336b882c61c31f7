//! What is written, against R4 and the profiles that it claims in `meta.profile`.
//!
//! A profile counts if a package with it is loaded. In the strict mode what breaks one is refused; in the lenient mode it is
//! a warning, for whoever prefers an outcome.

use std::sync::Arc;

use axum::http::StatusCode;
use interop::fhir::invariants::{Weight, violations};
use interop::fhir::profile::Profiles;
use interop::fhir::{Checking, Issue, OperationOutcome, ParseLimits, Resource, Severity};
use node::custody::Change;
use serde_json::Value;

use super::invariants;
use super::preferences::Return;
use crate::problem::Problem;

/// What is written is held against R4, and against the profiles that are here.
#[derive(Clone)]
pub(crate) struct WriteRules {
    pub(crate) checking: Checking,
    pub(crate) profiles: Arc<Profiles>,
    /// The longest body, in bytes.
    pub(crate) body_bytes: usize,
}

impl WriteRules {
    /// Limits of what is to be written.
    pub(super) fn limits(&self) -> ParseLimits {
        ParseLimits {
            bytes_max: self.body_bytes,
            checking: self.checking,
            ..ParseLimits::default()
        }
    }

    /// Refuses a change to a resource that breaks an invariant, or in the strict mode a profile. A signed consent is not
    /// looked at: custody reads its bytes.
    pub(super) fn check_change(&self, change: &Change) -> Result<(), Problem> {
        match change {
            Change::Create { resource, .. }
            | Change::CreateAs { resource }
            | Change::Update { resource, .. }
            | Change::Answer { resource, .. } => self.check(resource),
            Change::Delete { .. } | Change::File(_) => Ok(()),
        }
    }

    /// Refuses a resource that breaks an invariant, or in the strict mode a profile.
    pub(super) fn check(&self, resource: &Resource) -> Result<(), Problem> {
        invariants::check(resource)?;
        if self.checking != Checking::Strict {
            return Ok(());
        }
        let issues = self.claimed(resource);
        if issues.iter().all(|issue| issue.severity != Severity::Error) {
            return Ok(());
        }
        let mut issues = issues.into_iter();
        let Some(first) = issues.next() else {
            return Ok(());
        };
        let outcome = issues.fold(OperationOutcome::of(first), OperationOutcome::with);
        Err(Problem::with_outcome(
            StatusCode::UNPROCESSABLE_ENTITY,
            outcome,
        ))
    }

    /// What could be better with a resource that is written, if the writer prefers an outcome.
    pub(super) fn remarks(&self, resource: &Resource, answer: Option<Return>) -> Vec<Issue> {
        if answer != Some(Return::OperationOutcome) {
            return Vec::new();
        }
        let structure = match self.checking {
            Checking::Lenient => resource.lenient_problems(),
            Checking::Strict | Checking::Stored => Vec::new(),
        };
        let suspicious = violations(resource);
        let suspicious = suspicious
            .iter()
            .filter(|violation| violation.weight == Weight::Warning);
        let issues = structure.into_iter().chain(self.claimed(resource));
        let issues = issues.chain(suspicious.map(|violation| violation.issue()));
        let weaken = |issue: Issue| match issue.severity {
            Severity::Error => issue.with_severity(Severity::Warning),
            _ => issue,
        };
        issues.map(weaken).collect()
    }

    /// What the profiles that a resource claims say of it, those that are here.
    fn claimed(&self, resource: &Resource) -> Vec<Issue> {
        let claims = resource.get("meta").and_then(|meta| meta.get("profile"));
        let claims = claims.and_then(Value::as_array).into_iter().flatten();
        let urls = claims.filter_map(Value::as_str);
        let issues = urls.filter_map(|url| self.profiles.validate(url, resource));
        issues.flatten().collect()
    }
}
