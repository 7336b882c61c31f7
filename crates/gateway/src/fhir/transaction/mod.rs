//! transaction and batch: <https://hl7.org/fhir/R4/http.html#transaction>
//!
//! The entries of a batch are asked for one by one, as if they had come alone. A transaction's changes are one write;
//! what it reads is read before that write if no entry changes it, so that a read that fails refuses the whole, and else
//! after it.

mod batch;
mod call;
mod ccda;
mod entry;
mod resolution;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::search::{Handling, Query};
use interop::fhir::transaction::{
    Action, BundleKind, EntryResponse, Plan, PlannedCall, PlannedEntry, plan, response_bundle,
};
use interop::fhir::{Resource, ResourceType};
use node::custody::{Opened, Written};
use serde_json::Value;

use super::Fhir;
use super::caller::Caller;
use super::preferences::{Preferences, Return};
use crate::auth::Permission;
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;
use call::Entries;

pub(super) use ccda::import_ccda;

/// What Bundles are executed with.
#[derive(Clone)]
pub(crate) struct Bundles {
    fhir: Arc<Fhir>,
    entries: Entries,
}

/// A resource by its type and id.
type Place = (ResourceType, String);

pub(crate) async fn transaction(
    State(bundles): State<Bundles>,
    caller: Caller,
    preferences: Preferences,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let bundle = Resource::parse_as(ResourceType::BUNDLE, &body, &bundles.fhir.rules.limits())?;
    drop(body);
    let plan = plan(bundle, bundles.fhir.rules.checking, &mut || {
        uuid::Uuid::new_v4().to_string()
    })?;
    let answer = match plan.kind {
        BundleKind::Transaction => bundles.all_or_nothing(&caller, plan, preferences).await?,
        BundleKind::Batch => bundles.each_alone(&caller, plan, preferences).await,
    };
    Ok(fhir_json(StatusCode::OK, &answer))
}

impl Bundles {
    /// Bundles whose entries `alone` answers.
    pub(super) fn new(fhir: Arc<Fhir>, alone: Router) -> Self {
        let entries = Entries::new(fhir.base.clone(), alone);
        Self { fhir, entries }
    }

    /// Writes a transaction that did not come over HTTP; answers its response Bundle.
    pub(crate) async fn file(&self, caller: &Caller, bundle: Value) -> Result<Value, Problem> {
        let bundle = Resource::from_value(bundle)?;
        let plan = plan(bundle, self.fhir.rules.checking, &mut || {
            uuid::Uuid::new_v4().to_string()
        })?;
        let preferences = Preferences {
            answer: None,
            handling: Handling::Strict,
        };
        self.all_or_nothing(caller, plan, preferences).await
    }

    /// What a search finds, `max` at most.
    pub(crate) async fn find(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        query: &str,
        max: usize,
    ) -> Result<Vec<Opened>, Problem> {
        let page = self.fhir.find(caller, resource_type, query, max).await?;
        Ok(page.matches)
    }

    /// One resource.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Opened, Problem> {
        caller.may(resource_type, Permission::Read)?;
        let read = self
            .fhir
            .custody
            .read(caller.requester(), resource_type, id);
        let opened = read.await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened)
    }

    async fn all_or_nothing(
        &self,
        caller: &Caller,
        mut plan: Plan,
        preferences: Preferences,
    ) -> Result<Value, Problem> {
        for entry in &plan.entries {
            may(caller, entry)?;
        }
        let fhir = &self.fhir;
        let resolved = fhir.resolve(caller, &mut plan).await?;
        plan.check_targets()?;
        fhir.apply_patches(caller, &mut plan).await?;
        for content in plan
            .entries
            .iter()
            .filter_map(|entry| entry.resource.as_ref())
        {
            caller.may_touch(content)?;
            fhir.rules.check(content)?;
        }
        let (early, late) = split(caller, &plan, preferences)?;
        let mut responses = self.read_early(caller, early, preferences).await?;
        let changes = plan.entries.iter().filter_map(entry::change).collect();
        let written = fhir.custody.write(caller.requester(), changes).await?;
        drop(resolved.held);
        let existing = &resolved.existing;
        responses.extend(fhir.responses_to(&plan, existing, written, preferences.answer)?);
        for call in late {
            let answer = self.entries.call(caller, call, preferences).await;
            responses.push(answer);
        }
        Ok(response_bundle(BundleKind::Transaction, responses))
    }

    /// Reads what the transaction leaves as it is; one that fails refuses the transaction.
    async fn read_early(
        &self,
        caller: &Caller,
        calls: Vec<&PlannedCall>,
        preferences: Preferences,
    ) -> Result<Vec<EntryResponse>, Problem> {
        let mut responses = Vec::new();
        for call in calls {
            let answer = self.entries.call(caller, call, preferences).await;
            if answer.outcome.is_some() {
                return Err(refusal(call.index, &answer));
            }
            responses.push(answer);
        }
        Ok(responses)
    }
}

