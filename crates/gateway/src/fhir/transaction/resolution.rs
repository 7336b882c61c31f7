//! What only the store can tell about a plan: whether conditional creates exist, and whom
//! conditional references name.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use interop::fhir::care_services::is_care_service;
use interop::fhir::transaction::{Pending, Plan};
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType};
use node::custody::Opened;

use super::super::Fhir;
use crate::fhir::caller::Caller;
use crate::fhir::conditional::Held;
use crate::problem::Problem;

/// What the store told of a plan.
#[derive(Default)]
pub(super) struct Resolved {
    /// What conditional creates found, by the place of their entry.
    pub(super) existing: BTreeMap<usize, Opened>,
    /// What found nothing finds nothing until these go.
    pub(super) held: Vec<Held>,
}

/// An entry of a plan and its condition.
struct Conditional {
    index: usize,
    resource_type: ResourceType,
    query: String,
    creates: bool,
}

impl Fhir {
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        plan: &mut Plan,
    ) -> Result<Resolved, Problem> {
        let mut resolved = Resolved::default();
        // Many transactions name one organization at the same time: none waits for another if it is there.
        let mut shared = of_entries(plan);
        shared.retain(|one| one.creates && is_care_service(one.resource_type));
        for (one, found) in self.looked_up(caller, shared).await? {
            if let Some(found) = found {
                plan.resolve_create(one.index, Some(&found.id));
                resolved.existing.insert(one.index, found);
            }
        }
        let rest = of_entries(plan);
        resolved.held = self.conditional.hold(&conditions(&rest)).await;
        for (one, found) in self.looked_up(caller, rest).await? {
            let id = found.as_ref().map(|found| found.id.as_str());
            if one.creates {
                plan.resolve_create(one.index, id);
                resolved
                    .existing
                    .extend(found.map(|found| (one.index, found)));
                continue;
            }
            if let Some(found) = &found {
                caller.may_touch(&found.resource)?;
            }
            plan.resolve_target(one.index, id)?;
        }
        self.resolve_references(caller, plan).await?;
        Ok(resolved)
    }

    async fn looked_up(
        &self,
        caller: &Caller,
        all: Vec<Conditional>,
    ) -> Result<Vec<(Conditional, Option<Opened>)>, Problem> {
        let found = self.find_one_each(caller, &conditions(&all)).await?;
        Ok(all.into_iter().zip(found).collect())
    }

    async fn resolve_references(&self, caller: &Caller, plan: &mut Plan) -> Result<(), Problem> {
        // One query stands for all references with it.
        let mut seen = BTreeSet::new();
        let mut distinct = Vec::new();
        for pending in plan.pending() {
            if let Pending::Reference {
                index,
                resource_type,
                query,
            } = pending
                && seen.insert((resource_type, query.clone()))
            {
                distinct.push((index, resource_type, query));
            }
        }
        let queries = distinct.iter();
        let queries: Vec<_> = queries
            .map(|(_, kind, query)| (*kind, query.as_str()))
            .collect();
        let found = self.find_referred_each(caller, &queries).await?;
        for ((index, resource_type, query), found) in distinct.iter().zip(found) {
            let found = found.ok_or_else(|| names_nothing(*index))?;
            plan.resolve_reference(*resource_type, query, &found.id);
        }
        Ok(())
    }
}

fn of_entries(plan: &Plan) -> Vec<Conditional> {
    let conditional = |pending| match pending {
        Pending::Create {
            index,
            resource_type,
            query,
        } => Some((index, resource_type, query, true)),
        Pending::Target {
            index,
            resource_type,
            query,
        } => Some((index, resource_type, query, false)),
        Pending::Reference { .. } => None,
    };
    let all = plan.pending().into_iter().filter_map(conditional);
    all.map(|(index, resource_type, query, creates)| Conditional {
        index,
        resource_type,
        query,
        creates,
    })
    .collect()
}

fn conditions(all: &[Conditional]) -> Vec<(ResourceType, &str)> {
    let all = all.iter();
    all.map(|one| (one.resource_type, one.query.as_str()))
        .collect()
}

fn names_nothing(index: usize) -> Problem {
    let diagnostics = format!("entry {index}: a conditional reference matches no resource");
    let issue = Issue::error(IssueType::NotFound, diagnostics)
        .at(format!("Bundle.entry[{index}].resource"));
    let outcome = OperationOutcome::of(issue);
    Problem::with_outcome(StatusCode::PRECONDITION_FAILED, outcome)
}
