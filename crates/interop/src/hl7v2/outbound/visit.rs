//! An Encounter as ADT, and as the PV1 of other messages.

use serde_json::Value;

use super::fields::{
    back, concept, finish, header, identifier, own_number, segment, table_code, text, time,
};
use super::person::{location, pid, practitioner};
use super::{Around, Envelope};
use crate::hl7v2::ack::moment;

/// A visit has begun, and is not over.
const UNDER_WAY: [&str; 4] = ["arrived", "triaged", "in-progress", "onleave"];

/// PV1-2 (table 0004) for ActEncounterCode.
const CLASS: &[(&str, &str)] = &[
    ("EMER", "E"),
    ("IMP", "I"),
    ("ACUTE", "I"),
    ("NONAC", "I"),
    ("AMB", "O"),
    ("FLD", "O"),
    ("HH", "O"),
    ("OBSENC", "O"),
    ("SS", "O"),
    ("VR", "O"),
    ("PRENC", "P"),
];

/// What each event is called, and the structure of its message.
const EVENTS: &[(&str, &str)] = &[
    ("A01", "ADT_A01"),
    ("A03", "ADT_A03"),
    ("A04", "ADT_A01"),
    ("A05", "ADT_A05"),
    ("A08", "ADT_A01"),
    ("A11", "ADT_A09"),
    ("A13", "ADT_A01"),
    ("A38", "ADT_A38"),
];

/// What happened to a visit; nothing where v2 has no event for it.
pub(super) fn movement(
    envelope: &Envelope<'_>,
    encounter: &Value,
    around: &Around,
) -> Option<Vec<u8>> {
    let event = event(&around.before, encounter)?;
    let (_, structure) = EVENTS.iter().find(|(name, _)| *name == event)?;
    let kind = format!("ADT^{event}^{structure}");
    let mut lines = vec![
        header(envelope, &kind),
        segment(
            "EVN",
            &[(1, event.to_owned()), (2, moment(envelope.time_ms))],
        ),
        pid(&around.patient),
        pv1(encounter, around),
    ];
    lines.extend(pv2(encounter, around));
    Some(finish(&lines))
}

/// The trigger event, by the status before and now.
fn event(before: &Value, encounter: &Value) -> Option<&'static str> {
    let is_under_way = |status: &str| UNDER_WAY.contains(&status);
    let was = before["status"].as_str().unwrap_or_default();
    let has_end = encounter["period"]["end"].is_string();
    Some(match encounter["status"].as_str()? {
        "planned" => "A05",
        "cancelled" | "entered-in-error" if was == "planned" => "A38",
        "cancelled" | "entered-in-error" => "A11",
        "finished" if was == "finished" && has_end => "A08",
        "finished" => "A03",
        status if is_under_way(status) && is_under_way(was) => "A08",
        status if is_under_way(status) && was == "finished" => "A13",
        status if is_under_way(status) && class(encounter) == "I" => "A01",
        status if is_under_way(status) => "A04",
        _ => return None,
    })
}

/// PV1 of the visit in whose course something was.
pub(super) fn visit_of(reference: &Value, around: &Around) -> Option<String> {
    around.of(reference).map(|encounter| pv1(encounter, around))
}

/// PV1-2.
fn class(encounter: &Value) -> String {
    let class = &encounter["class"];
    if class["system"] == "http://terminology.hl7.org/CodeSystem/v2-0004" {
        return text(&class["code"]);
    }
    match back(&class["code"], CLASS) {
        unknown if unknown.is_empty() => "U".to_owned(),
        known => known,
    }
}

fn pv1(encounter: &Value, around: &Around) -> String {
    let stay = |status: &str| {
        let all = encounter["location"].as_array().into_iter().flatten();
        let mut all = all.filter(|one| one["status"].as_str().unwrap_or("active") == status);
        let found = all.next().map(|one| location(&one["location"], around));
        found.unwrap_or_default()
    };
    let who = |code: &str| participants(encounter, code, around);
    let stayed = &encounter["hospitalization"];
    let numbers = &encounter["identifier"];
    let number = numbers
        .get(0)
        .map_or_else(|| own_number(encounter), identifier);
    segment(
        "PV1",
        &[
            (1, "1".to_owned()),
            (2, class(encounter)),
            (3, stay("active")),
            (4, table_code(&encounter["type"][0], "0007")),
            (5, identifier(&stayed["preAdmissionIdentifier"])),
            (6, stay("completed")),
            (7, who("ATND")),
            (8, who("REF")),
            (9, who("CON")),
            (10, table_code(&encounter["serviceType"], "0069")),
            (13, table_code(&stayed["reAdmission"], "0092")),
            (14, table_code(&stayed["admitSource"], "0023")),
            (15, table_code(&stayed["specialArrangement"][0], "0009")),
            (16, table_code(&stayed["specialCourtesy"][0], "0099")),
            (17, who("ADM")),
            (19, number),
            (36, table_code(&stayed["dischargeDisposition"], "0112")),
            (38, table_code(&stayed["dietPreference"][0], "0114")),
            (42, stay("reserved")),
            (44, time(encounter["period"]["start"].as_str())),
            (45, time(encounter["period"]["end"].as_str())),
            (50, numbers.get(1).map(identifier).unwrap_or_default()),
        ],
    )
}

/// PV2, if there is something to say in it.
fn pv2(encounter: &Value, around: &Around) -> Option<String> {
    let all = encounter["location"].as_array().into_iter().flatten();
    let mut planned = all.filter(|one| one["status"] == "planned");
    let planned = planned.next().map(|one| location(&one["location"], around));
    let said = segment(
        "PV2",
        &[
            (1, planned.unwrap_or_default()),
            (3, concept(&encounter["reasonCode"][0])),
            (25, table_code(&encounter["priority"], "0217")),
        ],
    );
    (said != "PV2").then_some(said)
}

/// Those who took part in this way: v3 ParticipationType.
fn participants(encounter: &Value, code: &str, around: &Around) -> String {
    let all = encounter["participant"].as_array().into_iter().flatten();
    let such = all.filter(|one| {
        let kinds = one["type"].as_array().into_iter().flatten();
        let mut codes = kinds.map(|kind| &kind["coding"][0]["code"]);
        codes.any(|own| own == code)
    });
    let people = such.map(|one| practitioner(&one["individual"], around));
    people.collect::<Vec<_>>().join("~")
}
