//! Amendment (45 CFR 164.526, GDPR Art. 16): `[type]/[id]/$request-amendment` makes a `Task` with a deadline of 60 days,
//! which `Task/[id]/$extend-amendment` puts off once by 30 days, and `Task/[id]/$decide-amendment` ends: accepted, a new
//! version supersedes the old one, and a `Communication` to each member that was given the record goes into it; denied,
//! the reason is coded, and `Task/[id]/$disagree` files the patient's statement.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::{Resource, ResourceType};
use node::custody::{Change, CustodyError, Opened};
use serde_json::{Value, json};

use super::erasure::instant;
use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

const DAY_MS: u64 = 86_400_000;
/// 45 CFR 164.526(b)(2)(i).
const DUE_DAYS: u64 = 60;
/// 45 CFR 164.526(b)(2)(ii): once.
const EXTENSION_DAYS: u64 = 30;
const CODE: &str = "amendment-request";
const SYSTEM: &str = "urn:careledger:amendment";
const DENIAL_SYSTEM: &str = "urn:careledger:amendment-denial";
/// 45 CFR 164.526(a)(2).
const DENIALS: [&str; 4] = [
    "not-created-here",
    "not-in-record-set",
    "not-accessible",
    "accurate-and-complete",
];
const EXTENDED: &str = "urn:careledger:extension:amendment-extended";

pub(crate) async fn request_amendment(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let task = of("Task")?;
    caller.may(task, Permission::Create)?;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let reason = Given::parse(&body)?.words("reason")?;
    let record = fhir
        .custody
        .read(caller.requester(), resource_type, &id)
        .await?;
    caller.may_touch(&record.resource)?;
    let now = fhir.custody.now_ms();
    let patient = patient_of(&record, resource_type)?;
    let task = json!({
        "resourceType": "Task", "status": "requested", "intent": "order",
        "code": { "coding": [{ "system": SYSTEM, "code": CODE }] },
        "description": reason,
        "focus": { "reference": format!("{resource_type}/{id}") },
        "for": { "reference": patient },
        "authoredOn": instant(now),
        "lastModified": instant(now),
        "restriction": { "period": { "end": instant(due(now, DUE_DAYS)) } },
    });
    let written = fhir.filed(&caller, vec![created(task)?]).await?;
    Ok(fhir_json(StatusCode::CREATED, &written))
}

pub(crate) async fn extend_amendment(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let reason = Given::parse(&body)?.words("reason")?;
    let (mut task, version) = fhir.open_request(&caller, &address, &["requested"]).await?;
    let has_extension = task.get("extension").and_then(Value::as_array);
    if has_extension.is_some_and(|all| all.iter().any(|one| one["url"] == EXTENDED)) {
        return Err(Problem::unprocessable("the deadline was put off before"));
    }
    let authored = task["authoredOn"].as_str().unwrap_or_default();
    let authored = interop::fhir::timespan::TimeSpan::parse(authored);
    let authored = authored.and_then(|span| u64::try_from(span.start_ms).ok());
    let authored = authored.ok_or_else(|| Problem::internal("a request without a time"))?;
    let end = due(authored, DUE_DAYS.saturating_add(EXTENSION_DAYS));
    task["restriction"]["period"]["end"] = instant(end).into();
    task["extension"] = json!([{ "url": EXTENDED, "valueString": reason }]);
    let written = fhir.filed(&caller, vec![updated(task, version)?]).await?;
    Ok(fhir_json(StatusCode::OK, &written))
}

pub(crate) async fn decide_amendment(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.must_not_be_a_patient()?;
    let given = Given::parse(&body)?;
    let (mut task, version) = fhir.open_request(&caller, &address, &["requested"]).await?;
    let accepts = given.value("accept", &["valueBoolean"]);
    let changes = match accepts.as_ref().and_then(Value::as_bool) {
        Some(true) => {
            let amended = given.value("amended", &["resource"]);
            let amended = amended
                .ok_or_else(|| Problem::malformed("the parameter `amended` must be there"))?;
            fhir.accepted(&caller, &mut task, amended)?
        }
        Some(false) => {
            let reason = given.words("reason")?;
            if !DENIALS.contains(&reason.as_str()) {
                let known = DENIALS.join(", ");
                return Err(Problem::malformed(format!("a denial is {known}")));
            }
            task["status"] = "rejected".into();
            task["statusReason"] =
                json!({ "coding": [{ "system": DENIAL_SYSTEM, "code": reason }] });
            Vec::new()
        }
        None => return Err(Problem::malformed("the parameter `accept` must be there")),
    };
    task["lastModified"] = instant(fhir.custody.now_ms()).into();
    let all = std::iter::once(updated(task, version)?).chain(changes);
    let written = fhir.filed(&caller, all.collect()).await?;
    Ok(fhir_json(StatusCode::OK, &written))
}

