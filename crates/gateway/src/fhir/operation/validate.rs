//! `$validate`: <https://hl7.org/fhir/R4/resource-operation-validate.html>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::invariants::violations;
use interop::fhir::{
    Issue, IssueType, OperationOutcome, Resource, ResourceError, ResourceType, Severity,
};
use serde_json::Value;

use crate::auth::Permission;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::fhir::{Fhir, limits};
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;

/// What a resource is validated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Content,
    Create,
    Update,
    Delete,
}

/// What is asked.
struct Asked {
    resource: Option<Value>,
    mode: Mode,
    profile: Option<String>,
}

/// Validates a resource that is sent.
pub(crate) async fn validate(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    RawQuery(query): RawQuery,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let asked = Asked::read(&body, query.as_deref())?;
    if matches!(asked.mode, Mode::Update | Mode::Delete) {
        return Err(Problem::malformed(
            "the modes update and delete are of an instance: [type]/[id]/$validate",
        ));
    }
    if asked.mode == Mode::Create {
        caller.may(resource_type, Permission::Create)?;
    }
    Ok(fhir.validated(&asked, resource_type, None))
}

/// Validates a resource that is sent as a change of an instance.
pub(crate) async fn validate_instance(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    RawQuery(query): RawQuery,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let mut asked = Asked::read(&body, query.as_deref())?;
    match asked.mode {
        Mode::Create => {
            return Err(Problem::malformed(
                "the mode create is of a type: [type]/$validate",
            ));
        }
        Mode::Update => caller.may(resource_type, Permission::Update)?,
        Mode::Delete => {
            caller.may(resource_type, Permission::Delete)?;
            caller.must_not_be_a_patient()?;
        }
        Mode::Content => {}
    }
    if asked.resource.is_none() || asked.mode == Mode::Delete {
        asked.resource = Some(fhir.presented(&caller, resource_type, &id).await?);
        if asked.mode == Mode::Delete {
            let done = Issue::error(IssueType::Informational, "the document can be deleted");
            let outcome = OperationOutcome::of(done.with_severity(Severity::Information));
            return Ok(fhir_json(StatusCode::OK, &outcome.to_value()));
        }
    }
    Ok(fhir.validated(&asked, resource_type, Some(&id)))
}

/// Validates an instance as it is.
pub(crate) async fn validate_stored(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut asked = Asked::new(query.as_deref())?;
    if asked.mode != Mode::Content {
        return Err(Problem::malformed("a mode takes POST"));
    }
    asked.resource = Some(fhir.presented(&caller, resource_type, &id).await?);
    Ok(fhir.validated(&asked, resource_type, Some(&id)))
}

impl Fhir {
    async fn presented(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Value, Problem> {
        caller.may(resource_type, Permission::Read)?;
        caller.may_address(resource_type, id)?;
        let requester = caller.requester();
        let opened = self.custody.read(requester, resource_type, id).await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened.presented())
    }

    fn validated(&self, asked: &Asked, resource_type: ResourceType, id: Option<&str>) -> Response {
        let mut issues = Vec::new();
        match &asked.resource {
            None => issues.push(Issue::error(
                IssueType::Required,
                "the parameter `resource` is missing",
            )),
            Some(value) => issues.extend(self.issues_of(value, resource_type, asked)),
        }
        if asked.mode == Mode::Update {
            let own = asked.resource.as_ref().and_then(|it| it["id"].as_str());
            if own != id {
                let text = "the resource's id is not that of the URL";
                issues.push(Issue::error(IssueType::Value, text).at(format!("{resource_type}.id")));
            }
        }
        let valid = Issue::error(IssueType::Informational, "the resource is valid");
        let mut issues = issues.into_iter();
        let first = issues.next();
        let first = first.unwrap_or_else(|| valid.with_severity(Severity::Information));
        let outcome = issues.fold(OperationOutcome::of(first), OperationOutcome::with);
        fhir_json(StatusCode::OK, &outcome.to_value())
    }

    /// What is wrong with a resource, and what could be better.
    fn issues_of(&self, value: &Value, resource_type: ResourceType, asked: &Asked) -> Vec<Issue> {
        let resource = match Resource::from_value(value.clone()) {
            Err(error) => return error.issues(),
            Ok(resource) => resource,
        };
        if resource.resource_type() != resource_type {
            let expected = resource_type;
            return ResourceError::TypeMismatch { expected }.issues();
        }
        let mut issues: Vec<Issue> = violations(&resource).iter().map(|it| it.issue()).collect();
        let base = format!("http://hl7.org/fhir/StructureDefinition/{resource_type}");
        let claimed = value["meta"]["profile"].as_array().into_iter().flatten();
        let claimed: Vec<&str> = claimed.filter_map(Value::as_str).collect();
        let asked = asked.profile.as_deref();
        for url in claimed
            .iter()
            .copied()
            .filter(|url| Some(*url) != asked)
            .chain(asked)
        {
            if url == base {
                continue;
            }
            match self.rules.profiles.validate(url, &resource) {
                Some(found) => issues.extend(found),
                // One that is claimed and not known decides nothing; one that is asked for does.
                None => {
                    let text = "a profile is not known here for this type";
                    let severity = match Some(url) == asked {
                        true => Severity::Error,
                        false => Severity::Warning,
                    };
                    let issue = Issue::error(IssueType::NotSupported, text);
                    issues.push(issue.with_severity(severity));
                }
            }
        }
        issues
    }
}

impl Asked {
    fn new(query: Option<&str>) -> Result<Self, Problem> {
        let mut asked = Self {
            resource: None,
            mode: Mode::Content,
            profile: None,
        };
        for (name, value) in query.into_iter().flat_map(pairs_of) {
            asked.set(&name, &value)?;
        }
        Ok(asked)
    }

    /// A resource as it is, or Parameters that hold it.
    fn read(body: &[u8], query: Option<&str>) -> Result<Self, Problem> {
        let mut asked = Self::new(query)?;
        // The limits are those of every body; what the structure lacks is what is asked.
        match Resource::parse(body, &limits()) {
            Ok(_) | Err(ResourceError::Elements(_)) | Err(ResourceError::IdMalformed) => {}
            Err(error) => return Err(error.into()),
        }
        let value: Value =
            serde_json::from_slice(body).map_err(|_| Problem::malformed("the body is not JSON"))?;
        let parameters = value.get("parameter").and_then(Value::as_array);
        let names = ["resource", "mode", "profile"];
        let is_input = |one: &Value| one["name"].as_str().is_some_and(|it| names.contains(&it));
        let is_wrapped = value["resourceType"] == "Parameters"
            && parameters.is_some_and(|all| all.iter().any(is_input));
        if !is_wrapped {
            asked.resource = Some(value);
            return Ok(asked);
        }
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            if let Some(resource) = parameter.get("resource").filter(|_| name == "resource") {
                asked.resource = Some(resource.clone());
                continue;
            }
            let value = ["valueCode", "valueUri", "valueCanonical", "valueString"]
                .iter()
                .find_map(|element| parameter.get(element)?.as_str());
            asked.set(name, value.unwrap_or_default())?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "mode" => {
                self.mode = match value {
                    "create" => Mode::Create,
                    "update" => Mode::Update,
                    "delete" => Mode::Delete,
                    _ => {
                        return Err(Problem::malformed(
                            "the parameter `mode` is create, update or delete",
                        ));
                    }
                };
            }
            "profile" => self.profile = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}
