//! A DiagnosticReport with its results, or one Observation, as ORU^R01.

use serde_json::{Value, json};

use super::document::{attached, attachment};
use super::fields::{
    back, concept, entity, finish, header, notes, numbered, own_number, segment, table_code, text,
    time,
};
use super::person::pid;
use super::visit::visit_of;
use super::{Around, Envelope};
use crate::hl7v2::escape::encode;

const REPORT_STATUS: &[(&str, &str)] = &[
    ("registered", "O"),
    ("partial", "A"),
    ("preliminary", "P"),
    ("final", "F"),
    ("amended", "C"),
    ("corrected", "C"),
    ("appended", "C"),
    ("cancelled", "X"),
    ("entered-in-error", "X"),
];

const OBSERVATION_STATUS: &[(&str, &str)] = &[
    ("registered", "I"),
    ("preliminary", "P"),
    ("final", "F"),
    ("amended", "C"),
    ("corrected", "C"),
    ("cancelled", "X"),
    ("entered-in-error", "W"),
];

/// A DiagnosticReport with its Observations in the order of its results, as ORU^R01.
pub(super) fn result(
    envelope: &Envelope<'_>,
    (report, observations): (&Value, &[&Value]),
    around: &Around,
) -> Vec<u8> {
    let mut lines = vec![header(envelope, "ORU^R01^ORU_R01"), pid(&around.patient)];
    lines.extend(visit_of(&report["encounter"], around));
    let placer = numbered(report, "PLAC").or_else(|| numbered(report, "FILL"));
    let filler = numbered(report, "FILL").or_else(|| report["identifier"].get(0));
    let placer = placer.map(entity).unwrap_or_default();
    let filler = filler.map_or_else(|| own_number(report), entity);
    let (moment, period) = (&report["effectiveDateTime"], &report["effectivePeriod"]);
    let begin = moment.as_str().or(period["start"].as_str());
    lines.push(segment(
        "OBR",
        &[
            (1, "1".to_owned()),
            (2, placer),
            (3, filler),
            (4, concept(&report["code"])),
            (7, time(begin)),
            (8, time(period["end"].as_str())),
            (22, time(report["issued"].as_str())),
            (24, table_code(&report["category"][0], "0074")),
            (25, back(&report["status"], REPORT_STATUS)),
        ],
    ));
    let mut count = 0;
    for one in observations {
        for said in observed(one) {
            count += 1;
            lines.push(obx(count, &said));
        }
        let said = one["note"].as_array().into_iter().flatten();
        lines.extend(notes(said.map(|note| &note["text"])));
    }
    let forms = report["presentedForm"].as_array().into_iter().flatten();
    let forms = forms.filter_map(attached).enumerate();
    lines.extend(forms.map(|(index, one)| attachment(count + index + 1, one)));
    finish(&lines)
}

/// What OBR says of an Observation that is in no report.
pub(super) fn report_of(observation: &Value) -> Value {
    let mut report = json!({ "resourceType": "DiagnosticReport" });
    let own = [
        "id",
        "identifier",
        "status",
        "code",
        "effectiveDateTime",
        "effectivePeriod",
        "issued",
    ];
    for name in own {
        if let Some(value) = observation.get(name) {
            report[name] = value.clone();
        }
    }
    report
}

/// What each OBX of an Observation says: of one with components, each component beside what it says itself.
fn observed(observation: &Value) -> Vec<Value> {
    let components = observation["component"].as_array();
    let components = components.into_iter().flatten().map(|component| {
        let mut one = component.clone();
        for name in ["status", "effectiveDateTime"] {
            if let Some(common) = observation.get(name) {
                one[name] = common.clone();
            }
        }
        one
    });
    let mut all: Vec<Value> = components.collect();
    if all.is_empty() || !value(observation).0.is_empty() {
        all.insert(0, observation.clone());
    }
    all
}

fn obx(number: usize, observation: &Value) -> String {
    let (kind, value, unit) = value(observation);
    segment(
        "OBX",
        &[
            (1, number.to_string()),
            (2, kind.to_owned()),
            (3, concept(&observation["code"])),
            (5, value),
            (6, unit),
            (7, usual(&observation["referenceRange"][0])),
            (8, concept(&observation["interpretation"][0])),
            (11, back(&observation["status"], OBSERVATION_STATUS)),
            (14, time(observation["effectiveDateTime"].as_str())),
        ],
    )
}

/// OBX-7: a reference range in words, or by its bounds.
fn usual(range: &Value) -> String {
    if range["text"].is_string() {
        return text(&range["text"]);
    }
    let [low, high] = ["low", "high"].map(|bound| match &range[bound]["value"] {
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    });
    match (low.is_empty(), high.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(">={low}"),
        (true, false) => format!("<={high}"),
        (false, false) => format!("{low}-{high}"),
    }
}

/// OBX-2, OBX-5 and OBX-6. A kind of value that v2 has no type for is left out.
fn value(observation: &Value) -> (&'static str, String, String) {
    let none = String::new();
    let digits = |quantity: &Value| match &quantity["value"] {
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let (quantity, range, ratio) = (
        &observation["valueQuantity"],
        &observation["valueRange"],
        &observation["valueRatio"],
    );
    if !quantity.is_null() {
        return match quantity["comparator"].as_str() {
            Some(sign) => {
                let structured = format!("{}^{}", encode(sign), digits(quantity));
                ("SN", structured, unit(quantity))
            }
            None => ("NM", digits(quantity), unit(quantity)),
        };
    }
    if !range.is_null() {
        let (low, high) = (&range["low"], &range["high"]);
        let unit = unit(if low.is_null() { high } else { low });
        return ("SN", format!("^{}^-^{}", digits(low), digits(high)), unit);
    }
    if !ratio.is_null() {
        let [above, below] = ["numerator", "denominator"].map(|part| digits(&ratio[part]));
        return ("SN", format!("^{above}^:^{below}"), none);
    }
    if observation["valueInteger"].is_number() {
        return ("NM", observation["valueInteger"].to_string(), none);
    }
    if !observation["valueCodeableConcept"].is_null() {
        return ("CWE", concept(&observation["valueCodeableConcept"]), none);
    }
    if let Some(said) = observation["valueString"].as_str() {
        return ("TX", encode(said), none);
    }
    if let Some(moment) = observation["valueDateTime"].as_str() {
        return ("TS", time(Some(moment)), none);
    }
    if let Some(clock) = observation["valueTime"].as_str() {
        return ("TM", encode(&clock.replace(':', "")), none);
    }
    ("", String::new(), none)
}

/// OBX-6: by its code if it is of UCUM.
fn unit(quantity: &Value) -> String {
    let called = text(&quantity["unit"]);
    match quantity["code"].as_str() {
        Some(code) if quantity["system"] == "http://unitsofmeasure.org" => {
            format!("{}^{called}^UCUM", encode(code))
        }
        _ => called,
    }
}
