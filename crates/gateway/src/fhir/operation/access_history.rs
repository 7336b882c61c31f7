//! `Patient/[id]/$access-history`: who asked this member about the patient, for the patient alone.
//!
//! Each entry has what the wallet needs to check it (position, tag, descriptor, opening, receipt),
//! and the descriptor's words in the clear. Where the patient's keys were rotated stands the entry that closed the stream,
//! with the salt by which the next entry is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::access::{DecisionRecord, Delegation};
use contracts::descriptor::{AccessDescriptor, Decided, Descriptor, FurtherAccess};
use contracts::emergency::Declaration;
use interop::fhir::ResourceType;
use interop::fhir::timespan::format_instant;
use node::custody::AccessEntry;
use serde_json::{Value, json};
use uuid::Uuid;

use super::parameters::{binary, parameters, text};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

pub(crate) async fn access_history(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    caller.may(ResourceType::PATIENT, Permission::Read)?;
    caller.must_be_patient(&id)?;
    let entries = fhir.custody.access_history(caller.requester()).await?;
    let body = parameters(entries.iter().map(parameter).collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

fn parameter(entry: &AccessEntry) -> Value {
    let mut parts = vec![
        json!({ "name": "position", "valueUnsignedInt": entry.position }),
        text("tag", entry.tag.to_string()),
        binary("descriptor", &entry.descriptor),
        binary("opening", &entry.opening.0),
    ];
    if let Some(receipt) = &entry.receipt {
        parts.push(binary("receipt", &receipt.encode()));
    }
    if let Some(successor) = &entry.successor {
        parts.push(binary("successorSalt", &successor.salt));
    }
    match Descriptor::decode(&entry.descriptor) {
        Ok(Descriptor::Access(access)) => parts.extend(words(access)),
        Ok(Descriptor::Moved(moved)) => {
            parts.push(text("interaction", "moved"));
            parts.push(json!({ "name": "epoch", "valueUnsignedInt": moved.epoch }));
        }
        _ => {}
    }
    json!({ "name": "entry", "part": parts })
}

fn words(access: AccessDescriptor) -> Vec<Value> {
    let mut parts = vec![
        text("requester", access.requester.to_string()),
        text("principal", access.principal),
        text("purpose", access.purpose),
        text("custodian", access.custodian.to_string()),
    ];
    parts.extend(access.role.map(|role| text("role", role)));
    parts.extend(access.emergency.as_ref().map(emergency));
    parts.extend(access.on_behalf_of.as_ref().map(on_behalf_of));
    parts.extend(request(FurtherAccess {
        interaction: access.interaction,
        target: access.target,
        at: access.at,
        decision: access.decision,
        audit: access.audit,
    }));
    let further = access.further.unwrap_or_default().into_iter();
    parts.extend(further.map(|one| json!({ "name": "further", "part": request(one) })));
    parts
}

/// The policies that determined a decision, each once.
fn rules(decided: &Decided) -> BTreeSet<String> {
    let record = decided.record.as_deref();
    let record = record.and_then(|bytes| DecisionRecord::decode(bytes).ok());
    let rulings = record.into_iter().flat_map(|record| record.rulings);
    rulings.flat_map(|ruling| ruling.determining).collect()
}

/// What was declared; the words of who declared it stand in the entry of the declaration alone.
fn emergency(declared: &Declaration) -> Value {
    let instant = |name: &str, at: i64| json!({ "name": name, "valueInstant": format_instant(at) });
    let mut parts = vec![
        text("id", Uuid::from_bytes(declared.id.0).to_string()),
        text("reason", declared.emergency.reason.as_str()),
        instant("from", declared.emergency.from),
        instant("until", declared.emergency.until),
        text("personnel", declared.personnel.as_str()),
        text("affiliation", declared.affiliation.as_str()),
        text("discloser", declared.discloser.as_str()),
        text("nature", declared.nature.as_str()),
    ];
    let types = declared.types.iter();
    parts.extend(types.map(|name| json!({ "name": "type", "valueCode": name })));
    let justification = declared.justification.iter();
    parts.extend(justification.map(|said| text("justification", said.as_str())));
    json!({ "name": "emergency", "part": parts })
}

/// Principal and delegates, the consent of each link beside it.
fn on_behalf_of(delegation: &Delegation) -> Value {
    let mut parts = vec![json!({ "name": "patient", "valueReference": {
        "reference": format!("Patient/{}", delegation.patient) } })];
    for link in &delegation.links {
        parts.push(text("delegate", link.delegate.as_str()));
        parts.push(text(
            "consent",
            format!("{}/{}", link.consent.id, link.consent.version),
        ));
    }
    json!({ "name": "on-behalf-of", "part": parts })
}

fn request(access: FurtherAccess) -> Vec<Value> {
    let at = format_instant(i64::try_from(access.at).unwrap_or(i64::MAX));
    let mut parts = vec![
        json!({ "name": "at", "valueInstant": at }),
        text("interaction", access.interaction),
        text("target", access.target),
    ];
    parts.extend(access.audit.map(|digest| text("event", digest.to_string())));
    if let Some(decided) = access.decision {
        parts.extend(rules(&decided).into_iter().map(|rule| text("rule", rule)));
        let permitted = decided.permitted.into_iter();
        parts.extend(permitted.map(|document| text("permitted", document)));
        parts.push(json!({ "name": "withheld", "valueUnsignedInt": decided.withheld }));
        parts.extend(decided.reason.map(|reason| text("reason", reason)));
    }
    parts
}
