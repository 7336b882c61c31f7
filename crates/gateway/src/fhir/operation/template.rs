//! `Consent/$templates` and `Consent/$from-template`: forms in plain words, and the Consent that answers make, for the wallet
//! to sign or for `$fileConsent`. Nothing is stored.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::consent::template::{Filing, Template, answers, canonical};
use interop::fhir::{Issue, IssueType, OperationOutcome, Resource, ResourceType};
use serde_json::{Value, json};

use crate::auth::Permission;
use crate::fhir::address::{TypeAddress, only};
use crate::fhir::caller::Caller;
use crate::fhir::{Fhir, limits};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn templates(
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
) -> Result<Response, Problem> {
    only(ResourceType::CONSENT, resource_type)?;
    caller.may(resource_type, Permission::Read)?;
    let entry = |template: &Template| json!({ "fullUrl": canonical(template), "resource": template.questionnaire() });
    let entries: Vec<Value> = Template::all().iter().map(entry).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entries });
    Ok(fhir_json(StatusCode::OK, &bundle))
}

pub(crate) async fn from_template(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    only(ResourceType::CONSENT, resource_type)?;
    caller.may(resource_type, Permission::Create)?;
    let kind = ResourceType::parse("QuestionnaireResponse")
        .ok_or_else(|| Problem::internal("R4 has no QuestionnaireResponse"))?;
    let response = Resource::parse_as(kind, &body, &limits())?.into_value();
    let template = Template::answered_by(&response);
    let template = template.ok_or_else(|| at("questionnaire", "there is no such template"))?;
    let text = |pointer: &str, element: &str| {
        let text = response.pointer(pointer).and_then(Value::as_str);
        text.ok_or_else(|| at(element, "it has to be there"))
    };
    let home = &fhir.identity.member;
    let filing = Filing {
        patient: text("/subject/reference", "subject")?,
        through: home.as_str(),
        start: text("/authored", "authored")?,
    };
    let given = answers(&response).ok_or_else(|| at("item", "the answers cannot be read"))?;
    let consent = template.consent(&filing, &given);
    let consent = consent.map_err(|error| at("item", &error.to_string()))?;
    Ok(fhir_json(StatusCode::OK, &consent))
}

fn at(element: &str, why: &str) -> Problem {
    let issue = Issue::error(IssueType::BusinessRule, why);
    let issue = issue.at(&format!("QuestionnaireResponse.{element}"));
    Problem::with_outcome(
        StatusCode::UNPROCESSABLE_ENTITY,
        OperationOutcome::of(issue),
    )
}
