//! What is written as a CCD, and read again.

use std::collections::BTreeMap;

use interop::ccda::{Limits, Mapped, Record, ccd, map, read};
use interop::fhir::labels::{NOTICE, with_notice};
use serde_json::{Value, json};

use super::{DOCUMENTS, rows};

/// What a document does not say again: whose it was, and to what other resources it belongs.
const NOT_AGAIN: [&str; 10] = [
    "id",
    "meta",
    "encounter",
    "extension",
    "location",
    "managingOrganization",
    "patient",
    "subject",
    "diagnosis",
    "contact",
];

/// The resources of a Bundle as a server has them: with ids, and references to them.
fn kept(bundle: &Value) -> Vec<Value> {
    let mut text = bundle["entry"].to_string();
    let entries = bundle["entry"].as_array().unwrap();
    for (number, entry) in entries.iter().enumerate() {
        let kind = entry["resource"]["resourceType"].as_str().unwrap();
        let url = entry["fullUrl"].as_str().unwrap();
        text = text.replace(url, &format!("{kind}/r{number}"));
    }
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let with_ids = entries.into_iter().enumerate().map(|(number, mut entry)| {
        entry["resource"]["id"] = format!("r{number}").into();
        entry["resource"].take()
    });
    with_ids.collect()
}

fn patient(resources: &[Value]) -> &Value {
    let mut all = resources.iter();
    all.find(|one| one["resourceType"] == "Patient").unwrap()
}

fn written(patient: &Value, resources: &[Value], gaps: &[String]) -> String {
    ccd(&Record {
        patient,
        resources,
        custodian: "clinic",
        id: "6e2f4c1a-77b0-4e53-9d0b-0f2b5c8a1d99",
        time_ms: 1_772_000_000_000,
        gaps,
    })
}

fn read_again(text: &str) -> Mapped {
    let document =
        read(text.as_bytes(), &Limits::default()).unwrap_or_else(|fault| panic!("{fault}"));
    map(&document, &mut rows::urls()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Resources by type and first identifier, without what a document does not say again.
fn compared(bundle: &Value) -> BTreeMap<String, Value> {
    let types = [
        "Patient",
        "AllergyIntolerance",
        "Condition",
        "MedicationRequest",
        "MedicationStatement",
        "DiagnosticReport",
        "Observation",
        "Immunization",
        "Procedure",
        "Encounter",
        "DocumentReference",
        "Goal",
        "CarePlan",
        "ServiceRequest",
        "FamilyMemberHistory",
        "DeviceUseStatement",
        "CareTeam",
        "PractitionerRole",
        "Practitioner",
    ];
    let entries = bundle["entry"].as_array().unwrap().iter();
    let named = entries.clone().map(|entry| {
        let url = entry["fullUrl"].as_str().unwrap().to_owned();
        (url, entry["resource"]["identifier"][0]["value"].clone())
    });
    let named: BTreeMap<String, Value> = named.collect();
    let mut found = BTreeMap::new();
    for mut resource in entries.map(|entry| entry["resource"].clone()) {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        let key = format!("{kind} {}", resource["identifier"][0]["value"]);
        let count = |name: &str| resource[name].as_array().map_or(0, Vec::len);
        let parts = [count("result"), count("hasMember")];
        let object = resource.as_object_mut().unwrap();
        object.retain(|name, _| {
            !NOT_AGAIN.contains(&name.as_str()) && name != "result" && name != "hasMember"
        });
        match kind.as_str() {
            "Condition" => object.remove("category"),
            // The table of the document that was written.
            "CarePlan" => object.remove("text"),
            "DocumentReference" => object
                .get_mut("context")
                .and_then(Value::as_object_mut)
                .and_then(|context| context.remove("encounter")),
            _ => None,
        };
        // A document has no word for a value that could not be read.
        if let Some(reason) = object.get_mut("dataAbsentReason")
            && reason["coding"][0]["code"] == "error"
        {
            reason["coding"][0]["code"] = "unknown".into();
        }
        resource["parts"] = json!(parts);
        by_identifier(&mut resource, &named);
        if types.contains(&kind.as_str()) {
            found.insert(key, resource);
        }
    }
    found
}

/// References lead to identifiers: what has one has another URL in another document.
fn by_identifier(value: &mut Value, named: &BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            let identifier = object.get("reference").and_then(Value::as_str);
            if let Some(identifier) = identifier.and_then(|url| named.get(url)) {
                *value = identifier.clone();
                return;
            }
            for inner in object.values_mut() {
                by_identifier(inner, named);
            }
        }
        Value::Array(items) => {
            for item in items {
                by_identifier(item, named);
            }
        }
        _ => {}
    }
}

