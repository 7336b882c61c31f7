//! An Immunization as VXU^V04.

use serde_json::Value;

use super::fields::{
    back, concept, finish, header, order_numbers, quantity, repeated, segment, text, time, trimmed,
};
use super::person::{location, pid, practitioner};
use super::visit::visit_of;
use super::{Around, Envelope};

/// RXA-20: table 0322.
const COMPLETION: &[(&str, &str)] = &[
    ("completed", "CP"),
    ("not-done", "NA"),
    ("entered-in-error", "CP"),
];

/// RXA-6 where the amount is not known.
const UNKNOWN: &str = "999";

/// One that says when it was, and of which vaccine: RXA has to.
pub(super) fn immunization(
    envelope: &Envelope<'_>,
    immunization: &Value,
    around: &Around,
) -> Option<Vec<u8>> {
    let when = time(Some(immunization["occurrenceDateTime"].as_str()?));
    let vaccine = concept(&immunization["vaccineCode"]);
    if vaccine.is_empty() {
        return None;
    }
    let [placer, filler] = order_numbers(immunization, "FILL");
    let action = match (immunization["status"].as_str(), around.is_new) {
        (Some("entered-in-error"), _) => "D",
        (_, true) => "A",
        (_, false) => "U",
    };
    let (amount, unit) = match quantity(&immunization["doseQuantity"]) {
        (amount, unit) if amount.is_empty() => (UNKNOWN.to_owned(), unit),
        said => said,
    };
    let mut lines = vec![header(envelope, "VXU^V04^VXU_V04"), pid(&around.patient)];
    lines.extend(visit_of(&immunization["encounter"], around));
    lines.push(segment(
        "ORC",
        &[(1, "RE".to_owned()), (2, placer), (3, filler)],
    ));
    lines.push(segment(
        "RXA",
        &[
            (1, "0".to_owned()),
            (2, "1".to_owned()),
            (3, when),
            (5, vaccine),
            (6, amount),
            (7, unit),
            (9, source(immunization).to_owned()),
            (10, givers(immunization, around)),
            (15, text(&immunization["lotNumber"])),
            (16, time(immunization["expirationDate"].as_str())),
            (17, manufacturer(&immunization["manufacturer"])),
            (18, concept(&immunization["statusReason"])),
            (19, repeated(&immunization["reasonCode"], concept)),
            (20, back(&immunization["status"], COMPLETION)),
            (21, action.to_owned()),
            (27, location(&immunization["location"], around)),
        ],
    ));
    let (route, site) = (
        concept(&immunization["route"]),
        concept(&immunization["site"]),
    );
    if !(route.is_empty() && site.is_empty()) {
        lines.push(segment("RXR", &[(1, route), (2, site)]));
    }
    Some(finish(&lines))
}

/// RXA-9: whether who reports it has given it.
fn source(immunization: &Value) -> &'static str {
    match immunization["primarySource"].as_bool() {
        Some(true) => "00^New immunization record^NIP001",
        Some(false) => "01^Historical information^NIP001",
        None => "",
    }
}

/// RXA-10: who administered it; who ordered it is no part of RXA.
fn givers(immunization: &Value, around: &Around) -> String {
    let all = immunization["performer"].as_array().into_iter().flatten();
    let given = all.filter(|one| {
        let function = one["function"]["coding"][0]["code"].as_str();
        function.is_none_or(|function| function == "AP")
    });
    let people = given.map(|one| practitioner(&one["actor"], around));
    people.collect::<Vec<_>>().join("~")
}

/// RXA-17: by MVX where the reference has it, and by name.
fn manufacturer(reference: &Value) -> String {
    let number = &reference["identifier"];
    let name = text(&reference["display"]);
    if number["system"] == "http://hl7.org/fhir/sid/mvx" {
        return format!("{}^{name}^MVX", text(&number["value"]));
    }
    trimmed(&format!("^{name}"))
}
