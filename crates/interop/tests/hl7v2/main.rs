//! HL7 v2 from outside: our own messages, and what nobody should send.
#![cfg(test)]

mod input;
mod outbound;
mod rows;
mod sent;
#[path = "../fixtures/table.rs"]
mod table;

use std::collections::BTreeSet;

use interop::fhir::resource::Checking;
use interop::fhir::{Resource, transaction};
use interop::hl7v2::{Around, Message, Overrides, event, map, patient_update};
use serde_json::{Value, json};

use self::sent::ENVELOPE;

const MESSAGES: [&str; 12] = [
    "adt-a01", "adt-a03", "adt-a40", "dft-p03", "mdm-t02", "oml-o21", "omp-o09", "orm-o01",
    "oru-r01", "siu-s12", "siu-s15", "vxu-v04",
];

/// Whether a Bundle is a transaction that the FHIR API takes; how many entries it has.
fn accepted(bundle: Value) -> Result<usize, String> {
    let bundle = Resource::from_value(bundle).map_err(|error| error.to_string())?;
    let mut number = 0;
    let plan = transaction::plan(bundle, Checking::Strict, &mut || {
        number += 1;
        format!("n{number}")
    });
    plan.map(|plan| plan.entries.len())
        .map_err(|error| error.to_string())
}

