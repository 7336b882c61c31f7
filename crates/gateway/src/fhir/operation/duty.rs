//! Requests of patients that are owed an answer by a time (`contracts::duty`): `Patient/[id]/$file-request` makes a
//! `Task` with the deadline, `Task/[id]/$extend-request` puts it off as far as the law lets it, and
//! `Task/[id]/$close-request` ends it: fulfilled, or denied with an exception of 45 CFR part 171, the facts and whoever
//! reviewed it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::blocking;
use contracts::disclosure::is_free;
use contracts::duty::{Clock, Denial, Duty, Procedure};
use interop::fhir::timespan::TimeSpan;
use interop::fhir::{Resource, ResourceType};
use node::custody::{Change, CustodyError, EXTENDED};
use serde_json::{Value, json};

use super::erasure::instant;
use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// A request as its task says.
pub(super) struct Asked {
    pub(super) task: Value,
    pub(super) version: u64,
    pub(super) duty: Duty,
}

pub(crate) async fn file_request(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let patient = address.patient()?;
    caller.may(of("Task")?, Permission::Create)?;
    let given = Given::parse(&body)?;
    let duty = Duty::parse(&given.words("code")?);
    let duty = duty.filter(|duty| duty.procedure() == Procedure::Request);
    let duty = duty.ok_or_else(|| Problem::malformed(known()))?;
    let description = given.string("reason")?;
    let description = description.unwrap_or_else(|| duty.title().to_owned());
    let now = fhir.custody.now_ms();
    let received = received(&given, now)?;
    let mut task = requested(duty, received, &format!("Patient/{patient}"), &description)?;
    if let Some(regime) = duty.report() {
        let reports = fhir.custody.disclosures(&patient).await?.reports;
        let reports = reports.iter().filter(|(name, _)| name == regime.name());
        let earlier: Vec<u64> = reports.map(|(_, at)| *at).collect();
        task["input"] = json!([{ "type": { "text": "free" },
            "valueBoolean": is_free(&earlier, received) }]);
    }
    let written = fhir.filed(&caller, vec![created(task)?]).await?;
    Ok(fhir_json(StatusCode::CREATED, &written))
}

pub(crate) async fn extend_request(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let reason = Given::parse(&body)?.words("reason")?;
    let mut asked = fhir.request(&caller, &address, "requested").await?;
    let now = fhir.custody.now_ms();
    let mut clock = asked.clock()?;
    let extended = clock.extend(now);
    extended.map_err(|refusal| Problem::unprocessable(refusal.to_string()))?;
    let task = &mut asked.task;
    task["restriction"]["period"]["end"] = deadline(clock)?.into();
    task["extension"] = json!([{ "url": EXTENDED, "valueString": reason }]);
    task["lastModified"] = instant(now).into();
    let written = fhir.filed(&caller, vec![asked.answered()?]).await?;
    Ok(fhir_json(StatusCode::OK, &written))
}

pub(crate) async fn close_request(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.must_not_be_a_patient()?;
    let given = Given::parse(&body)?;
    let outcome = given.words("outcome")?;
    let mut asked = fhir.request(&caller, &address, "requested").await?;
    if asked.duty.procedure() != Procedure::Request {
        let said = "this request is decided by an operation of its own";
        return Err(Problem::unprocessable(said));
    }
    let practitioner = caller.requester().practitioner.as_deref();
    let mut output = Vec::new();
    let said = |name: &str, text: &str| json!({ "type": { "text": name }, "valueString": text });
    match outcome.as_str() {
        "fulfilled" => {
            asked.task["status"] = "completed".into();
            output.extend(practitioner.map(|who| said("reviewer", who)));
        }
        "denied" => {
            let (exception, facts) = (given.string("exception")?, given.string("facts")?);
            let place = (exception.as_deref(), facts.as_deref());
            let denial = Denial::of(asked.duty, place.0, place.1, practitioner);
            let denial = denial.map_err(|refusal| Problem::unprocessable(refusal.to_string()))?;
            asked.task["status"] = "rejected".into();
            asked.task["statusReason"] = json!({ "coding": [{ "system": blocking::SYSTEM,
                "code": denial.exception.code(), "display": denial.exception.name() }] });
            output.push(said("reviewer", &denial.reviewer));
            output.push(said("facts", &denial.facts));
        }
        _ => {
            let why = "the parameter `outcome` is `fulfilled` or `denied`";
            return Err(Problem::malformed(why));
        }
    }
    if !output.is_empty() {
        asked.task["output"] = output.into();
    }
    let now = instant(fhir.custody.now_ms());
    asked.task["executionPeriod"] = json!({ "end": now });
    asked.task["lastModified"] = now.into();
    let written = fhir.filed(&caller, vec![asked.answered()?]).await?;
    Ok(fhir_json(StatusCode::OK, &written))
}

