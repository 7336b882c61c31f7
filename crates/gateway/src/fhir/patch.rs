//! patch, also conditional: <https://hl7.org/fhir/R4/http.html#patch>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::fhir::patch::Patch;
use interop::fhir::transaction::{Action, Expected, Plan};
use interop::fhir::{IssueType, Resource, ResourceType};
use node::custody::{Change, Opened};
use serde_json::Value;

use super::address::{InstanceAddress, TypeAddress};
use super::caller::Caller;
use super::precondition::Expecting;
use super::preferences::Preferences;
use super::{Fhir, answer, limits};
use crate::auth::Permission;
use crate::http::PatchPayload;
use crate::problem::Problem;

/// A patch without `If-Match` is applied again when another write came first.
const ATTEMPTS: usize = 3;

const JSON_PATCH: &str = "application/json-patch+json";

pub(crate) async fn patch(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    Expecting(expected): Expecting,
    preferences: Preferences,
    payload: PatchPayload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Update)?;
    caller.may_address(resource_type, &id)?;
    let patch = read(&payload)?;
    let change = Patched {
        resource_type,
        id,
        expected,
        patch,
    };
    fhir.patch(&caller, preferences, &change).await
}

/// Patches the one match of the query.
pub(crate) async fn patch_where(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Expecting(expected): Expecting,
    preferences: Preferences,
    RawQuery(query): RawQuery,
    payload: PatchPayload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Update)?;
    let patch = read(&payload)?;
    let query = query.unwrap_or_default();
    let guards = fhir.conditional.hold(&[(resource_type, &query)]).await;
    let found = fhir.find_one(&caller, resource_type, &query).await?;
    let found = found.ok_or_else(|| {
        let diagnostics = "the condition matches no resource";
        Problem::new(StatusCode::NOT_FOUND, IssueType::NotFound, diagnostics)
    })?;
    let change = Patched {
        resource_type,
        id: found.id,
        expected,
        patch,
    };
    let answer = fhir.patch(&caller, preferences, &change).await;
    drop(guards);
    answer
}

/// A document that is to be patched.
struct Patched {
    resource_type: ResourceType,
    id: String,
    expected: Expected,
    patch: Patch,
}

impl Fhir {
    async fn patch(
        &self,
        caller: &Caller,
        preferences: Preferences,
        change: &Patched,
    ) -> Result<Response, Problem> {
        let mut attempts = match change.expected {
            Expected::Anything => ATTEMPTS,
            Expected::Version(_) => 1,
            Expected::Nothing => return Err(must_be_new()),
        };
        loop {
            attempts -= 1;
            let opened = self.opened(caller, change).await?;
            let resource = change
                .patch
                .apply_checking(&opened.resource, self.rules.checking)?;
            caller.may_touch(&resource)?;
            let if_match = match change.expected {
                Expected::Version(version) => version,
                Expected::Anything | Expected::Nothing => opened.version,
            };
            let update = Change::Update {
                resource: resource.clone(),
                if_match: Some(if_match),
            };
            match self.write_one(caller, update).await {
                Err(problem)
                    if problem.status() == StatusCode::PRECONDITION_FAILED && attempts > 0 => {}
                Err(problem) => return Err(problem),
                Ok(written) => {
                    let remarks = self.rules.remarks(&resource, preferences.answer);
                    let answer = (preferences.answer, remarks);
                    return Ok(answer::written(&self.base, &written, &resource, answer));
                }
            }
        }
    }

    async fn opened(&self, caller: &Caller, change: &Patched) -> Result<Opened, Problem> {
        let opened = self
            .custody
            .read(caller.requester(), change.resource_type, &change.id)
            .await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened)
    }

    /// Turns the patches of a transaction into updates of the versions that are current.
    pub(super) async fn apply_patches(
        &self,
        caller: &Caller,
        plan: &mut Plan,
    ) -> Result<(), Problem> {
        for entry in &mut plan.entries {
            let Action::Patch { if_match } = &entry.action else {
                continue;
            };
            let if_match = *if_match;
            let (Some(id), Some(content)) = (entry.id.clone(), &entry.resource) else {
                return Err(Problem::internal("a planned patch has no target"));
            };
            let change = Patched {
                resource_type: entry.resource_type,
                id,
                expected: Expected::Anything,
                patch: of_entry(content)?,
            };
            let opened = self.opened(caller, &change).await?;
            entry.resource = Some(
                change
                    .patch
                    .apply_checking(&opened.resource, self.rules.checking)?,
            );
            entry.action = Action::Update {
                expected: Expected::Version(if_match.unwrap_or(opened.version)),
            };
        }
        Ok(())
    }
}

fn read(payload: &PatchPayload) -> Result<Patch, Problem> {
    if payload.is_json_patch {
        return Ok(Patch::from_json(&payload.body)?);
    }
    let parameters = Resource::parse(&payload.body, &limits())?;
    Ok(Patch::from_parameters(&parameters)?)
}

/// The patch that an entry carries: Parameters, or a JSON Patch in a Binary.
fn of_entry(content: &Resource) -> Result<Patch, Problem> {
    if content.resource_type().as_str() != "Binary" {
        return Ok(Patch::from_parameters(content)?);
    }
    let text = |name| content.get(name).and_then(Value::as_str);
    let bytes = text("data").and_then(|data| STANDARD.decode(data).ok());
    match (text("contentType"), bytes) {
        (Some(JSON_PATCH), Some(bytes)) => Ok(Patch::from_json(&bytes)?),
        _ => Err(Problem::malformed(
            "the Binary of a patch holds a JSON Patch in `data` and says so in `contentType`",
        )),
    }
}

fn must_be_new() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        IssueType::Conflict,
        "what must be new cannot be patched",
    )
}
