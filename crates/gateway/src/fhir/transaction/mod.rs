//! transaction and batch: <https://hl7.org/fhir/R4/http.html#transaction>

mod batch;
mod entry;
mod resolution;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::transaction::{
    Action, BundleKind, EntryResponse, Plan, PlannedEntry, plan, response_bundle,
};
use interop::fhir::{Resource, ResourceType};
use serde_json::Value;

use super::caller::Caller;
use super::preferences::{Preferences, Return};
use super::{Fhir, limits};
use crate::auth::Permission;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn transaction(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let bundle = Resource::parse_as(ResourceType::BUNDLE, &body, &limits())?;
    drop(body);
    let plan = plan(bundle, &mut || uuid::Uuid::new_v4().to_string())?;
    let answer = match plan.kind {
        BundleKind::Transaction => fhir.all_or_nothing(&caller, plan, preferences).await?,
        BundleKind::Batch => fhir.each_alone(&caller, plan, preferences).await,
    };
    Ok(fhir_json(StatusCode::OK, &answer))
}

impl Fhir {
    async fn all_or_nothing(
        &self,
        caller: &Caller,
        mut plan: Plan,
        preferences: Preferences,
    ) -> Result<Value, Problem> {
        let reads = plan.entries.iter().filter(|entry| is_read(entry)).count();
        if reads > 0 && reads < plan.entries.len() {
            // What is read would have to be read in the state that the writes leave, and a read
            // that fails would have to undo them.
            return Err(Problem::not_supported(
                "a transaction reads or writes; both in one are not supported",
            ));
        }
        for entry in &plan.entries {
            may(caller, entry)?;
        }
        if reads > 0 {
            return self.read_all(caller, plan, preferences).await;
        }
        let guards = self.hold_conditions(&plan).await;
        let found = self.resolve(caller, &mut plan).await?;
        for content in plan
            .entries
            .iter()
            .filter_map(|entry| entry.resource.as_ref())
        {
            caller.may_touch(content)?;
        }
        let changes = plan.entries.iter().filter_map(entry::change).collect();
        let mut written = self
            .custody
            .write(caller.requester(), changes)
            .await?
            .into_iter();
        drop(guards);
        let mut responses = Vec::new();
        for planned in &plan.entries {
            let response = match (&planned.action, found.get(&planned.index)) {
                (Action::Exists, Some(existing)) => entry::existing(planned, existing),
                _ => {
                    let written = written
                        .next()
                        .ok_or_else(|| Problem::internal("custody wrote less than it was given"))?;
                    entry::written(planned, &written, preferences.answer)
                }
            };
            responses.push(response);
        }
        Ok(response_bundle(BundleKind::Transaction, responses))
    }

    async fn read_all(
        &self,
        caller: &Caller,
        plan: Plan,
        preferences: Preferences,
    ) -> Result<Value, Problem> {
        let mut responses = Vec::new();
        for planned in &plan.entries {
            let resource = self.read_entry(caller, planned, preferences).await?;
            responses.push(entry::read(planned, resource));
        }
        Ok(response_bundle(BundleKind::Transaction, responses))
    }
}

fn is_read(entry: &PlannedEntry) -> bool {
    matches!(entry.action, Action::Read(_))
}

/// Whether the token covers the entry.
fn may(caller: &Caller, entry: &PlannedEntry) -> Result<(), Problem> {
    let permission = match &entry.action {
        Action::Create { .. } | Action::Exists => Permission::Create,
        Action::Update { .. } => Permission::Update,
        Action::Delete => {
            caller.must_not_be_a_patient()?;
            Permission::Delete
        }
        Action::Read(_) if entry.id.is_none() => Permission::Search,
        Action::Read(_) => Permission::Read,
    };
    caller.may(entry.resource_type, permission)
}

/// In a transaction nothing is answered with content unless that is preferred.
fn wants_content(answer: Option<Return>) -> bool {
    answer == Some(Return::Representation)
}

fn failed(index: usize, problem: Problem) -> EntryResponse {
    let status = problem.status().to_string();
    EntryResponse::failed(index, &status, problem.into_outcome())
}
