//! Privacy Disclosure: records that pass to another member, at the source and at the recipient.

use serde_json::{Value, json};

use super::parts::{
    DCM, OWN, PARTICIPATION, REST, SCT, begun, coding, concept, data, endpoint, member, observer,
    patient, request_id, user,
};
use super::{AuditEntry, AuditSite, Passing};

pub(super) fn event(site: &AuditSite, entry: &AuditEntry, passing: &Passing) -> Value {
    let (kind, action, from, to) = match passing {
        Passing::To(other) => ("110106", "R", None, Some(other.as_str())),
        Passing::From(other) => ("110107", "C", Some(other.as_str()), None),
    };
    let subtypes = [
        coding(
            "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
            "disclose",
        ),
        coding(REST, "operation"),
        coding(OWN, &entry.interaction),
    ];
    let mut event = begun(site, entry, &coding(DCM, kind), (&subtypes, action));
    let own = |kind: &Value| endpoint(kind, &observer(site), &site.base);
    let side = |kind: &Value, other: Option<&str>| match other {
        Some(other) => endpoint(kind, &member(other), other),
        None => own(kind),
    };
    let mut agents = vec![
        side(&concept(DCM, "110153"), from),
        side(&concept(DCM, "110152"), to),
        user(&[coding(PARTICIPATION, "IRCP")], &entry.agent),
        json!({
            "type": concept(SCT, "159541003"), "requestor": false,
            "who": from.map_or_else(|| observer(site), member),
        }),
    ];
    if let (Some(id), false) = (&entry.patient, entry.consents.is_empty()) {
        agents.push(json!({
            "type": concept(SCT, "429577009"), "requestor": false,
            "who": { "reference": format!("Patient/{id}") },
        }));
    }
    event.insert("agent".to_owned(), agents.into());
    let mut entities: Vec<Value> = entry.patient.iter().map(|id| patient(id)).collect();
    if entry.documents.is_empty() {
        entities.push(data(&entry.target));
    } else {
        entities.extend(entry.documents.iter().map(|one| data(one)));
    }
    entities.extend(entry.request_id.iter().map(|id| request_id(id)));
    event.insert("entity".to_owned(), entities.into());
    event.into()
}
