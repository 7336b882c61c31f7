//! `Patient/[id]/$discover`: which other members know the patient. It is to members what XCPD's Cross Gateway Patient Discovery
//! (ITI-55) is to communities, without a name in it; no profile of IHE has an operation for it.
//!
//! Other members' questions that wait for a person are `Patient/$waiting-links`, `$approve-link` and `$refuse-link`;
//! `$withdraw-link` ends a link.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType};
use ledger::ids::MemberName;
use node::custody::WaitingLink;
use node::exchange::Discovered;
use serde_json::{Value, json};

use super::{linking, of_patients, rounded};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::fhir::operation::erasure::instant;
use crate::fhir::operation::parameters::{Given, parameters, text};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn discover(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    caller.must_not_be_a_patient()?;
    caller.may(ResourceType::PATIENT, Permission::Read)?;
    caller.may(ResourceType::PATIENT, Permission::Update)?;
    caller.may_touch_patient(&id)?;
    let given = Given::parse(&body)?;
    let members = given.all("member", &["valueString", "valueCode"]);
    let members = members.iter().map(named);
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let members = Some(members).filter(|members| !members.is_empty());
    let by = caller.requester();
    let asked = fhir.network.discover(by, &id, members.as_deref()).await?;
    let said = asked.members.iter().map(|(member, discovered)| {
        json!({ "name": "discovered", "part": [
            { "name": "member", "valueCode": member.as_str() },
            { "name": "outcome", "valueCode": discovered.code() },
            text("means", meaning(*discovered)),
        ] })
    });
    Ok(fhir_json(StatusCode::OK, &parameters(said.collect())))
}

pub(crate) async fn waiting_links(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    caller.must_not_be_a_patient()?;
    caller.may(resource_type, Permission::Search)?;
    let all = query.as_deref() == Some("all=true");
    let waiting = fhir.custody.waiting_links(caller.requester(), all).await?;
    let body = parameters(waiting.iter().map(listed).collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn approve_link(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.settled(&caller, &body, true).await
}

pub(crate) async fn refuse_link(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    fhir.settled(&caller, &body, false).await
}

pub(crate) async fn withdraw_link(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    let (patient, member, reason) = decision(&caller, &body)?;
    let place = (patient.as_str(), &member);
    let by = caller.requester();
    fhir.custody.withdraw_link(by, place, &reason).await?;
    Ok(decided("withdrawn", place))
}

/// Patient, member and reason of a decision, by somebody who may take one.
fn decision(caller: &Caller, body: &[u8]) -> Result<(String, MemberName, String), Problem> {
    caller.must_not_be_a_patient()?;
    caller.may(ResourceType::PATIENT, Permission::Update)?;
    let given = Given::parse(body)?;
    let patient = linking::patient(&given, "patient")?;
    let member = named(&Value::String(given.words("member")?))?;
    Ok((patient, member, given.words("reason")?))
}

fn decided(word: &str, (patient, member): (&str, &MemberName)) -> Response {
    let said = text(word, format!("Patient/{patient} {member}"));
    fhir_json(StatusCode::OK, &parameters(vec![said]))
}

impl Fhir {
    async fn settled(
        &self,
        caller: &Caller,
        body: &[u8],
        approves: bool,
    ) -> Result<Response, Problem> {
        let (patient, member, reason) = decision(caller, body)?;
        let place = (patient.as_str(), &member);
        let settled = (approves, reason.as_str());
        self.custody
            .settle_link(caller.requester(), place, settled)
            .await?;
        let word = if approves { "approved" } else { "refused" };
        Ok(decided(word, place))
    }
}

fn named(value: &Value) -> Result<MemberName, Problem> {
    let name = value.as_str().and_then(|name| name.parse().ok());
    name.ok_or_else(|| {
        let issue = Issue::error(
            IssueType::Value,
            "the parameter `member` is no member's name",
        );
        let issue = issue.at("Parameters.parameter.where(name='member').value");
        Problem::with_outcome(StatusCode::BAD_REQUEST, OperationOutcome::of(issue))
    })
}

fn meaning(discovered: Discovered) -> &'static str {
    match discovered {
        Discovered::Linked => "its records of the patient are in $everything from now on",
        Discovered::Nothing => {
            "nobody is like that there, or may not be told of, or somebody there has to look first"
        }
        Discovered::Contradicts => "another patient of that member was linked before",
        Discovered::NotAnswered => "it does not answer questions of this member",
        Discovered::OtherSecret => "its linkage secret is another than this member's",
        Discovered::TooOften => "this member has asked it too often: ask again in an hour",
        Discovered::Unreachable => "it did not answer",
    }
}

fn listed(one: &WaitingLink) -> Value {
    let (principal, purpose) = &one.asked_by;
    let (at, times) = one.asked;
    let mut parts = vec![
        json!({ "name": "patient", "valueReference": { "reference": format!("Patient/{}", one.patient) } }),
        json!({ "name": "member", "valueCode": one.member.as_str() }),
        json!({ "name": "grade", "valueCode": one.grade.code() }),
        json!({ "name": "score", "valueDecimal": rounded(one.score) }),
        text("askedBy", principal.clone()),
        json!({ "name": "purpose", "valueCode": purpose }),
        json!({ "name": "askedAt", "valueInstant": instant(at) }),
        json!({ "name": "times", "valueUnsignedInt": times }),
    ];
    if let Some((approves, by, at, why)) = &one.settled {
        parts.push(json!({ "name": "approved", "valueBoolean": approves }));
        parts.push(text("settledBy", by.clone()));
        parts.push(json!({ "name": "settledAt", "valueInstant": instant(*at) }));
        parts.push(text("settledBecause", why.clone()));
    }
    json!({ "name": "waitingLink", "part": parts })
}
