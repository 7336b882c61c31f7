use serde_json::json;

use super::*;
use crate::consent::tests::{consent, question, read};

const LINES: [&str; 6] = [
    "hospital TREAT Observation id=Observation/1 on=2026-01-01 code=c",
    "hospital TREAT Observation id=Observation/2 on=2026-03-01 code=c",
    "hospital TREAT Observation id=Observation/3 on=2026-03-01 label=HIV",
    "hospital TREAT Condition id=Condition/4",
    "hospital TREAT Condition id=Condition/5 author=Practitioner/9",
    "hospital TREAT Condition id=Condition/6 author=Practitioner/9",
];

fn documents() -> Vec<Document> {
    LINES.iter().map(|line| question(line).1).collect()
}

fn moment() -> Moment {
    Moment {
        now: question(LINES[0]).0.now,
        consents_known: true,
    }
}

fn permit(rest: &serde_json::Value) -> Consent {
    let mut provision = json!({ "type": "permit", "actor": [{
        "role": { "coding": [{ "code": "IRCP" }] },
        "reference": { "identifier": { "system": crate::consent::MEMBER_SYSTEM, "value": "clinic" } },
    }] });
    let more = rest.as_object().unwrap().clone();
    provision.as_object_mut().unwrap().extend(more);
    read("hospital/1", &consent(&provision)).unwrap()
}

fn consents() -> Vec<Consent> {
    [
        json!({ "purpose": [{ "code": "TREAT" }] }),
        json!({ "purpose": [{ "code": "HRESCH" }], "class": [{
            "system": "http://hl7.org/fhir/resource-types", "code": "Condition" }] }),
        json!({ "dataPeriod": { "start": "2026-02-01", "end": "2026-04-01" } }),
        json!({ "data": [{ "meaning": "instance", "reference": { "reference": "Condition/5" } }] }),
        json!({ "securityLabel": [{ "code": "HIV" }] }),
    ]
    .iter()
    .map(permit)
    .collect()
}

#[test]
fn a_preview_says_what_requests_would_be_answered() {
    for one in consents() {
        let evaluator = Evaluator::new(std::slice::from_ref(&one)).unwrap();
        let closely = looks_closely(&[&one], &[&evaluator]);
        let askers = askers(["hospital", "clinic", "payer"], &[&one]);
        let records = Records::of(documents(), closely);
        let preview = who_can_see(&evaluator, (&askers, &records), moment());
        assert!(preview.is_complete);
        assert_eq!(preview.rows.len(), askers.len() * 3, "three kinds");
        for row in preview.rows {
            let request = row.asker.request(moment());
            let of_kind = |one: &Document| {
                one.resource_type == row.kind.resource_type && one.labels == row.kind.labels
            };
            let all = documents().into_iter().filter(of_kind);
            let decided = all.map(|one| evaluator.decide(&request, &one).permitted);
            let decided: Vec<bool> = decided.collect();
            let permitted = decided.iter().filter(|one| **one).count();
            assert_eq!(row.tally.permitted, permitted, "{:?} {:?}", one, row.asker);
            assert_eq!(row.tally.withheld, decided.len() - permitted);
        }
    }
}

#[test]
fn a_change_is_shown_with_what_differs_first_and_the_documents_that_do() {
    let none = Evaluator::new(&[]).unwrap();
    let treat = permit(&json!({ "purpose": [{ "code": "TREAT" }] }));
    let after = Evaluator::new(std::slice::from_ref(&treat)).unwrap();
    let askers = askers(["hospital", "clinic"], &[&treat]);
    let records = Records::of(documents(), false);
    let preview = what_if((&none, &after), (&askers, &records), moment());
    let differing: Vec<&Change> = preview.rows.iter().filter(|row| row.differs()).collect();
    assert!(preview.rows[..differing.len()].iter().all(Change::differs));
    let of_clinic = |row: &&Change| row.asker.member == "clinic" && row.lost.is_empty();
    assert!(differing.iter().all(of_clinic));
    let gained: BTreeSet<&str> = differing
        .iter()
        .flat_map(|row| row.gained.iter().map(String::as_str))
        .collect();
    assert!(gained.contains("Condition/4") && !gained.contains("Observation/3"));
    let back = what_if((&after, &none), (&askers, &records), moment());
    let lost = back.rows.iter().filter(|row| row.differs());
    assert!(lost.clone().all(|row| row.gained.is_empty()));
    assert_eq!(lost.count(), differing.len());
    let same = what_if((&after, &after), (&askers, &records), moment());
    assert!(!same.rows.iter().any(Change::differs));
}

#[test]
fn a_preview_ends_and_says_that_it_did() {
    let evaluator = Evaluator::new(&[]).unwrap();
    let one = &documents()[0];
    let many = (0..1_000).map(|number| Document {
        id: Some(format!("Observation/{number}")),
        ..one.clone()
    });
    let records = Records::of(many.collect(), true);
    let members: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    let askers = askers(members.iter().map(String::as_str), &[]);
    let preview = who_can_see(&evaluator, (&askers, &records), moment());
    assert!(!preview.is_complete);
    assert_eq!(preview.rows.len(), DECISIONS_MAX / 1_000);
}
