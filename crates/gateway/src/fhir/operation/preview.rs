//! `Patient/[id]/$who-can-see` and `Consent/$what-if`: what is permitted now, and what a consent would change, for the
//! patient and for privacy officers. Nothing is opened and nothing is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::consent::preview::{Asker, Change, Kind, Row, Tally};
use interop::fhir::{Resource, ResourceType};
use serde_json::{Value, json};

use super::parameters::{Given, parameters, text};
use crate::auth::Permission;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::fhir::{Fhir, limits};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

const OFFICER: &str = "privacy-officer";

pub(crate) async fn who_can_see(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    may_preview(&caller, &id)?;
    let preview = fhir.custody.who_can_see(caller.requester(), &id).await?;
    let rows = preview.rows.iter().map(row);
    Ok(answered(preview.is_complete, rows))
}

pub(crate) async fn what_if(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    if resource_type != ResourceType::CONSENT {
        return Err(Problem::not_found());
    }
    let (consent, replaces) = asked(&body)?;
    let patient = consent.get("patient");
    let patient = patient.and_then(|patient| patient.get("reference")?.as_str());
    let id = patient.and_then(|patient| patient.strip_prefix("Patient/"));
    let id = id
        .ok_or_else(|| Problem::unprocessable("Consent.patient names no patient of this member"))?;
    let id = id.to_owned();
    may_preview(&caller, &id)?;
    let proposed = (consent, replaces.as_deref());
    let preview = fhir
        .custody
        .what_if(caller.requester(), &id, proposed)
        .await?;
    let rows = preview.rows.iter().map(change);
    Ok(answered(preview.is_complete, rows))
}

/// A preview names documents of all types.
fn may_preview(caller: &Caller, id: &str) -> Result<(), Problem> {
    caller.may_on_all_types(Permission::Read)?;
    match caller.patient() {
        Some(_) => caller.must_be_patient(id),
        None if caller.requester().role.as_deref() == Some(OFFICER) => Ok(()),
        None => Err(Problem::forbidden(
            "this takes the token of the patient, or the role privacy-officer",
        )),
    }
}

/// The consent, as the body or as a parameter, and the id of the one that it would replace.
fn asked(body: &[u8]) -> Result<(Resource, Option<String>), Problem> {
    let resource = Resource::parse(body, &limits())?;
    if resource.resource_type() == ResourceType::CONSENT {
        return Ok((resource, None));
    }
    let given = Given::parse(body)?;
    let consent = given.value("consent", &["resource"]);
    let consent =
        consent.ok_or_else(|| Problem::malformed("the parameter `consent` must be there"))?;
    let consent = Resource::from_value(consent)?;
    if consent.resource_type() != ResourceType::CONSENT {
        return Err(Problem::malformed("the parameter `consent` is no Consent"));
    }
    let replaces = given.value("replaces", &["valueId", "valueString"]);
    let replaces = replaces.as_ref().and_then(Value::as_str);
    Ok((consent, replaces.map(str::to_owned)))
}

fn answered(is_complete: bool, rows: impl Iterator<Item = Value>) -> Response {
    let complete = json!({ "name": "complete", "valueBoolean": is_complete });
    let all = std::iter::once(complete).chain(rows).collect();
    fhir_json(StatusCode::OK, &parameters(all))
}

fn row(row: &Row) -> Value {
    let mut part = about(&row.asker, &row.kind);
    part.extend(tally(&row.tally));
    json!({ "name": "row", "part": part })
}

fn change(change: &Change) -> Value {
    let mut part = about(&change.asker, &change.kind);
    part.push(json!({ "name": "differs", "valueBoolean": change.differs() }));
    part.push(json!({ "name": "before", "part": tally(&change.before) }));
    part.push(json!({ "name": "after", "part": tally(&change.after) }));
    for (name, documents) in [("gained", &change.gained), ("lost", &change.lost)] {
        let documents = documents.iter();
        part.extend(
            documents.map(|id| json!({ "name": name, "valueReference": { "reference": id } })),
        );
    }
    json!({ "name": "change", "part": part })
}

fn about(asker: &Asker, kind: &Kind) -> Vec<Value> {
    let code = |name: &str, code: &str| json!({ "name": name, "valueCode": code });
    let mut part = vec![text("member", asker.member.as_str())];
    part.extend(
        asker
            .practitioner
            .iter()
            .map(|who| text("practitioner", who.as_str())),
    );
    part.extend(asker.role.iter().map(|role| text("role", role.as_str())));
    part.push(code("purpose", &asker.purpose));
    part.push(code("type", &kind.resource_type));
    part.extend(kind.labels.iter().map(|label| code("label", label)));
    part
}

fn tally(tally: &Tally) -> Vec<Value> {
    let count = |name: &str, count: usize| json!({ "name": name, "valueUnsignedInt": count });
    let rules: &BTreeSet<String> = &tally.rules;
    let counts = [
        count("permitted", tally.permitted),
        count("withheld", tally.withheld),
    ];
    let rules = rules.iter().map(|rule| text("rule", rule.as_str()));
    counts.into_iter().chain(rules).collect()
}