/// Who is in a document's header alone is not in what is written: it is another document.
fn is_of_entries(key: &str) -> bool {
    !key.starts_with("Practitioner")
}

#[test]
fn what_is_exported_and_imported_is_what_it_was() {
    for name in DOCUMENTS {
        let first = rows::mapped(name).bundle;
        let resources = kept(&first);
        let text = written(patient(&resources), &resources, &[]);
        let again = read_again(&text);
        assert!(again.unread.is_empty(), "{:?}", again.unread);
        let (before, after) = (compared(&first), compared(&again.bundle));
        for (key, resource) in before.iter().filter(|(key, _)| is_of_entries(key)) {
            assert_eq!(after.get(key), Some(resource), "{name}: {key}");
        }
        // What is planned and in no plan, or a result without a report, stands in one that the document makes of it.
        let made = ["CarePlan \"urn%3A", "DiagnosticReport \"urn%3A"];
        let is_made = |key: &str| made.iter().any(|one| key.starts_with(one));
        for (key, resource) in after.iter().filter(|(key, _)| !is_made(key)) {
            assert_eq!(before.get(key), Some(resource), "{name}: {key}");
        }
        let has_people = after.keys().any(|key| !is_of_entries(key));
        assert_eq!(has_people, ["ccd", "care"].contains(&name), "{name}");
    }
}

#[test]
fn people_read_tables_and_empty_sections_say_that_nothing_is_known() {
    let resources = kept(&rows::mapped("ccd").bundle);
    let text = written(patient(&resources), &resources, &[]);
    for cell in [
        "High blood pressure",
        "13.20 g/dL",
        "Systolic blood pressure: 128 mm[Hg]",
        "Lisinopril 10 mg, one a day",
    ] {
        assert!(text.contains(&format!("<td>{cell}")), "{cell}");
    }
    let empty = written(
        patient(&resources),
        &[],
        &["other did not answer".to_owned()],
    );
    assert_eq!(empty.matches("nullFlavor=\"NI\"><templateId").count(), 6);
    assert_eq!(empty.matches("No information").count(), 6);
    assert!(empty.contains("<paragraph>other did not answer</paragraph>"));
    read_again(&empty);
}

#[test]
fn whatever_a_record_says_the_document_is_read_again() {
    let odd = "</text><script>&\"'\u{0}\u{1b}\u{fffe}";
    let patient = json!({"resourceType": "Patient", "id": "p",
        "identifier": [{"system": "https://north.example/mrn", "value": "4/7"}], "name": [{"family": odd}]});
    let condition = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": odd, "coding": [{"system": "https://local.example/codes", "code": odd}]}});
    let text = written(&patient, &[condition], &[]);
    assert!(!text.contains("<script>"));
    let again = read_again(&text).bundle;
    let condition = again["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["resource"]["resourceType"] == "Condition");
    assert_eq!(
        condition.unwrap()["resource"]["code"]["text"],
        "</text><script>&\"'"
    );
}

#[test]
fn part2_2_records_of_substance_use_take_their_notice_and_their_label_with_them() {
    let patient = json!({"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:x", "value": "1"}]});
    let mut condition = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
        "code": {"text": "x"}, "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}]}});
    let without = written(&patient, &[], &[]);
    assert!(without.contains("<confidentialityCode code=\"N\"") && !without.contains(NOTICE));
    with_notice(&mut condition, Some("what was agreed"));
    let with = written(&patient, &[condition], &[]);
    assert!(
        with.contains("<confidentialityCode code=\"R\"") && with.contains(NOTICE),
        "{with}"
    );
    assert!(with.contains("what was agreed"), "{with}");
}
