//! Events as their subscriber may know them now.

use contracts::descriptor::AccessDescriptor;
use interop::fhir::ResourceType;
use interop::fhir::subscription::{Content, Event, Status};
use interop::fhir::timespan::format_instant;
use node::custody::{CustodyError, Requester, Told};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use super::book::Entry;
use super::row::{EventRow, What};

const MEMBER_SYSTEM: &str = "urn:careledger:member";
const ACCESS_SYSTEM: &str = "urn:careledger:access";

/// What is said of a subscription with every notification.
pub(super) struct Said {
    pub(super) url: String,
    topic: interop::fhir::subscription::Topic,
    code: &'static str,
    events: u64,
    error: Option<String>,
}

impl Said {
    pub(super) fn of(desk: &Desk, id: Uuid, entry: &Entry) -> Self {
        Self {
            url: desk.url(id),
            topic: entry.asked.topic,
            code: entry.row.state.code(),
            events: entry.row.events,
            error: entry.row.error.clone(),
        }
    }

    /// What a notification says if it is taken.
    pub(super) fn taken(mut self) -> Self {
        self.code = "active";
        self.error = None;
        self
    }

    pub(super) fn status(&self, now: u64) -> Status<'_> {
        Status {
            url: &self.url,
            topic: self.topic,
            code: self.code,
            events: self.events,
            now_ms: milliseconds(now),
            error: self.error.as_deref(),
        }
    }
}

/// The events with as much as may be told now; what is told is on record when this returns.
pub(super) async fn events(
    desk: &Desk,
    by: &Requester,
    content: Content,
    rows: &[EventRow],
) -> Result<Vec<Event>, CustodyError> {
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let mut event = Event {
            number: row.number,
            at_ms: milliseconds(row.at),
            focus: None,
            context: Vec::new(),
            resource: None,
            request: None,
        };
        if content != Content::Empty {
            let full = content == Content::FullResource;
            fill(desk, by, full, &row.what, &mut event).await?;
        }
        events.push(event);
    }
    Ok(events)
}

async fn fill(
    desk: &Desk,
    by: &Requester,
    full: bool,
    what: &What,
    event: &mut Event,
) -> Result<(), CustodyError> {
    let base = &desk.base;
    match what {
        What::Change {
            resource_type,
            id,
            version,
            ..
        } => {
            let Some(kind) = ResourceType::parse(resource_type) else {
                return Ok(());
            };
            let told = desk.custody.tell(by, (kind, id, *version), full).await?;
            let place = format!("{kind}/{id}");
            let url = format!("{base}/{place}");
            let resource = match told {
                // Forbidden since, or erased: its number is all that is said of it.
                None => return Ok(()),
                Some(Told::Deleted) => {
                    event.request = Some(("DELETE", place, "204"));
                    None
                }
                Some(Told::Written(opened)) => {
                    event.request = Some(if *version == 1 {
                        ("POST", kind.to_string(), "201")
                    } else {
                        ("PUT", place, "200")
                    });
                    opened
                }
            };
            event.focus = Some(json!({ "reference": url, "type": kind.as_str() }));
            event.resource = resource.map(|opened| (url, opened.presented()));
        }
        What::Foreign { patient, member } => {
            if desk.custody.may_follow(by, patient).await? {
                event.focus = Some(reference(base, patient));
                event.context.push(json!({
                    "identifier": { "system": MEMBER_SYSTEM, "value": member },
                    "display": member,
                }));
            }
        }
        What::Access { patient, position } => {
            if by.patient.as_ref() != Some(patient) {
                return Ok(());
            }
            let Some(access) = desk.custody.access_at(patient, *position)? else {
                return Ok(());
            };
            event.focus = Some(reference(base, patient));
            event.context.push(json!({
                "identifier": { "system": ACCESS_SYSTEM, "value": position.to_string() },
            }));
            if full {
                let url = format!("{ACCESS_SYSTEM}:{patient}:{position}");
                event.resource = Some((url, audit_event(base, patient, &access)));
            }
        }
    }
    Ok(())
}

fn reference(base: &str, patient: &str) -> Value {
    json!({ "reference": format!("{base}/Patient/{patient}"), "type": "Patient" })
}

/// An access, or several that share an entry, as an R4 AuditEvent.
fn audit_event(base: &str, patient: &str, access: &AccessDescriptor) -> Value {
    let each = access.clone().each();
    let decisions = || each.iter().filter_map(|one| one.decision.as_ref());
    let is_granted = decisions().all(|decision| decision.withheld == 0);
    let targets = each.iter().map(|one| json!({ "name": one.target }));
    let mut entity = vec![json!({ "what": { "reference": format!("{base}/Patient/{patient}") } })];
    entity.extend(targets);
    let times = || each.iter().map(|one| one.at);
    let (first, last) = (times().min(), times().max());
    let time = |at: Option<u64>| format_instant(milliseconds(at.unwrap_or(access.at)));
    let mut agent = json!({
        "who": { "identifier": { "value": access.principal }, "display": access.principal },
        "requestor": true,
        "purposeOfUse": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
            "code": access.purpose,
        }] }],
    });
    if let Some(role) = &access.role {
        agent["role"] = json!([{ "text": role }]);
    }
    json!({
        "resourceType": "AuditEvent",
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest",
        },
        "subtype": [{ "system": ACCESS_SYSTEM, "code": access.interaction }],
        "period": { "start": time(first), "end": time(last) },
        "recorded": time(last),
        "outcome": if is_granted { "0" } else { "4" },
        "agent": [agent, {
            "who": { "identifier": { "system": MEMBER_SYSTEM, "value": access.requester.as_str() } },
            "requestor": false,
        }],
        "source": { "observer": {
            "identifier": { "system": MEMBER_SYSTEM, "value": access.custodian.as_str() },
        } },
        "entity": entity,
    })
}

fn milliseconds(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
