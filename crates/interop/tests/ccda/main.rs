//! C-CDA from outside: our own documents, and what nobody should send.
#![cfg(test)]

mod export;
mod input;
mod rows;
#[path = "../fixtures/table.rs"]
mod table;

use interop::ccda::{Limits, Original, map, read};
use interop::fhir::invariants::{Weight, violations};
use interop::fhir::resource::Checking;
use interop::fhir::{Resource, transaction};
use serde_json::{Value, json};

const DOCUMENTS: [&str; 4] = ["ccd", "discharge", "vendors", "care"];

/// How many entries a transaction has that the FHIR API takes.
fn accepted(bundle: Value) -> Result<usize, String> {
    let bundle = Resource::from_value(bundle).map_err(|error| error.to_string())?;
    let mut number = 0;
    let plan = transaction::plan(bundle, Checking::Strict, &mut || {
        number += 1;
        format!("n{number}")
    });
    let plan = plan.map_err(|error| error.to_string())?;
    for resource in plan
        .entries
        .iter()
        .filter_map(|entry| entry.resource.as_ref())
    {
        let broken = violations(resource);
        let error = broken.iter().find(|issue| issue.weight == Weight::Error);
        if let Some(issue) = error {
            return Err(format!("{}: {}", resource.resource_type(), issue.human));
        }
    }
    Ok(plan.entries.len())
}

fn whole(name: &str) -> Value {
    let bytes = rows::document(name);
    rows::mapped(name).with_original(&Original {
        bytes: &bytes,
        id: "original",
        urls: ["urn:uuid:d", "urn:uuid:b", "urn:uuid:p"],
        received_ms: 1_772_000_000_000,
    })
}

#[test]
fn every_element_becomes_what_the_table_says() {
    let rows = rows::rows();
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.works == Some(false))
        .map(|row| format!("{} {} {}", row.sample, row.field, row.element))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_document_becomes_a_transaction_with_itself_and_its_provenance() {
    for name in DOCUMENTS {
        let entries = rows::mapped(name).bundle["entry"].as_array().unwrap().len();
        assert_eq!(accepted(whole(name)), Ok(entries + 3), "{name}");
    }
}

#[test]
fn everything_but_the_document_itself_is_found_again_by_identifier() {
    for name in DOCUMENTS {
        for entry in rows::mapped(name).bundle["entry"].as_array().unwrap() {
            let condition = entry["request"]["ifNoneExist"].as_str();
            assert!(
                condition.is_some_and(|one| one.contains("%7C") || one.contains('|')),
                "{entry}"
            );
        }
    }
}

#[test]
fn what_is_not_mapped_is_said_by_its_path() {
    assert!(rows::mapped("ccd").unread.is_empty());
    let body = "ClinicalDocument.component[0].structuredBody.component";
    assert_eq!(
        rows::mapped("care").unread,
        [format!(
            "{body}[2].section.entry[0].organizer.component[1].observation"
        )]
    );
}

#[test]
fn a_value_that_cannot_be_read_costs_itself_and_is_listed() {
    let misread: Vec<String> = rows::mapped("vendors")
        .misread
        .iter()
        .map(|fault| fault.to_string().replacen("ClinicalDocument", "", 1))
        .collect();
    let time = "the value must be a time, YYYY[MM[DD[HH[MM[SS]]]]][+/-ZZZZ]";
    let oid = "the value must be an OID or a UUID as `root`";
    let body = ".component[0].structuredBody.component";
    let expected = [
        format!(".id[0]: {oid}"),
        ": the element must have `id`".to_owned(),
        ".recordTarget[0].patientRole.patient.birthTime: the value must be a date, YYYY[MM[DD]]".to_owned(),
        format!(".recordTarget[0].patientRole.patient.birthTime: {time}"),
        ".componentOf.encompassingEncounter.effectiveTime[0].high: the value must be a time that is not before `low`".to_owned(),
        format!(".author[0].time: {time}"),
        format!(".author[0].assignedAuthor.id[0]: {oid}"),
        format!("{body}[0].section.entry[0].substanceAdministration.id[0]: {oid}"),
        format!("{body}[0].section.entry[0].substanceAdministration.effectiveTime[1].period: \
            the value must be a length of time in s, min, h, d, wk, mo or a"),
        format!("{body}[1].section.entry[0].observation.id[0]: {oid}"),
        format!("{body}[1].section.entry[0].observation.value.translation[0]: \
            the value must be an OID or a UUID as `codeSystem`"),
        format!("{body}[2].section.entry[0].observation.value: the value must be a decimal number of at most 18 digits"),
        format!("{body}[2].section.entry[1].observation: the element must have `code`"),
    ];
    assert_eq!(misread, expected);
}

