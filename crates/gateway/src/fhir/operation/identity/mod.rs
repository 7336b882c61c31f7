//! Who is who: `Patient/$match` (<https://hl7.org/fhir/R4/patient-operation-match.html>), the work list of possible matches,
//! links and merges, and identifiers of the same person (PIXm).

mod discover;
mod linking;
mod pix;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::{Resource, ResourceType};
use interop::identity::Grade;
use node::custody::{MatchFound, MatchWanted, PossibleMatch};
use serde_json::{Value, json};

use super::erasure::instant;
use super::parameters::{Given, parameters, text};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) use discover::{approve_link, discover, refuse_link, waiting_links, withdraw_link};
pub(crate) use linking::{link, merge, unlink, unmerge};
pub(crate) use pix::pix;

const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
const COUNT: usize = 20;
const COUNT_MAX: usize = 200;

pub(crate) async fn match_patients(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    caller.may(resource_type, Permission::Search)?;
    let given = Given::parse(&body)?;
    let asked = given.value("resource", &["resource"]);
    let asked =
        asked.ok_or_else(|| Problem::malformed("the parameter `resource` must be there"))?;
    let asked = Resource::from_value(asked)?;
    if asked.resource_type() != ResourceType::PATIENT {
        return Err(Problem::malformed(
            "the parameter `resource` must be a Patient",
        ));
    }
    let only_certain = given.value("onlyCertainMatches", &["valueBoolean"]);
    let wanted = MatchWanted {
        at_least: if only_certain == Some(true.into()) {
            Grade::Certain
        } else {
            Grade::Possible
        },
        count: match given.numbers("count")?.as_slice() {
            [] => COUNT,
            [count, ..] => usize::try_from(*count).map_or(COUNT_MAX, |it| it.min(COUNT_MAX)),
        },
    };
    let by = caller.requester();
    let found = fhir.custody.match_patients(by, &asked, wanted).await?;
    for one in &found {
        caller.may_touch(&one.opened.resource)?;
    }
    let entries = found.iter().map(|one| fhir.matched(one));
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": found.len() });
    let entries: Vec<Value> = entries.collect();
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(fhir_json(StatusCode::OK, &bundle))
}

pub(crate) async fn possible_matches(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    caller.must_not_be_a_patient()?;
    caller.may(resource_type, Permission::Search)?;
    let all = query.as_deref() == Some("all=true");
    let pairs = fhir
        .custody
        .possible_matches(caller.requester(), all)
        .await?;
    let body = parameters(pairs.iter().map(listed).collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn dismiss(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    caller.must_not_be_a_patient()?;
    caller.may(resource_type, Permission::Update)?;
    let given = Given::parse(&body)?;
    let [one, other] = linking::pair(&given, ["patient", "other"])?;
    let reason = given.words("reason")?;
    let by = caller.requester();
    fhir.custody
        .dismiss_match(by, [&one, &other], &reason)
        .await?;
    let body = parameters(vec![text(
        "dismissed",
        format!("Patient/{one} Patient/{other}"),
    )]);
    Ok(fhir_json(StatusCode::OK, &body))
}

fn of_patients(resource_type: ResourceType) -> Result<(), Problem> {
    if resource_type == ResourceType::PATIENT {
        Ok(())
    } else {
        Err(Problem::not_supported(
            "the operation is defined for Patient",
        ))
    }
}

fn listed(pair: &PossibleMatch) -> Value {
    let [one, other] = &pair.patients;
    let place = |id: &String| json!({ "reference": format!("Patient/{id}") });
    let mut parts = vec![
        json!({ "name": "patient", "valueReference": place(one) }),
        json!({ "name": "patient", "valueReference": place(other) }),
        json!({ "name": "grade", "valueCode": pair.grade.code() }),
        json!({ "name": "score", "valueDecimal": rounded(pair.score) }),
        json!({ "name": "reason", "valueCode": pair.reason.code() }),
        json!({ "name": "linked", "valueBoolean": pair.is_linked }),
    ];
    if let Some((by, at, why)) = &pair.dismissed {
        parts.push(text("dismissedBy", by.clone()));
        parts.push(json!({ "name": "dismissedAt", "valueInstant": instant(*at) }));
        parts.push(text("dismissedBecause", why.clone()));
    }
    json!({ "name": "possibleMatch", "part": parts })
}

/// Six digits after the point: the likeliest and the surely others are told apart.
fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

impl Fhir {
    fn matched(&self, found: &MatchFound) -> Value {
        let grade = found.judgement.grade.code();
        json!({
            "fullUrl": self.full_url(&found.opened),
            "resource": found.opened.presented(),
            "search": {
                "extension": [{ "url": GRADE, "valueCode": grade }],
                "mode": "match",
                "score": rounded(found.judgement.score),
            },
        })
    }
}
