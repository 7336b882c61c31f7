//! What only the store can tell about a plan: whether conditional creates exist, and whom
//! conditional references name.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use interop::fhir::transaction::{Pending, Plan};
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType};
use node::custody::Opened;
use tokio::sync::OwnedMutexGuard;

use super::super::Fhir;
use crate::fhir::caller::Caller;
use crate::problem::Problem;

impl Fhir {
    pub(super) async fn hold_conditions(&self, plan: &Plan) -> Vec<OwnedMutexGuard<()>> {
        let pending = plan.pending();
        let conditions: Vec<(ResourceType, &str)> = pending
            .iter()
            .filter_map(|pending| match pending {
                Pending::Create {
                    resource_type,
                    query,
                    ..
                }
                | Pending::Target {
                    resource_type,
                    query,
                    ..
                } => Some((*resource_type, query.as_str())),
                Pending::Reference { .. } => None,
            })
            .collect();
        self.conditional.hold(&conditions).await
    }

    /// Resolves the plan; returns what conditional creates found, by the place of their entry.
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        plan: &mut Plan,
    ) -> Result<BTreeMap<usize, Opened>, Problem> {
        let mut existing = BTreeMap::new();
        for pending in plan.pending() {
            match pending {
                Pending::Create {
                    index,
                    resource_type,
                    query,
                } => {
                    let found = self.find_one(caller, resource_type, &query).await?;
                    plan.resolve_create(index, found.as_ref().map(|found| found.id.as_str()));
                    existing.extend(found.map(|found| (index, found)));
                }
                Pending::Target {
                    index,
                    resource_type,
                    query,
                } => {
                    let found = self.find_one(caller, resource_type, &query).await?;
                    if let Some(found) = &found {
                        caller.may_touch(&found.resource)?;
                    }
                    let found = found.as_ref().map(|found| found.id.as_str());
                    plan.resolve_target(index, found)?;
                }
                Pending::Reference { .. } => {}
            }
        }
        // One query stands for all references with it.
        let mut known: BTreeMap<(ResourceType, String), String> = BTreeMap::new();
        for pending in plan.pending() {
            let Pending::Reference {
                index,
                resource_type,
                query,
            } = pending
            else {
                continue;
            };
            let key = (resource_type, query);
            if known.contains_key(&key) {
                continue;
            }
            let found = self.find_referred(caller, resource_type, &key.1).await?;
            let found = found.ok_or_else(|| names_nothing(index))?;
            plan.resolve_reference(resource_type, &key.1, &found.id);
            known.insert(key, found.id);
        }
        Ok(existing)
    }
}

fn names_nothing(index: usize) -> Problem {
    let diagnostics = format!("entry {index}: a conditional reference matches no resource");
    let issue = Issue::error(IssueType::NotFound, diagnostics)
        .at(format!("Bundle.entry[{index}].resource"));
    let outcome = OperationOutcome::of(issue);
    Problem::with_outcome(StatusCode::PRECONDITION_FAILED, outcome)
}