pub(crate) async fn disagree(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(of("Communication")?, Permission::Create)?;
    let statement = Given::parse(&body)?.words("statement")?;
    let (task, _) = fhir.open_request(&caller, &address, &["rejected"]).await?;
    let communication = json!({
        "resourceType": "Communication", "status": "completed",
        "category": [{ "coding": [{ "system": SYSTEM, "code": "statement-of-disagreement" }] }],
        "subject": task["for"],
        "about": [task["focus"], { "reference": format!("Task/{}", address.id) }],
        "sent": instant(fhir.custody.now_ms()),
        "payload": [{ "contentString": statement }],
    });
    let written = fhir.filed(&caller, vec![created(communication)?]).await?;
    Ok(fhir_json(StatusCode::CREATED, &written))
}

impl Fhir {
    /// A request for amendment in one of these states, and its version.
    async fn open_request(
        &self,
        caller: &Caller,
        address: &InstanceAddress,
        states: &[&str],
    ) -> Result<(Value, u64), Problem> {
        let task = of("Task")?;
        if address.resource_type != task {
            return Err(Problem::not_supported("the operation is defined for Task"));
        }
        caller.may(task, Permission::Update)?;
        let opened = self
            .custody
            .read(caller.requester(), task, &address.id)
            .await?;
        caller.may_touch(&opened.resource)?;
        let version = opened.version;
        let mut task = opened.into_presented();
        if task.pointer("/code/coding/0/code") != Some(&CODE.into()) {
            return Err(Problem::unprocessable(
                "the task is no request for amendment",
            ));
        }
        if !states.iter().any(|state| task["status"] == *state) {
            return Err(Problem::unprocessable("the request is in another state"));
        }
        if let Some(task) = task.as_object_mut() {
            task.remove("meta");
        }
        Ok((task, version))
    }

    /// The amended record, and a word to each member that was given the record before.
    fn accepted(
        &self,
        caller: &Caller,
        task: &mut Value,
        amended: Value,
    ) -> Result<Vec<Change>, Problem> {
        let amended = Resource::from_value(amended)?;
        let id = amended.id().unwrap_or_default().to_owned();
        let focus = format!("{}/{id}", amended.resource_type());
        if task["focus"]["reference"] != focus.as_str() {
            let said = "what is amended is not what the request is about";
            return Err(Problem::unprocessable(said));
        }
        caller.may(amended.resource_type(), Permission::Update)?;
        let told = self.custody.recipients_of(amended.resource_type(), &id)?;
        let mut changes = vec![Change::Update {
            resource: amended,
            if_match: None,
        }];
        for member in told {
            changes.push(created(json!({
                "resourceType": "Communication", "status": "completed",
                "category": [{ "coding": [{ "system": SYSTEM, "code": "amended" }] }],
                "subject": task["for"],
                "about": [task["focus"]],
                "recipient": [{ "identifier": { "system": "urn:careledger:member", "value": member.as_str() } }],
                "sent": instant(self.custody.now_ms()),
                "payload": [{ "contentString": "The record was amended at the patient's request: use its new version." }],
            }))?);
        }
        task["status"] = "completed".into();
        Ok(changes)
    }

    /// Writes all or none; the first as it is now.
    async fn filed(&self, caller: &Caller, changes: Vec<Change>) -> Result<Value, Problem> {
        let by = caller.requester();
        let written = self.custody.write(by, changes).await?;
        let first = written.into_iter().next().ok_or(CustodyError::NotFound)?;
        let (resource_type, version) = (first.resource_type, first.version);
        let opened = self
            .custody
            .vread(by, resource_type, &first.id, version)
            .await?;
        Ok(opened.into_presented())
    }
}

fn due(from: u64, days: u64) -> u64 {
    from.saturating_add(days.saturating_mul(DAY_MS))
}

fn patient_of(record: &Opened, resource_type: ResourceType) -> Result<String, Problem> {
    use interop::fhir::compartment::{Belonging, PatientReference, belonging};

    if resource_type == ResourceType::PATIENT {
        return Ok(format!("Patient/{}", record.id));
    }
    match belonging(&record.resource) {
        Belonging::Patient(PatientReference::Id(id)) => Ok(format!("Patient/{id}")),
        _ => Err(Problem::unprocessable("the record is no patient's")),
    }
}

fn of(name: &str) -> Result<ResourceType, Problem> {
    ResourceType::parse(name).ok_or_else(|| Problem::internal("R4 lacks a type"))
}

fn created(resource: Value) -> Result<Change, Problem> {
    let resource = Resource::from_value(resource)?;
    Ok(Change::Create { resource, id: None })
}

fn updated(resource: Value, version: u64) -> Result<Change, Problem> {
    let resource = Resource::from_value(resource)?;
    Ok(Change::Update {
        resource,
        if_match: Some(version),
    })
}
