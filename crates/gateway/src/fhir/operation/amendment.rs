//! Amendment (45 CFR 164.526, GDPR Art. 16): `[type]/[id]/$request-amendment` makes a `Task` with the deadline of the
//! `regime` (`hipaa`, or `gdpr-16`), and `Task/[id]/$decide-amendment` ends it: accepted, a new version supersedes the old
//! one, and a `Communication` to each member that was given the record goes into it; denied, the reason is coded, and
//! `Task/[id]/$disagree` files the patient's statement. The deadline is extended like others: see `duty`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::duty::{AMENDMENT_SYSTEM as SYSTEM, Duty, Procedure};
use interop::fhir::{Resource, ResourceType};
use node::custody::{Change, Opened};
use serde_json::{Value, json};

use super::duty::{Asked, created, of, requested};
use super::erasure::instant;
use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

const DENIAL_SYSTEM: &str = "urn:careledger:amendment-denial";
/// 45 CFR 164.526(a)(2).
const DENIALS: [&str; 4] = [
    "not-created-here",
    "not-in-record-set",
    "not-accessible",
    "accurate-and-complete",
];

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
    let given = Given::parse(&body)?;
    let reason = given.words("reason")?;
    let duty = match given.string("regime")?.as_deref() {
        None | Some("hipaa") => Duty::Amendment,
        Some("gdpr-16") => Duty::GdprRectification,
        Some(_) => return Err(Problem::malformed("`regime` is hipaa or gdpr-16")),
    };
    let record = fhir
        .custody
        .read(caller.requester(), resource_type, &id)
        .await?;
    caller.may_touch(&record.resource)?;
    let now = fhir.custody.now_ms();
    let patient = patient_of(&record, resource_type)?;
    let mut task = requested(duty, now, &patient, &reason)?;
    task["focus"] = json!({ "reference": format!("{resource_type}/{id}") });
    let written = fhir.filed(&caller, vec![created(task)?]).await?;
    Ok(fhir_json(StatusCode::CREATED, &written))
}

pub(crate) async fn decide_amendment(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.must_not_be_a_patient()?;
    let given = Given::parse(&body)?;
    let mut asked = fhir.amendment(&caller, &address, "requested").await?;
    let task = &mut asked.task;
    let accepts = given.value("accept", &["valueBoolean"]);
    let changes = match accepts.as_ref().and_then(Value::as_bool) {
        Some(true) => {
            let amended = given.value("amended", &["resource"]);
            let amended = amended
                .ok_or_else(|| Problem::malformed("the parameter `amended` must be there"))?;
            fhir.accepted(&caller, task, amended)?
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
    let all = std::iter::once(asked.answered()?).chain(changes);
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
    let task = fhir.amendment(&caller, &address, "rejected").await?.task;
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
    /// A request for amendment in this state.
    async fn amendment(
        &self,
        caller: &Caller,
        address: &InstanceAddress,
        state: &str,
    ) -> Result<Asked, Problem> {
        let asked = self.request(caller, address, state).await?;
        if asked.duty.procedure() != Procedure::Amendment {
            return Err(Problem::unprocessable(
                "the task is no request for amendment",
            ));
        }
        Ok(asked)
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