/// The calls that are answered before the write, and those after it. What can be known to be wrong with the latter is
/// refused here.
fn split<'a>(
    caller: &Caller,
    plan: &'a Plan,
    preferences: Preferences,
) -> Result<(Vec<&'a PlannedCall>, Vec<&'a PlannedCall>), Problem> {
    let changed: BTreeMap<Place, &Action> = plan
        .entries
        .iter()
        .filter(|entry| !matches!(entry.action, Action::Exists | Action::Absent))
        .filter_map(|entry| Some(((entry.resource_type, entry.id.clone()?), &entry.action)))
        .collect();
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for call in &plan.calls {
        let mut steps = call.request.path().split('/');
        let resource_type = steps.next().and_then(ResourceType::parse);
        let instance = steps.next().filter(|step| !step.starts_with(['_', '$']));
        match (resource_type, instance) {
            (Some(resource_type), Some(id)) => match changed.get(&(resource_type, id.to_owned())) {
                None => early.push(call),
                Some(Action::Delete { .. }) if steps.next().is_none() => {
                    return Err(Problem::malformed(format!(
                        "entry {}: it reads what the transaction deletes",
                        call.index
                    )));
                }
                Some(_) => late.push(call),
            },
            (Some(resource_type), None) => {
                check_search(caller, resource_type, call, preferences)?;
                late.push(call);
            }
            (None, _) => late.push(call),
        }
    }
    Ok((early, late))
}

/// A search is made when everything is written: that it can be made is known before.
fn check_search(
    caller: &Caller,
    resource_type: ResourceType,
    call: &PlannedCall,
    preferences: Preferences,
) -> Result<(), Problem> {
    if call.request.path() != resource_type.as_str() {
        return caller.may(resource_type, Permission::Read);
    }
    caller.may(resource_type, Permission::Search)?;
    let query = call.request.query().unwrap_or_default();
    let pairs: Vec<(String, String)> = pairs_of(query).collect();
    let query = Query::parse(resource_type, &pairs, preferences.handling)?;
    caller.may_search(&query)
}

impl Fhir {
    fn responses_to(
        &self,
        plan: &Plan,
        found: &BTreeMap<usize, Opened>,
        written: Vec<Written>,
        answer: Option<Return>,
    ) -> Result<Vec<EntryResponse>, Problem> {
        let mut written = written.into_iter();
        let mut responses = Vec::new();
        for planned in &plan.entries {
            let response = match (&planned.action, found.get(&planned.index)) {
                (Action::Exists, Some(existing)) => entry::existing(planned, existing),
                (Action::Absent, _) => entry::absent(planned),
                _ => {
                    let written = written
                        .next()
                        .ok_or_else(|| Problem::internal("custody wrote less than it was given"))?;
                    let content = planned.resource.as_ref();
                    let remarks = content.map(|content| self.rules.remarks(content, answer));
                    entry::written(planned, &written, (answer, remarks.unwrap_or_default()))
                }
            };
            responses.push(response);
        }
        Ok(responses)
    }
}

/// Whether the token covers the entry.
fn may(caller: &Caller, entry: &PlannedEntry) -> Result<(), Problem> {
    let permission = match &entry.action {
        Action::Create { .. } | Action::Exists => Permission::Create,
        Action::Update { .. }
        | Action::UpdateWhere { .. }
        | Action::Patch { .. }
        | Action::PatchWhere { .. } => Permission::Update,
        Action::Delete { .. } | Action::DeleteWhere { .. } | Action::Absent => {
            caller.must_not_be_a_patient()?;
            Permission::Delete
        }
    };
    caller.may(entry.resource_type, permission)
}

/// The problem of a call as the problem of the transaction.
fn refusal(index: usize, answer: &EntryResponse) -> Problem {
    let said = answer.outcome.as_ref().and_then(|outcome| {
        let issue = outcome.get("issue")?.get(0)?;
        issue.get("diagnostics")?.as_str()
    });
    let status = answer.status.split(' ').next().unwrap_or_default();
    let status = StatusCode::from_bytes(status.as_bytes()).unwrap_or(StatusCode::BAD_REQUEST);
    let diagnostics = format!("entry {index}: {}", said.unwrap_or("it cannot be read"));
    Problem::new(status, interop::fhir::IssueType::Processing, diagnostics)
}
