//! update, also as create and conditional: <https://hl7.org/fhir/R4/http.html#update>

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use interop::fhir::transaction::Expected;
use interop::fhir::{Checking, IssueType, ParseLimits, Resource, ResourceType};
use node::custody::Change;
use serde_json::{Map, Value};

use super::address::{ConditionalAddress, InstanceAddress};
use super::caller::Caller;
use super::precondition::Expecting;
use super::preferences::Preferences;
use super::{Fhir, WriteRules, answer, provenance};
use crate::auth::Permission;
use crate::http::Payload;
use crate::problem::Problem;

pub(crate) async fn update(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    Expecting(expected): Expecting,
    preferences: Preferences,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Update)?;
    let resource = Resource::parse_as(resource_type, &body, &fhir.rules.limits())?;
    if resource.id() != Some(&id) {
        return Err(Problem::malformed(
            "the resource's id is not that of the URL",
        ));
    }
    let update = Update {
        body,
        resource,
        id,
        expected,
    };
    fhir.update(&caller, &headers, preferences, update).await
}

/// Updates the one match of the query; without a match the update creates.
pub(crate) async fn update_where(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    ConditionalAddress {
        resource_type,
        query,
    }: ConditionalAddress,
    Expecting(expected): Expecting,
    preferences: Preferences,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Update)?;
    let resource = Resource::parse_as(resource_type, &body, &fhir.rules.limits())?;
    let guards = fhir.conditional.hold(&[(resource_type, &query)]).await;
    let found = fhir.find_one(&caller, resource_type, &query).await?;
    let answer = match (found, resource.id()) {
        (Some(found), named) if named.is_none_or(|named| named == found.id) => {
            caller.may_touch(&found.resource)?;
            let resource = resource.with_id(&found.id)?;
            let update = Update {
                body,
                resource,
                id: found.id,
                expected,
            };
            fhir.update(&caller, &headers, preferences, update).await
        }
        (Some(_), _) => Err(Problem::malformed(
            "the resource's id is not that of the resource that matches",
        )),
        (None, _) if matches!(expected, Expected::Version(_)) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            IssueType::Conflict,
            "nothing matches the condition, so no version is current",
        )),
        (None, Some(id)) => {
            let id = id.to_owned();
            let update = Update {
                body,
                resource,
                id,
                expected: Expected::Nothing,
            };
            fhir.update(&caller, &headers, preferences, update).await
        }
        (None, None) => {
            fhir.introduce(&caller, &headers, preferences, body, resource)
                .await
        }
    };
    drop(guards);
    answer
}

/// A new version of the document with this id.
struct Update {
    body: Bytes,
    resource: Resource,
    id: String,
    expected: Expected,
}

/// A line of a bulk import: what an update with it would write. Without a source in `meta` it gets this one.
pub(crate) fn written_as_sent(
    rules: &WriteRules,
    resource_type: ResourceType,
    line: &[u8],
    source: &str,
) -> Result<Resource, Problem> {
    let unchecked = ParseLimits {
        checking: Checking::Stored,
        ..rules.limits()
    };
    let sent = Resource::parse_as(resource_type, line, &unchecked)?;
    let id = sent.id().map(str::to_owned);
    id.ok_or_else(|| Problem::malformed("the resource has no id"))?;
    let mut value = sent.into_value();
    let meta = value.as_object_mut().map(|object| {
        let meta = object.entry("meta");
        meta.or_insert_with(|| Value::Object(Map::new()))
    });
    if let Some(Value::Object(meta)) = meta {
        let source = || Value::String(source.to_owned());
        meta.entry("source").or_insert_with(source);
    }
    let text = Value::to_string(&value);
    let resource = Resource::parse_as(resource_type, text.as_bytes(), &rules.limits())?;
    rules.check(&resource)?;
    Ok(resource)
}

impl Fhir {
    async fn update(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        preferences: Preferences,
        update: Update,
    ) -> Result<Response, Problem> {
        let Update {
            body,
            resource,
            id,
            expected,
        } = update;
        caller.may_touch(&resource)?;
        let signature = provenance::signature(headers, resource.resource_type())?;
        let change = match (signature, expected) {
            (Some(_), Expected::Nothing) => {
                return Err(Problem::not_supported(
                    "a signed consent that must be new is posted, not put",
                ));
            }
            (Some(jws), _) => provenance::filed(&body, jws, Some(id), version_of(expected)),
            (None, Expected::Nothing) => Change::CreateAs {
                resource: resource.clone(),
            },
            (None, _) => Change::Update {
                resource: resource.clone(),
                if_match: version_of(expected),
            },
        };
        let written = self.write_one(caller, change).await?;
        let remarks = self.rules.remarks(&resource, preferences.answer);
        let answer = (preferences.answer, remarks);
        Ok(answer::written(&self.base, &written, &resource, answer))
    }

    /// Creates under a fresh id.
    pub(super) async fn introduce(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        preferences: Preferences,
        body: Bytes,
        resource: Resource,
    ) -> Result<Response, Problem> {
        caller.may_touch(&resource)?;
        let change = match provenance::signature(headers, resource.resource_type())? {
            Some(jws) => provenance::filed(&body, jws, None, None),
            None => Change::Create {
                resource: resource.clone(),
                id: None,
            },
        };
        let written = self.write_one(caller, change).await?;
        let remarks = self.rules.remarks(&resource, preferences.answer);
        let answer = (preferences.answer, remarks);
        Ok(answer::written(&self.base, &written, &resource, answer))
    }
}

fn version_of(expected: Expected) -> Option<u64> {
    match expected {
        Expected::Version(version) => Some(version),
        Expected::Anything | Expected::Nothing => None,
    }
}
