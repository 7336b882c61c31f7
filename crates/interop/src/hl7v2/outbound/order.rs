//! A ServiceRequest as OML^O21, or ORM^O01.

use serde_json::Value;

use super::fields::{
    back, concept, entity, finish, header, notes, order_numbers, repeated, segment, time,
};
use super::person::{pid, practitioner};
use super::visit::visit_of;
use super::{Around, Envelope, Orders};

/// What a filler is asked for; a proposal or a plan asks nobody for anything.
const ORDERS: [&str; 5] = [
    "order",
    "original-order",
    "reflex-order",
    "filler-order",
    "instance-order",
];

/// ORC-5: table 0038.
const STATUS: &[(&str, &str)] = &[
    ("active", "IP"),
    ("on-hold", "HD"),
    ("revoked", "CA"),
    ("cancelled", "CA"),
    ("stopped", "DC"),
    ("completed", "CM"),
    ("entered-in-error", "ER"),
];

const PRIORITY: &[(&str, &str)] = &[
    ("stat", "S"),
    ("asap", "A"),
    ("urgent", "A"),
    ("routine", "R"),
];

pub(super) fn order(envelope: &Envelope<'_>, request: &Value, around: &Around) -> Option<Vec<u8>> {
    let control = control(&around.before, request)?;
    let code = concept(&request["code"]);
    if code.is_empty() {
        return None;
    }
    let [placer, filler] = order_numbers(request, "PLAC");
    let requester = practitioner(&request["requester"], around);
    let begin = request["occurrenceDateTime"].as_str();
    let when = time(begin.or(request["occurrencePeriod"]["start"].as_str()));
    let priority = priority(request);
    let is_orm = envelope.orders == Orders::Orm;
    let kind = if is_orm {
        "ORM^O01^ORM_O01"
    } else {
        "OML^O21^OML_O21"
    };
    let mut lines = vec![header(envelope, kind), pid(&around.patient)];
    lines.extend(visit_of(&request["encounter"], around));
    lines.push(segment(
        "ORC",
        &[
            (1, control.to_owned()),
            (2, placer.clone()),
            (3, filler.clone()),
            (4, entity(&request["requisition"])),
            (5, order_status(request)),
            (9, time(request["authoredOn"].as_str())),
            (12, requester.clone()),
        ],
    ));
    // OBR-5 and OBR-6 are where TQ1 was before there was one.
    let mut old = [String::new(), String::new()];
    if is_orm {
        old = [priority, when];
    } else if !(when.is_empty() && priority.is_empty()) {
        let timing = [(1, "1".to_owned()), (7, when), (9, priority)];
        lines.push(segment("TQ1", &timing));
    }
    let [old_priority, old_when] = old;
    let is_reflex = request["intent"] == "reflex-order";
    lines.push(segment(
        "OBR",
        &[
            (1, "1".to_owned()),
            (2, placer),
            (3, filler),
            (4, code),
            (5, old_priority),
            (6, old_when),
            (
                11,
                if is_reflex {
                    "G".to_owned()
                } else {
                    String::new()
                },
            ),
            (16, requester),
            (31, repeated(&request["reasonCode"], concept)),
            (46, repeated(&request["orderDetail"], concept)),
        ],
    ));
    let said = request["note"].as_array().into_iter().flatten();
    lines.extend(notes(said.map(|note| &note["text"])));
    Some(finish(&lines))
}

/// ORC-5.
pub(super) fn order_status(request: &Value) -> String {
    back(&request["status"], STATUS)
}

/// TQ1-9, OBR-5.
pub(super) fn priority(request: &Value) -> String {
    back(&request["priority"], PRIORITY)
}

/// ORC-1 (table 0119): what the filler is asked to do; nothing where it is asked for nothing.
pub(super) fn control(before: &Value, request: &Value) -> Option<&'static str> {
    let was = is_order(before)
        .then(|| before["status"].as_str())
        .flatten();
    let status = is_order(request)
        .then(|| request["status"].as_str())
        .flatten();
    Some(match (was, status?) {
        (None | Some("draft"), "active") => "NW",
        (Some("on-hold"), "active") => "RL",
        (_, "active") => "XO",
        // What was never ordered is not called off.
        (None | Some("draft"), _) => return None,
        (_, "on-hold") => "HD",
        (_, "revoked" | "cancelled" | "entered-in-error") => "CA",
        (_, "stopped") => "DC",
        (_, "completed") => "SC",
        _ => return None,
    })
}

fn is_order(request: &Value) -> bool {
    let intent = request["intent"].as_str();
    intent.is_some_and(|intent| ORDERS.contains(&intent)) && request["doNotPerform"] != true
}
