//! What is sent reads back as what it was, and under the event that has happened.

use std::collections::{BTreeMap, BTreeSet};

use interop::hl7v2::{Around, Message, event};
use serde_json::{Value, json};

use super::sent::{ENVELOPE, SENDINGS, named, of_type, read, rows};

/// Elements that are not sent, or not whole: codes without their text, attachments without their character set. The
/// results of a report are looked at by themselves.
const UNSENT: &[(&str, &[&str])] = &[
    (
        "adt-a28",
        &[
            "extension",
            "contact",
            "generalPractitioner",
            "multipleBirthInteger",
        ],
    ),
    ("adt-a01", &["diagnosis", "extension", "length", "priority"]),
    ("oru-r01", &["extension", "result", "resultsInterpreter"]),
    ("mdm-t02", &["content", "type"]),
    ("orm-o01", &["reasonReference"]),
    ("oml-o21", &["reasonReference"]),
];

/// A resource with the identity of whom it refers to in the place of references, and all moments without a zone of their own
/// written alike.
fn plain(bundle: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut plainly: BTreeMap<String, Value> = members
                .iter()
                .map(|(name, value)| (name.clone(), plain(bundle, value)))
                .collect();
            if let Some(Value::Array(people)) = plainly.get_mut("participant") {
                people.sort_by_key(Value::to_string);
            }
            if let Some(reference) = members.get("reference").and_then(Value::as_str) {
                let target = named(bundle, reference);
                let identity = json!([target["resourceType"], target["identifier"][0]]);
                plainly.insert("reference".to_owned(), identity);
            }
            json!(plainly)
        }
        Value::Array(items) => items.iter().map(|item| plain(bundle, item)).collect(),
        Value::String(text) => text.replace("+00:00", "Z").into(),
        other => other.clone(),
    }
}

