use serde_json::json;

use super::*;
use crate::consent::tests::{consent, question, read};

fn told(provision: &serde_json::Value, line: &str) -> Option<Considered> {
    told_of("hospital/1", provision, line)
}

fn told_of(id: &str, provision: &serde_json::Value, line: &str) -> Option<Considered> {
    let consent = read(id, &consent(provision)).unwrap();
    let (request, document) = question(line);
    let document = Document {
        home: document.home,
        patient: document.patient,
        resource_type: document.resource_type,
        ..Document::default()
    };
    let consents = [consent];
    let evaluator = Evaluator::new(&consents).unwrap();
    considered(&consents, &evaluator, &request, &document)
}

fn rule(kind: &str, more: &serde_json::Value) -> serde_json::Value {
    let mut rule = json!({ "type": kind, "actor": [{
        "role": { "coding": [{ "code": "IRCP" }] },
        "reference": { "identifier": { "system": crate::consent::MEMBER_SYSTEM, "value": "clinic" } },
    }] });
    let more = more.as_object().unwrap().clone();
    rule.as_object_mut().unwrap().extend(more);
    rule
}

const ASKS: &str = "clinic TREAT Observation";

#[test]
fn ihe_pcf_8_a_permit_of_a_time_forbids_all_and_permits_that() {
    let permit = rule(
        "permit",
        &json!({ "dataPeriod": { "start": "2022-01-01", "end": "2022-12-31" } }),
    );
    let told = told(&permit, ASKS).unwrap();
    assert_eq!(told.consents, BTreeSet::from(["hospital/1".to_owned()]));
    assert_eq!(told.residual.len(), 2);
    assert_eq!(told.residual[0], Residual::all(Kind::Deny));
    assert_eq!(told.residual[1].kind, Kind::Permit);
    assert!(told.residual[1].data_period.is_some());
}

#[test]
fn ihe_pcf_8_a_permit_without_conditions_leaves_nothing_to_enforce() {
    let told = told(&rule("permit", &json!({})), ASKS).unwrap();
    assert!(told.residual.is_empty());
}

#[test]
fn ihe_pcf_8_a_denied_label_is_forbidden_and_no_permit_overrides_it() {
    let mut permit = rule("permit", &json!({}));
    permit["provision"] = json!([rule(
        "deny",
        &json!({ "securityLabel": [{ "code": "HIV" }] })
    )]);
    let told = told(&permit, ASKS).unwrap();
    assert_eq!(told.residual.len(), 1);
    assert_eq!(told.residual[0].kind, Kind::Deny);
    assert_eq!(told.residual[0].labels, ["HIV"]);
}

#[test]
fn ihe_pcf_8_what_the_words_of_a_token_cannot_say_is_not_given() {
    for code in ["Condition", "Observation"] {
        let class =
            json!({ "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": code }] });
        let told = told(&rule("permit", &class), ASKS).unwrap();
        assert_eq!(told.residual, [Residual::all(Kind::Deny)], "{code}");
    }
}

#[test]
fn ihe_pcf_8_a_consent_for_somebody_else_does_not_matter() {
    assert_eq!(
        told(&rule("permit", &json!({})), "payer TREAT Observation"),
        None
    );
    let research = rule("permit", &json!({ "purpose": [{ "code": "HRESCH" }] }));
    assert_eq!(told(&research, ASKS), None);
    let past = rule("permit", &json!({ "period": { "end": "2001-01-01" } }));
    assert_eq!(told(&past, ASKS), None);
}

/// A denied label that has an exception, and more denied labels beside it.
fn exception(others: &[&str]) -> serde_json::Value {
    let label = |code: &str| json!({ "securityLabel": [{ "code": code }] });
    let mut deny = rule("deny", &label("HIV"));
    deny["provision"] = json!([rule(
        "permit",
        &json!({ "dataPeriod": { "start": "2022-01-01", "end": "2022-12-31" } })
    )]);
    let mut denies = vec![deny];
    denies.extend(others.iter().map(|code| rule("deny", &label(code))));
    let mut permit = rule("permit", &json!({}));
    permit["provision"] = json!(denies);
    permit
}

#[test]
fn ihe_pcf_8_a_permit_is_told_beside_the_forbid_that_it_is_an_exception_to_and_no_other() {
    let kinds = |told: &Considered| -> Vec<Kind> {
        let rules = told.residual.iter();
        rules.map(|one| one.kind).collect()
    };
    let one = told(&exception(&[]), ASKS).unwrap();
    assert_eq!(kinds(&one), [Kind::Deny, Kind::Permit]);
    assert_eq!(one.residual[1].labels, ["HIV"]);
    let two = told(&exception(&["ETH"]), ASKS).unwrap();
    assert_eq!(kinds(&two), [Kind::Deny, Kind::Deny]);
}

#[test]
fn ihe_pcf_8_a_permit_that_a_forbid_narrows_is_not_told() {
    let mut permit = rule(
        "permit",
        &json!({ "dataPeriod": { "start": "2022-01-01", "end": "2022-12-31" } }),
    );
    permit["provision"] = json!([rule(
        "deny",
        &json!({ "securityLabel": [{ "code": "HIV" }] })
    )]);
    let told = told(&permit, ASKS).unwrap();
    assert_eq!(told.residual, [Residual::all(Kind::Deny)]);
}

#[test]
fn ihe_pcf_8_a_permit_that_is_no_exception_is_not_told_beside_a_forbid() {
    let mut permit = rule("permit", &json!({}));
    let of_a_year = json!({ "dataPeriod": { "start": "2022-01-01", "end": "2022-12-31" } });
    permit["provision"] = json!([
        rule("deny", &json!({ "securityLabel": [{ "code": "HIV" }] })),
        rule("permit", &of_a_year),
    ]);
    let told = told(&permit, ASKS).unwrap();
    let kinds: Vec<Kind> = told.residual.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Deny]);
}

#[test]
fn ihe_pcf_8_the_documents_that_a_rule_names_are_told() {
    let told = told(&rule("permit", &one_document()), ASKS).unwrap();
    assert_eq!(told.residual.len(), 2);
    assert_eq!(told.residual[0], Residual::all(Kind::Deny));
    assert_eq!(told.residual[1].data[0].reference, "Observation/1");
}

#[test]
fn ihe_pcf_8_documents_of_another_member_are_not_taken_for_those_here() {
    for kind in ["permit", "deny"] {
        let elsewhere = rule(kind, &one_document());
        assert_eq!(told_of("laboratory/1", &elsewhere, ASKS), None, "{kind}");
    }
}

fn one_document() -> serde_json::Value {
    let reference = json!({ "reference": "Observation/1" });
    json!({ "data": [{ "meaning": "instance", "reference": reference }] })
}
