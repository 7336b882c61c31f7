//! A MedicationRequest as OMP^O09.

use serde_json::Value;

use super::fields::{
    concept, entity, finish, header, notes, order_numbers, quantity, repeated, segment, text, time,
    trimmed,
};
use super::order::{control, order_status, priority};
use super::person::{pid, practitioner};
use super::visit::visit_of;
use super::{Around, Envelope};
use crate::hl7v2::escape::encode;

/// What a dosage may hold to be said by fields alone.
const SAID: [&str; 7] = [
    "sequence",
    "timing",
    "asNeededBoolean",
    "route",
    "site",
    "method",
    "doseAndRate",
];

/// One that names the medication, and whose dosage is said whole: by fields, or by the text that comes with it.
pub(super) fn medication_order(
    envelope: &Envelope<'_>,
    request: &Value,
    around: &Around,
) -> Option<Vec<u8>> {
    let control = control(&around.before, request)?;
    let code = medication(request, around);
    if code.is_empty() {
        return None;
    }
    let none = Value::Null;
    let dosage = match request["dosageInstruction"].as_array().map(Vec::as_slice) {
        None | Some([]) => &none,
        Some([dosage]) if is_said(dosage) => dosage,
        // A pharmacy that reads half of it is told nothing.
        Some(_) => return None,
    };
    let [placer, filler] = order_numbers(request, "PLAC");
    let mut lines = vec![header(envelope, "OMP^O09^OMP_O09"), pid(&around.patient)];
    lines.extend(visit_of(&request["encounter"], around));
    lines.push(segment(
        "ORC",
        &[
            (1, control.to_owned()),
            (2, placer),
            (3, filler),
            (4, entity(&request["groupIdentifier"])),
            (5, order_status(request)),
            (9, time(request["authoredOn"].as_str())),
            (12, practitioner(&request["requester"], around)),
        ],
    ));
    lines.extend(timing(request, dosage));
    let (low, high, unit) = dose(dosage);
    let (dispensed, dispensed_unit) = quantity(&request["dispenseRequest"]["quantity"]);
    let refills = &request["dispenseRequest"]["numberOfRepeatsAllowed"];
    let refills = refills.as_u64().map(|times| times.to_string());
    lines.push(segment(
        "RXO",
        &[
            (1, code),
            (2, low),
            (3, high),
            (4, unit),
            (11, dispensed),
            (12, dispensed_unit),
            (13, refills.unwrap_or_default()),
            (20, repeated(&request["reasonCode"], concept)),
        ],
    ));
    let said = request["note"].as_array().into_iter().flatten();
    lines.extend(notes(said.map(|note| &note["text"])));
    let [route, site, method] = ["route", "site", "method"].map(|name| concept(&dosage[name]));
    if !(route.is_empty() && site.is_empty() && method.is_empty()) {
        lines.push(segment("RXR", &[(1, route), (2, site), (4, method)]));
    }
    Some(finish(&lines))
}

/// RXO-1: the code of what is ordered, here or in the Medication that is named.
fn medication(request: &Value, around: &Around) -> String {
    let own = concept(&request["medicationCodeableConcept"]);
    if !own.is_empty() {
        return own;
    }
    let reference = &request["medicationReference"];
    let contained = request["contained"].as_array().into_iter().flatten();
    let named = reference["reference"].as_str().unwrap_or_default();
    let mut contained = contained.filter(|one| one["id"].as_str() == named.strip_prefix('#'));
    let medication = contained.next().or_else(|| around.of(reference));
    let code = medication.map(|one| concept(&one["code"]));
    let code = code.filter(|code| !code.is_empty());
    code.unwrap_or_else(|| match text(&reference["display"]) {
        display if display.is_empty() => display,
        display => format!("^{display}"),
    })
}

/// Whether fields say all of a dosage, or its text does.
fn is_said(dosage: &Value) -> bool {
    if dosage["text"].is_string() {
        return true;
    }
    let elements = dosage.as_object().into_iter().flatten();
    let mut others = elements.filter(|(name, _)| !SAID.contains(&name.as_str()));
    let amounts = dosage["doseAndRate"].as_array().map_or(0, Vec::len);
    let is_dose = |name: &String| ["type", "doseQuantity", "doseRange"].contains(&name.as_str());
    let mut rated = dosage["doseAndRate"][0].as_object().into_iter().flatten();
    let timing = &dosage["timing"];
    let mut timed = timing.as_object().into_iter().flatten();
    let mut repeat = timing["repeat"].as_object().into_iter().flatten();
    others.next().is_none()
        && amounts <= 1
        && rated.all(|(name, _)| is_dose(name))
        && timed.all(|(name, _)| ["code", "repeat"].contains(&name.as_str()))
        && repeat.all(|(name, _)| name == "boundsPeriod")
}

/// TQ1: how often, from when to when, how soon, and in words.
fn timing(request: &Value, dosage: &Value) -> Option<String> {
    let timing = &dosage["timing"];
    let period = &timing["repeat"]["boundsPeriod"];
    let [start, end] = ["start", "end"].map(|end| time(period[end].as_str()));
    let mut patterns = vec![pattern(&timing["code"])];
    if dosage["asNeededBoolean"] == true {
        patterns.push("PRN".to_owned());
    }
    patterns.retain(|pattern| !pattern.is_empty());
    let fields = [
        (3, patterns.join("~")),
        (7, start),
        (8, end),
        (9, priority(request)),
        (11, text(&dosage["text"])),
    ];
    let is_there = fields.iter().any(|(_, value)| !value.is_empty());
    is_there.then(|| {
        let first = [(1, "1".to_owned())];
        segment("TQ1", &[first.as_slice(), fields.as_slice()].concat())
    })
}

/// RPT-1: a CWE within a component.
fn pattern(code: &Value) -> String {
    let coding = &code["coding"][0];
    let [own, display] = ["code", "display"].map(|name| text(&coding[name]));
    if own.is_empty() {
        return match text(&code["text"]) {
            said if said.is_empty() => said,
            said => format!("&{said}"),
        };
    }
    let system = match coding["system"].as_str() {
        Some("http://terminology.hl7.org/CodeSystem/v2-0335") | None => "HL70335".to_owned(),
        Some(other) => encode(other),
    };
    trimmed(&format!("{own}&{display}&{system}"))
}

/// RXO-2 to RXO-4.
fn dose(dosage: &Value) -> (String, String, String) {
    let dose = &dosage["doseAndRate"][0];
    let range = &dose["doseRange"];
    if range.is_object() {
        let (low, unit) = quantity(&range["low"]);
        let (high, other) = quantity(&range["high"]);
        return (low, high, if unit.is_empty() { other } else { unit });
    }
    let (amount, unit) = quantity(&dose["doseQuantity"]);
    (amount, String::new(), unit)
}