#[test]
fn what_is_sent_reads_back_as_what_it_was() {
    let mut wrong = Vec::new();
    for sending in SENDINGS {
        let (before, message) = (sending.original(), sending.message());
        let after = read(&message);
        let [before, after] =
            [before, after].map(|bundle| plain(&bundle, of_type(&bundle, sending.resource)));
        let unsent = UNSENT.iter().find(|(name, _)| *name == sending.name);
        let unsent = unsent.map_or(&[][..], |(_, elements)| *elements);
        let names: BTreeSet<&String> = [&before, &after]
            .into_iter()
            .flat_map(|resource| resource.as_object().unwrap().keys())
            .filter(|name| !unsent.contains(&name.as_str()))
            .collect();
        for name in names {
            if before[name] != after[name] {
                wrong.push(format!(
                    "{} {name}: {} {}",
                    sending.name, before[name], after[name]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_element_that_is_sent_is_where_the_table_says() {
    let wrong: Vec<String> = rows()
        .iter()
        .filter(|row| row.works == Some(false))
        .map(|row| format!("{} {} {}", row.sample, row.field, row.element))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The trigger of what is sent of a resource, if anything is.
fn trigger(mut resource: Value, before: &str, now: &str) -> Option<String> {
    resource["status"] = now.into();
    let around = Around {
        is_new: before.is_empty(),
        before: match before {
            "" => Value::Null,
            before => {
                let mut resource = resource.clone();
                resource["status"] = before.into();
                resource
            }
        },
        ..Around::default()
    };
    let message = Message::parse(&event(&ENVELOPE, &resource, &around)?).unwrap();
    let order = message.segments().find(|one| one.name() == "ORC");
    Some(match order {
        Some(order) => order.field(1).text(),
        None => message.kind().trigger.to_owned(),
    })
}

#[test]
fn a_visit_is_told_by_what_has_become_of_it() {
    let visit = |class: &str| json!({ "resourceType": "Encounter", "id": "v1", "class": { "code": class } });
    for (class, before, now, expected) in [
        ("IMP", "", "planned", Some("A05")),
        ("IMP", "planned", "in-progress", Some("A01")),
        ("AMB", "", "arrived", Some("A04")),
        ("EMER", "", "triaged", Some("A04")),
        ("IMP", "in-progress", "onleave", Some("A08")),
        ("IMP", "in-progress", "finished", Some("A03")),
        ("IMP", "finished", "in-progress", Some("A13")),
        ("IMP", "planned", "cancelled", Some("A38")),
        ("IMP", "in-progress", "entered-in-error", Some("A11")),
        ("IMP", "", "unknown", None),
    ] {
        let told = trigger(visit(class), before, now);
        assert_eq!(told.as_deref(), expected, "{before} {now}");
    }
}

#[test]
fn an_order_is_placed_once_and_what_is_none_is_never_sent() {
    let request = |intent: &str| json!({ "resourceType": "ServiceRequest", "id": "o1", "intent": intent, "code": { "text": "X" } });
    for (before, now, expected) in [
        ("", "active", Some("NW")),
        ("draft", "active", Some("NW")),
        ("active", "active", Some("XO")),
        ("active", "on-hold", Some("HD")),
        ("on-hold", "active", Some("RL")),
        ("active", "revoked", Some("CA")),
        ("active", "completed", Some("SC")),
        ("active", "entered-in-error", Some("CA")),
        ("", "draft", None),
        ("", "revoked", None),
        ("draft", "revoked", None),
        ("active", "unknown", None),
    ] {
        let told = trigger(request("order"), before, now);
        assert_eq!(told.as_deref(), expected, "{before} {now}");
    }
    for intent in ["proposal", "plan", "directive", "option"] {
        assert_eq!(trigger(request(intent), "", "active"), None, "{intent}");
    }
    let mut not_to_be_done = request("order");
    not_to_be_done["doNotPerform"] = true.into();
    assert_eq!(trigger(not_to_be_done, "", "active"), None);
}

#[test]
fn an_appointment_is_booked_moved_changed_and_called_off() {
    let appointment =
        json!({ "resourceType": "Appointment", "id": "a1", "start": "2026-04-01T09:30:00Z" });
    for (before, now, expected) in [
        ("", "booked", Some("S12")),
        ("proposed", "booked", Some("S12")),
        ("booked", "checked-in", Some("S14")),
        ("booked", "cancelled", Some("S15")),
        ("", "proposed", None),
    ] {
        let told = trigger(appointment.clone(), before, now);
        assert_eq!(told.as_deref(), expected, "{before} {now}");
    }
    let mut moved = appointment.clone();
    moved["start"] = "2026-04-02T09:30:00Z".into();
    moved["status"] = "booked".into();
    let around = Around {
        before: json!({ "status": "booked", "start": appointment["start"] }),
        ..Around::default()
    };
    let message = event(&ENVELOPE, &moved, &around).unwrap();
    assert_eq!(Message::parse(&message).unwrap().kind().trigger, "S13");
}

#[test]
fn each_component_of_an_observation_is_sent_with_its_value() {
    let loinc = |code: &str| json!({ "coding": [{ "system": "http://loinc.org", "code": code }] });
    let pressure = |code: &str, value: u32| {
        json!({ "code": loinc(code), "valueQuantity": { "value": value, "unit": "mmHg" },
            "referenceRange": [{ "high": { "value": 120 } }] })
    };
    let observation = json!({ "resourceType": "Observation", "id": "bp", "status": "final",
        "code": loinc("85354-9"), "effectiveDateTime": "2026-03-02",
        "component": [pressure("8480-6", 118), pressure("8462-4", 76)] });
    let around = Around {
        patient: json!({ "resourceType": "Patient", "identifier": [{ "value": "4711" }] }),
        ..Around::default()
    };
    let message = Message::parse(&event(&ENVELOPE, &observation, &around).unwrap()).unwrap();
    let values = message.segments().filter(|one| one.name() == "OBX");
    let values: Vec<&str> = values.map(|one| one.raw()).collect();
    let expected = [
        "OBX|1|NM|8480-6^^LN||118|mmHg|<=120||||F|||20260302",
        "OBX|2|NM|8462-4^^LN||76|mmHg|<=120||||F|||20260302",
    ];
    assert_eq!(values, expected);
}

fn medication(dosage: &Value) -> Value {
    json!({ "resourceType": "MedicationRequest", "id": "m1", "intent": "order", "status": "active",
        "medicationCodeableConcept": { "text": "Amlodipine" }, "dosageInstruction": dosage })
}

#[test]
fn a_medication_is_ordered_with_its_whole_dosage_or_not_at_all() {
    let dose = json!({ "doseQuantity": { "value": 5, "unit": "mg" } });
    let often = json!({ "repeat": { "frequency": 2, "period": 1, "periodUnit": "d" } });
    for (dosage, is_sent) in [
        (json!([]), true),
        (
            json!([{ "doseAndRate": [dose], "asNeededBoolean": true }]),
            true,
        ),
        (json!([{ "timing": often }]), false),
        (json!([{ "timing": often, "text": "twice a day" }]), true),
        (json!([{ "timing": { "event": ["2026-03-05"] } }]), false),
        (
            json!([{ "doseAndRate": [{ "rateQuantity": { "value": 5 } }] }]),
            false,
        ),
        (json!([{ "doseAndRate": [dose, dose] }]), false),
        (json!([{ "maxDosePerLifetime": { "value": 5 } }]), false),
        (
            json!([{ "asNeededCodeableConcept": { "text": "pain" } }]),
            false,
        ),
        (
            json!([{ "doseAndRate": [dose] }, { "doseAndRate": [dose] }]),
            false,
        ),
    ] {
        let sent = event(&ENVELOPE, &medication(&dosage), &Around::default());
        assert_eq!(sent.is_some(), is_sent, "{dosage}");
    }
}

#[test]
fn a_medication_order_is_told_by_what_has_become_of_it() {
    for (before, now, expected) in [
        ("", "active", Some("NW")),
        ("draft", "active", Some("NW")),
        ("active", "on-hold", Some("HD")),
        ("on-hold", "active", Some("RL")),
        ("active", "stopped", Some("DC")),
        ("active", "cancelled", Some("CA")),
        ("active", "entered-in-error", Some("CA")),
        ("active", "completed", Some("SC")),
        ("draft", "cancelled", None),
        ("active", "unknown", None),
    ] {
        let told = trigger(medication(&json!([])), before, now);
        assert_eq!(told.as_deref(), expected, "{before} {now}");
    }
}

#[test]
fn a_medication_that_is_a_resource_of_its_own_is_named_by_its_code() {
    let mut order = medication(&json!([]));
    let amlodipine =
        json!({ "resourceType": "Medication", "id": "x", "code": { "text": "Amlodipine" } });
    order["medicationCodeableConcept"].take();
    let rxo = |order: &Value, around: &Around| {
        let message = Message::parse(&event(&ENVELOPE, order, around)?).unwrap();
        let rxo = message.segments().find(|one| one.name() == "RXO").unwrap();
        Some(rxo.field(1).first().component(9).text() + &rxo.field(1).first().component(2).text())
    };
    order["medicationReference"] = json!({ "reference": "Medication/x" });
    let around = Around {
        others: [("Medication/x".to_owned(), amlodipine.clone())].into(),
        ..Around::default()
    };
    assert_eq!(rxo(&order, &around).as_deref(), Some("Amlodipine"));
    assert_eq!(
        rxo(&order, &Around::default()),
        None,
        "of what may not be seen nothing is sent"
    );
    order["medicationReference"] = json!({ "reference": "#x" });
    order["contained"] = json!([amlodipine]);
    assert_eq!(
        rxo(&order, &Around::default()).as_deref(),
        Some("Amlodipine")
    );
}