#[test]
fn what_a_document_says_twice_is_one_resource() {
    let bundle = rows::mapped("ccd").bundle;
    let entries = bundle["entry"].as_array().unwrap();
    let of = |kind: &str| {
        let of_kind = entries.iter().map(|entry| &entry["resource"]);
        of_kind
            .filter(|resource| resource["resourceType"] == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    let practitioners = of("Practitioner");
    assert_eq!(practitioners.len(), 3);
    assert_eq!(practitioners[0]["name"][0]["family"], "Holm");
    assert_eq!(of("Organization").len(), 1);
    assert_eq!(
        of("Organization")[0]["telecom"][0]["value"],
        "+1-555-010-9000"
    );
    let conditions = of("Condition");
    assert_eq!(
        conditions.len(),
        3,
        "a problem and a diagnosis that differ are two"
    );
    let own = conditions
        .iter()
        .filter(|one| one["identifier"][0]["system"] == "urn:careledger:ccda:entry");
    assert_eq!(own.count(), 1, "one of them gets an identifier of ours");
    let text = bundle.to_string();
    let shared = text.matches(r#""value":"PR-2""#).count();
    assert_eq!(shared, 1, "an identifier finds one resource");
}

#[test]
fn a_section_that_is_restricted_restricts_what_came_from_it_and_no_more() {
    let bundle = rows::mapped("discharge").bundle;
    let restricted: Vec<&str> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["resource"]["meta"]["security"][0]["code"] == "R")
        .map(|entry| entry["resource"]["code"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(restricted, ["Alcohol withdrawal"]);
    let all = String::from_utf8_lossy(&rows::document("discharge"))
        .replacen(
            "code=\"N\" codeSystem=\"2.16.840.1.113883.5.25\"",
            "code=\"V\"",
            1,
        )
        .replace("ISO-8859-1", "UTF-8");
    let document = read(all.as_bytes(), &Limits::default()).unwrap();
    let bundle = map(&document, &mut rows::urls()).unwrap().bundle;
    for entry in bundle["entry"].as_array().unwrap() {
        let resource = &entry["resource"];
        let is_shared =
            ["Patient", "Organization"].contains(&resource["resourceType"].as_str().unwrap());
        let label = &resource["meta"]["security"][0]["code"];
        assert_eq!(label, &if is_shared { Value::Null } else { json!("V") });
    }
}

#[test]
fn the_text_of_a_section_leads_nowhere() {
    let text = String::from_utf8(rows::document("ccd")).unwrap().replace(
        "<text>Colonoscopy</text>",
        "<text>A<linkHtml href=\"javascript:x\">b</linkHtml><renderMultiMedia referencedObject=\"c\"/>\
         <script>d</script><td onclick=\"e\">f</td></text>",
    );
    let document = read(text.as_bytes(), &Limits::default()).unwrap();
    let bundle = map(&document, &mut rows::urls()).unwrap().bundle;
    let text = bundle.to_string();
    assert!(text.contains("A<span>b</span>"), "{text}");
    for word in ["javascript", "script>", "onclick"] {
        assert!(!text.contains(word), "{word}");
    }
}