impl Asked {
    fn clock(&self) -> Result<Clock, Problem> {
        let at = self.task.get("authoredOn").and_then(Value::as_str);
        let span = at.and_then(TimeSpan::parse);
        let received = span.and_then(|span| u64::try_from(span.start_ms).ok());
        let received = received.ok_or_else(|| Problem::unprocessable("it has no time"))?;
        let extensions = self.task.get("extension").and_then(Value::as_array);
        let mut extensions = extensions.into_iter().flatten();
        let is_extended = extensions.any(|one| one["url"] == EXTENDED);
        Ok(Clock {
            duty: self.duty,
            received,
            extended: is_extended.then_some(received),
        })
    }

    /// The next version of the task.
    pub(super) fn answered(self) -> Result<Change, Problem> {
        Ok(Change::Answer {
            resource: Resource::from_value(self.task)?,
            if_match: self.version,
        })
    }
}

impl Fhir {
    /// A request in this state.
    pub(super) async fn request(
        &self,
        caller: &Caller,
        address: &InstanceAddress,
        state: &str,
    ) -> Result<Asked, Problem> {
        let task = of("Task")?;
        if address.resource_type != task {
            return Err(Problem::not_supported("the operation is defined for Task"));
        }
        caller.may(task, Permission::Update)?;
        let by = caller.requester();
        let opened = self.custody.read(by, task, &address.id).await?;
        caller.may_touch(&opened.resource)?;
        let version = opened.version;
        let mut task = opened.into_presented();
        let word = |name: &str| task.pointer(name).and_then(Value::as_str);
        let coding = word("/code/coding/0/system").zip(word("/code/coding/0/code"));
        let duty = coding.and_then(|(system, code)| Duty::of_coding(system, code));
        let duty = duty.ok_or_else(|| Problem::unprocessable("the task has no deadline by law"))?;
        if word("/status") != Some(state) {
            return Err(Problem::unprocessable("the request is in another state"));
        }
        if let Some(task) = task.as_object_mut() {
            task.remove("meta");
        }
        Ok(Asked {
            task,
            version,
            duty,
        })
    }

    /// Writes all or none; the first as it is now.
    pub(super) async fn filed(
        &self,
        caller: &Caller,
        changes: Vec<Change>,
    ) -> Result<Value, Problem> {
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

/// The task of a request that was received at this time.
pub(super) fn requested(
    duty: Duty,
    received: u64,
    patient: &str,
    description: &str,
) -> Result<Value, Problem> {
    let clock = Clock {
        duty,
        received,
        extended: None,
    };
    Ok(json!({
        "resourceType": "Task", "status": "requested", "intent": "order",
        "code": { "coding": [{ "system": duty.system(), "code": duty.code(), "display": duty.title() }] },
        "description": description,
        "for": { "reference": patient },
        "authoredOn": instant(received),
        "lastModified": instant(received),
        "performerType": [{ "coding": [{ "system": contracts::duty::SYSTEM, "code": "privacy-officer" }] }],
        "restriction": { "period": { "end": deadline(clock)? } },
    }))
}

fn deadline(clock: Clock) -> Result<String, Problem> {
    let due = clock.due();
    due.map(instant)
        .ok_or_else(|| Problem::internal("a request without a deadline"))
}

/// When the request came: now, unless an earlier time is given.
fn received(given: &Given, now: u64) -> Result<u64, Problem> {
    let text = given.value("received", &["valueDateTime", "valueInstant", "valueDate"]);
    let Some(text) = text else {
        return Ok(now);
    };
    let span = text.as_str().and_then(TimeSpan::parse);
    let at = span.and_then(|span| u64::try_from(span.start_ms).ok());
    let at = at.filter(|at| *at <= now);
    at.ok_or_else(|| Problem::malformed("the parameter `received` is a time that has passed"))
}

fn known() -> String {
    let filed = |duty: &Duty| duty.procedure() == Procedure::Request;
    let codes: Vec<&str> = Duty::ALL
        .iter()
        .filter(|one| filed(one))
        .map(|one| one.code())
        .collect();
    format!("the parameter `code` is one of {}", codes.join(", "))
}

pub(super) fn of(name: &str) -> Result<ResourceType, Problem> {
    ResourceType::parse(name).ok_or_else(|| Problem::internal("R4 lacks a type"))
}

pub(super) fn created(resource: Value) -> Result<Change, Problem> {
    let resource = Resource::from_value(resource)?;
    Ok(Change::Create { resource, id: None })
}