#[test]
fn every_field_becomes_what_the_table_says() {
    let wrong: Vec<String> = rows::rows()
        .iter()
        .filter(|row| row.works == Some(false))
        .map(|row| format!("{} {} {}", row.sample, row.field, row.element))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_message_becomes_a_transaction_with_its_provenance() {
    for name in MESSAGES {
        let message = Message::parse(&rows::message(name)).unwrap();
        let mapped =
            map(&message, &rows::overrides()).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        let entries = mapped.bundle["entry"].as_array().unwrap().len();
        let whole = mapped.with_provenance("Binary/original", 1_772_000_000_000);
        assert_eq!(accepted(whole), Ok(entries + 1), "{name}");
    }
}

#[test]
fn the_same_message_again_finds_what_it_wrote() {
    let bytes = rows::message("oru-r01");
    let mapped = map(&Message::parse(&bytes).unwrap(), &rows::overrides()).unwrap();
    let entries = mapped.bundle["entry"].as_array().unwrap();
    let unconditional = entries.iter().filter(|entry| {
        entry["request"]["method"] == "POST" && entry["request"]["ifNoneExist"].is_null()
    });
    assert_eq!(unconditional.count(), 0, "an entry would be made twice");
    let patient = &entries[0];
    assert_eq!(
        patient["request"]["method"], "POST",
        "a result does not overwrite a patient"
    );
}

#[test]
fn a_place_that_is_described_alone_is_its_senders_and_its_facilitys() {
    let place = |sender: &str, pl: &str| {
        let text = format!(
            "MSH|^~\\&|{sender}|C|D|20260301||ADT^A01|1|P|2.5\rPID|1||77^^^N||Ross^Ann\rPV1|1|I|{pl}"
        );
        let message = Message::parse(text.as_bytes()).unwrap();
        let bundle = map(&message, &Overrides::default()).unwrap().bundle;
        let location = sent::of_type(&bundle, "Location").clone();
        let around = Around {
            patient: json!({"resourceType": "Patient"}),
            others: [("Location/1".to_owned(), location.clone())].into(),
            ..Around::default()
        };
        let visit = json!({"resourceType": "Encounter", "id": "v1", "status": "in-progress",
            "class": {"code": "IMP"}, "location": [{"location": {"reference": "Location/1"}}]});
        let sent = String::from_utf8(event(&ENVELOPE, &visit, &around).unwrap()).unwrap();
        assert!(sent.contains(&format!("\rPV1|1|I|{pl}")), "{sent}");
        location["identifier"][0].to_string()
    };
    let described = "^^^^^^^^Front Desk";
    let places = [
        place("LAB|NORTH", described),
        place("LAB|SOUTH", described),
        place("HIS|NORTH", described),
        place("LAB|NORTH", "^^^WEST^^^^^Front Desk"),
        place("LAB|NORTH", "^^^^^^^^Back Desk"),
    ];
    assert_eq!(BTreeSet::from(places.clone()).len(), places.len());
    assert_eq!(places[0], place("LAB|NORTH", described));
    let bed = "ICU^1^2^WEST";
    assert_eq!(place("LAB|NORTH", bed), place("HIS|SOUTH", bed));
}

#[test]
fn an_order_of_a_medication_has_the_status_that_it_is_in() {
    let status = |from: &str, to: &str| {
        let text = String::from_utf8(rows::message("omp-o09")).unwrap();
        let text = text.replace("ORC|NW|", &format!("ORC|{from}|"));
        let text = text.replace("|IP|", &format!("|{to}|"));
        let message = Message::parse(text.as_bytes()).unwrap();
        let bundle = map(&message, &rows::overrides()).unwrap().bundle;
        sent::of_type(&bundle, "MedicationRequest")["status"].clone()
    };
    for (control, said, expected) in [
        ("NW", "", "active"),
        ("XO", "IP", "active"),
        ("DC", "DC", "stopped"),
        ("DC", "", "stopped"),
        ("CA", "CA", "cancelled"),
        ("CA", "", "cancelled"),
        ("HD", "", "on-hold"),
        ("SC", "CM", "completed"),
    ] {
        assert_eq!(status(control, said), expected, "{control} {said}");
    }
}

#[test]
fn a_merge_names_who_remains_and_who_is_absorbed() {
    let mapped = map(
        &Message::parse(&rows::message("adt-a40")).unwrap(),
        &rows::overrides(),
    )
    .unwrap();
    let [merge] = &mapped.merges[..] else {
        panic!("one merge");
    };
    assert_eq!(merge.survivor[0].value, "4711");
    assert_eq!(merge.absorbed[0].value, "5822");
    assert_eq!(merge.absorbed[0].system, "https://north.example/mrn");
    let text = String::from_utf8(rows::message("adt-a40"))
        .unwrap()
        .replace("5822", "4711");
    let fault = &map(
        &Message::parse(text.as_bytes()).unwrap(),
        &rows::overrides(),
    )
    .unwrap_err()[0];
    assert_eq!(
        fault.to_string(),
        "MRG-1: duplicate key identifier: another patient than that of PID-3"
    );
}

#[test]
fn a_local_code_is_kept_beside_its_meaning_and_noted_without_one() {
    let message = Message::parse(&rows::message("oru-r01")).unwrap();
    let with = map(&message, &rows::overrides()).unwrap();
    let without = map(&message, &Overrides::default()).unwrap();
    let named =
        |mapped: &interop::hl7v2::Mapped| mapped.unmapped.iter().any(|one| one.code == "POSX");
    assert!(named(&without) && !named(&with));
    let text = without.bundle.to_string();
    assert!(text.contains("POSX") && !text.contains("10828004"));
}

#[test]
fn a_patient_and_a_result_that_came_by_fhir_read_back_too() {
    let patient = json!({
        "resourceType": "Patient",
        "identifier": [{"system": "https://north.example/mrn", "value": "4711"}],
        "name": [{"family": "Brandt & Söhne", "given": ["Ilse"]}],
        "gender": "female",
        "birthDate": "1962-04-17",
    });
    let message = Message::parse(&patient_update(&ENVELOPE, &patient)).unwrap();
    assert_eq!(message.control_id(), "X|1");
    let mapped = map(&message, &Overrides::default()).unwrap();
    assert_eq!(mapped.bundle["entry"][0]["resource"], patient);

    let report = json!({
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:oid:1.2", "value": "F200"}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "24323-8", "display": "Panel"}]},
        "issued": "2026-03-02T08:25:00Z",
    });
    let observation = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
        "valueQuantity": {"value": 5.40, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    });
    let mut report = report;
    report["result"] = json!([{"reference": "Observation/o1"}]);
    let around = Around {
        patient,
        others: [("Observation/o1".to_owned(), observation.clone())].into(),
        ..Around::default()
    };
    let sent = event(&ENVELOPE, &report, &around).unwrap();
    let mapped = map(&Message::parse(&sent).unwrap(), &Overrides::default()).unwrap();
    let resources = mapped.bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["resource"]);
    let back = resources
        .clone()
        .find(|one| one["resourceType"] == "Observation")
        .unwrap();
    assert_eq!(back["valueQuantity"], observation["valueQuantity"]);
    let back = resources
        .clone()
        .find(|one| one["resourceType"] == "DiagnosticReport")
        .unwrap();
    assert_eq!(
        (&back["status"], &back["issued"]),
        (&report["status"], &json!("2026-03-02T08:25:00+00:00"))
    );
}
