//! `Patient/$link`, `$unlink`, `$merge` (that of FHIR R5, for R4) and `$unmerge`: two Patients are changed in one
//! transaction, as versions that are anchored like any other. Nothing is deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::reference::Target;
use interop::fhir::{Issue, IssueType, OperationOutcome, Resource, ResourceType, Severity};
use interop::identity::links::{self, LinkProblem};
use node::custody::Change;
use serde_json::{Value, json};

use super::of_patients;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::fhir::operation::parameters::{Given, parameters};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// What a pair becomes.
type Step = fn(&mut Value, &mut Value) -> Result<(), LinkProblem>;

const LINKED: [&str; 2] = ["patient", "other"];
const MERGED: [&str; 2] = ["source-patient", "target-patient"];

pub(crate) async fn link(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.stepped(&caller, (&body, LINKED), links::link).await
}

pub(crate) async fn unlink(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.stepped(&caller, (&body, LINKED), links::unlink).await
}

pub(crate) async fn merge(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.stepped(&caller, (&body, MERGED), links::merge).await
}

pub(crate) async fn unmerge(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.stepped(&caller, (&body, MERGED), links::unmerge).await
}

/// The ids of two Patients in `valueReference`.
pub(super) fn pair(given: &Given, names: [&'static str; 2]) -> Result<[String; 2], Problem> {
    let [one, other] = names.map(|name| patient(given, name));
    Ok([one?, other?])
}

/// The id of a Patient in `valueReference`.
pub(super) fn patient(given: &Given, name: &'static str) -> Result<String, Problem> {
    let malformed = || {
        Problem::malformed(format!(
            "the parameter `{name}` must be a reference to a Patient"
        ))
    };
    let value = given
        .value(name, &["valueReference"])
        .ok_or_else(malformed)?;
    let reference = value["reference"].as_str().unwrap_or_default();
    let local = Target::parse(reference).local().ok_or_else(malformed)?;
    let is_patient = local.resource_type == ResourceType::PATIENT;
    is_patient
        .then(|| local.id.to_owned())
        .ok_or_else(malformed)
}

impl Fhir {
    /// Does a step with two Patients, unless it is to be looked at first (`preview`); answers with both as they are then.
    async fn stepped(
        &self,
        caller: &Caller,
        (body, names): (&[u8], [&'static str; 2]),
        step: Step,
    ) -> Result<Response, Problem> {
        caller.must_not_be_a_patient()?;
        caller.may(ResourceType::PATIENT, Permission::Read)?;
        caller.may(ResourceType::PATIENT, Permission::Update)?;
        let given = Given::parse(body)?;
        let [one, other] = pair(&given, names)?;
        let (mut first, version) = self.patient_to_link(caller, &one).await?;
        let (mut second, other_version) = self.patient_to_link(caller, &other).await?;
        step(&mut first, &mut second).map_err(|problem| {
            let issue = Issue::error(IssueType::BusinessRule, problem.to_string());
            Problem::with_outcome(
                StatusCode::UNPROCESSABLE_ENTITY,
                OperationOutcome::of(issue.at("Patient.link")),
            )
        })?;
        let is_preview = given.value("preview", &["valueBoolean"]) == Some(true.into());
        if !is_preview {
            let changes = vec![
                updated(first.clone(), version)?,
                updated(second.clone(), other_version)?,
            ];
            self.custody.write(caller.requester(), changes).await?;
        }
        let said = if is_preview {
            "nothing was changed: this is a preview"
        } else {
            "both patients were changed"
        };
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": [{
            "severity": Severity::Information.code(), "code": "informational", "diagnostics": said }] });
        let body = parameters(vec![
            json!({ "name": "outcome", "resource": outcome }),
            json!({ "name": "result", "resource": second }),
            json!({ "name": names[0], "resource": first }),
        ]);
        Ok(fhir_json(StatusCode::OK, &body))
    }

    /// A Patient and its version; it is read, and on record as that.
    async fn patient_to_link(&self, caller: &Caller, id: &str) -> Result<(Value, u64), Problem> {
        let by = caller.requester();
        let opened = self.custody.read(by, ResourceType::PATIENT, id).await?;
        caller.may_touch(&opened.resource)?;
        let (version, id) = (opened.version, opened.id.clone());
        let mut patient = opened.resource.into_value();
        patient["id"] = id.into();
        Ok((patient, version))
    }
}

fn updated(value: Value, version: u64) -> Result<Change, Problem> {
    Ok(Change::Update {
        resource: Resource::from_value(value)?,
        if_match: Some(version),
    })
}
