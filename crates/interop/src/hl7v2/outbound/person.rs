//! People and places: a Patient as ADT^A28 or A08 and as PID, XCN and PL.

use serde_json::Value;

use super::fields::{
    authority, back, concept, finish, header, identifier, repeated, segment, text, time, trimmed,
};
use super::{Around, Envelope};
use crate::hl7v2::ack::moment;
use crate::hl7v2::escape::encode;
use crate::hl7v2::map::{DESCRIBED_PLACES, PLACES};

const GENDER: &[(&str, &str)] = &[
    ("female", "F"),
    ("male", "M"),
    ("other", "O"),
    ("unknown", "U"),
];

const BIRTH_TIME: &str = "http://hl7.org/fhir/StructureDefinition/patient-birthTime";

/// Uses of names: table 0200.
const NAME_USE: &[(&str, &str)] = &[
    ("official", "L"),
    ("usual", "D"),
    ("maiden", "M"),
    ("nickname", "N"),
    ("anonymous", "MSK"),
    ("temp", "TEMP"),
    ("old", "BAD"),
];

/// Uses of addresses: table 0190.
const ADDRESS_USE: &[(&str, &str)] = &[
    ("home", "H"),
    ("work", "B"),
    ("temp", "C"),
    ("billing", "BI"),
    ("old", "BA"),
];

/// A Patient as ADT^A08 of version 2.5.1 in UTF-8.
pub fn patient_update(envelope: &Envelope<'_>, patient: &Value) -> Vec<u8> {
    registration(envelope, patient, "ADT^A08^ADT_A01")
}

pub(super) fn registration(envelope: &Envelope<'_>, patient: &Value, kind: &str) -> Vec<u8> {
    let event = segment("EVN", &[(2, moment(envelope.time_ms))]);
    let visit = segment("PV1", &[(1, "1".to_owned()), (2, "N".to_owned())]);
    finish(&[header(envelope, kind), event, pid(patient), visit])
}

pub(super) fn pid(patient: &Value) -> String {
    let is_dead = match patient["deceasedBoolean"].as_bool() {
        Some(true) => "Y",
        Some(false) => "N",
        None => "",
    };
    let telecoms = |is_work: bool| {
        let all = patient["telecom"].as_array().into_iter().flatten();
        let all = all.filter(|one| (one["use"] == "work") == is_work);
        all.filter_map(telecom).collect::<Vec<_>>().join("~")
    };
    segment(
        "PID",
        &[
            (1, "1".to_owned()),
            (3, repeated(&patient["identifier"], identifier)),
            (5, repeated(&patient["name"], name)),
            (7, time(birth(patient))),
            (8, back(&patient["gender"], GENDER)),
            (11, repeated(&patient["address"], address)),
            (13, telecoms(false)),
            (14, telecoms(true)),
            (15, concept(&patient["communication"][0]["language"])),
            (16, concept(&patient["maritalStatus"])),
            (29, time(patient["deceasedDateTime"].as_str())),
            (30, is_dead.to_owned()),
        ],
    )
}

/// When somebody was born, to the minute if that is known.
fn birth(patient: &Value) -> Option<&str> {
    let extensions = patient["_birthDate"]["extension"].as_array();
    let mut extensions = extensions.into_iter().flatten();
    let known = extensions.find(|one| one["url"] == BIRTH_TIME);
    let known = known.and_then(|one| one["valueDateTime"].as_str());
    known.or(patient["birthDate"].as_str())
}

/// XPN.
fn name(name: &Value) -> String {
    let [family, given] = [&name["family"], &name["given"][0]].map(text);
    let further = name["given"].as_array().into_iter().flatten().skip(1);
    let further: Vec<String> = further.map(text).collect();
    let [suffix, prefix] = [&name["suffix"][0], &name["prefix"][0]].map(text);
    let kind = back(&name["use"], NAME_USE);
    let further = further.join(" ");
    trimmed(&format!(
        "{family}^{given}^{further}^{suffix}^{prefix}^^{kind}"
    ))
}

/// XAD.
fn address(address: &Value) -> String {
    let parts = [
        &address["line"][0],
        &address["line"][1],
        &address["city"],
        &address["state"],
        &address["postalCode"],
        &address["country"],
    ]
    .map(text);
    let kind = match back(&address["use"], ADDRESS_USE) {
        none if none.is_empty() && address["type"] == "postal" => "M".to_owned(),
        known => known,
    };
    let district = text(&address["district"]);
    trimmed(&format!("{}^{kind}^^{district}", parts.join("^")))
}

/// XTN; nothing for what is not in use any more.
fn telecom(telecom: &Value) -> Option<String> {
    let value = telecom["value"].as_str().map(encode)?;
    let (system, kind) = (telecom["system"].as_str(), telecom["use"].as_str());
    let code = match kind {
        Some("old") => return None,
        Some("work") => "WPN",
        Some("mobile") => "PRS",
        _ => "PRN",
    };
    Some(match (system, kind) {
        (Some("email"), _) => format!("^NET^Internet^{value}"),
        (Some("fax"), _) => format!("{value}^{code}^FX"),
        (Some("pager"), _) => format!("{value}^{code}^BP"),
        (_, Some("mobile")) => format!("{value}^{code}^CP"),
        _ => format!("{value}^{code}^PH"),
    })
}

/// XCN: a Practitioner by number and name, or how the reference calls them.
pub(super) fn practitioner(reference: &Value, around: &Around) -> String {
    let Some(person) = around.of(reference) else {
        let number = &reference["identifier"];
        let (value, authority) = (text(&number["value"]), authority(&number["system"]));
        let called = text(&reference["display"]);
        return trimmed(&format!("{value}^{called}^^^^^^^{authority}"));
    };
    let (number, name) = (&person["identifier"][0], &person["name"][0]);
    let parts = [
        &number["value"],
        &name["family"],
        &name["given"][0],
        &name["given"][1],
        &name["suffix"][0],
        &name["prefix"][0],
    ]
    .map(text);
    let authority = authority(&number["system"]);
    trimmed(&format!("{}^^^{authority}", parts.join("^")))
}

/// PL: as which a Location came, else its name as the point of care.
pub(super) fn location(reference: &Value, around: &Around) -> String {
    let place = around.of(reference);
    if let Some(pl) = place.and_then(pl_of) {
        return pl;
    }
    let named = place
        .map(|place| &place["name"])
        .filter(|name| name.is_string());
    text(named.unwrap_or(&reference["display"]))
}

fn pl_of(place: &Value) -> Option<String> {
    let number = &place["identifier"][0];
    let parts = crate::compose::parts(number["value"].as_str()?)?;
    let parts: Vec<String> = parts.iter().map(|part| encode(part)).collect();
    match (number["system"].as_str()?, parts.as_slice()) {
        (PLACES, [facility, building, floor, care, room, bed]) => Some(trimmed(&format!(
            "{care}^{room}^{bed}^{facility}^^^{building}^{floor}"
        ))),
        (DESCRIBED_PLACES, [_, _, facility, described]) => {
            Some(format!("^^^{facility}^^^^^{described}"))
        }
        _ => None,
    }
}
