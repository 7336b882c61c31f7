use serde_json::{Value, json};

use super::*;
use crate::fhir::Checking;

const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";

fn resource(value: Value) -> Resource {
    Resource::from_value_noting(value, Checking::Stored)
        .unwrap()
        .0
}

fn codes(labels: BTreeSet<Label>) -> Vec<&'static str> {
    labels.into_iter().map(Label::code).collect()
}

fn labels(value: Value) -> Vec<&'static str> {
    codes(labels_of(&resource(value)))
}

fn with(set: &Value, context: &Context, value: Value) -> Vec<&'static str> {
    let set = RuleSet::parse(set.to_string().as_bytes()).unwrap();
    let rules = Rules::of(vec![set]);
    codes(labels_in(&rules.findings(&resource(value), context)))
}

fn refused(set: &Value) -> RuleProblem {
    RuleSet::parse(set.to_string().as_bytes()).unwrap_err()
}

fn condition(system: &str, code: &str) -> Value {
    json!({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
        "code": {"coding": [{"system": system, "code": code}]}})
}

fn secured(system: &str, code: &str) -> Value {
    json!({"resourceType": "Basic", "meta": {"security": [{"system": system, "code": code}]}})
}

#[test]
fn codes_give_labels_and_every_label_restricts() {
    assert_eq!(rules_version(), "2026-11-21.2");
    assert_eq!(
        labels(condition(SNOMED, "5602001")),
        ["ETH", "OPIOIDUD", "R"]
    );
    assert_eq!(labels(condition(SNOMED, "55680006")), ["ETH", "R"]);
    assert_eq!(labels(condition(SNOMED, "370143000")), ["PSY", "R"]);
    assert_eq!(labels(condition(SNOMED, "72892002")), ["SEX", "R"]);
    assert_eq!(labels(condition(SNOMED, "443529005")), ["GDIS", "SEX", "R"]);
    assert_eq!(
        labels(condition(ICD_10_CM, "F11.20")),
        ["ETH", "OPIOIDUD", "R"]
    );
    assert_eq!(
        labels(condition(ICD_10_CM, "F10.10")),
        ["ETH", "ETHUD", "R"]
    );
    assert_eq!(
        labels(condition("http://hl7.org/fhir/sid/icd-10", "B20")),
        ["HIV", "R"]
    );
    assert_eq!(labels(condition(SNOMED, "38341003")), [""; 0]);
    assert_eq!(
        labels(condition(LOINC, "5602001")),
        [""; 0],
        "a code of another system"
    );
    let cpt = "http://www.ama-assn.org/go/cpt";
    assert_eq!(labels(condition(cpt, "81220")), ["GDIS", "R"], "a range");
    assert_eq!(
        labels(condition(cpt, "8122")),
        [""; 0],
        "of codes of one length"
    );
}

#[test]
fn codes_are_found_wherever_they_stand() {
    let claim = json!({"resourceType": "Basic", "extension": [{"url": "x", "valueCodeableConcept":
        {"coding": [{"code": "x"}, {"system": LOINC, "code": "55277-8"}]}}]});
    assert_eq!(labels(claim), ["HIV", "R"]);
    let contained = json!({"resourceType": "Basic", "contained": [{"resourceType": "Basic",
        "meta": {"security": [{"system": SENSITIVITY, "code": "PSY"}]}}]});
    assert_eq!(labels(contained), ["PSY", "R"]);
}

#[test]
fn labels_that_are_there_are_honoured_and_unknown_ones_restrict() {
    assert_eq!(labels(secured(CONFIDENTIALITY, "R")), ["R"]);
    assert_eq!(labels(secured(CONFIDENTIALITY, "V")), ["R", "V"]);
    assert_eq!(labels(secured(CONFIDENTIALITY, "N")), [""; 0]);
    assert_eq!(
        labels(secured(SENSITIVITY, "OPIOIDUD")),
        ["ETH", "OPIOIDUD", "R"]
    );
    assert_eq!(labels(secured(SENSITIVITY, "SUD")), ["ETH", "R"]);
    assert_eq!(labels(secured(SENSITIVITY, "TBOO")), ["R"]);
    assert_eq!(labels(secured("http://local.org", "x")), ["R"]);
    let reason = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    assert_eq!(labels(secured(reason, "HTEST")), [""; 0]);
    let unclear = json!({"resourceType": "Basic", "meta": {"security": [{"display": "x"}]}});
    assert_eq!(labels(unclear), ["R"]);
}

#[test]
fn a_consent_about_hiv_is_not_hiv_data() {
    let consent = json!({"resourceType": "Consent", "status": "active", "scope": {"text": "x"},
        "category": [{"text": "x"}], "provision": {"code": [{"coding": [
            {"system": SNOMED, "code": "86406008"}]}],
            "securityLabel": [{"system": SENSITIVITY, "code": "HIV"}]}});
    assert_eq!(labels(consent), [""; 0]);
}

#[test]
fn minors_care_is_labelled_by_the_age_at_the_event() {
    let visit = |date: &str| {
        let mut visit = condition(ICD_10_CM, "Z30.0");
        visit["onsetDateTime"] = date.into();
        resource(visit)
    };
    let born = |date: &str| Context {
        birth_date: Some(date.to_owned()),
        ..Context::default()
    };
    let found = |date: &str, context: &Context| {
        codes(labels_in(&builtin().findings(&visit(date), context)))
    };
    let context = born("2008-03-01");
    assert_eq!(found("2024-01-01", &context), ["ADOL", "SEX", "R"]);
    assert_eq!(found("2026-06-01", &context), ["SEX", "R"], "of age");
    assert_eq!(found("2024-01-01", &Context::default()), ["SEX", "R"]);
    let visit = visit("2024-01-01");
    assert!(builtin().look(&visit).needs().birth_date);
    let plain = resource(condition(SNOMED, "38341003"));
    assert!(!builtin().look(&plain).needs().birth_date);
}

#[test]
fn a_resource_takes_the_labels_of_what_it_refers_to() {
    let report = resource(
        json!({"resourceType": "DiagnosticReport", "status": "final",
        "code": {"text": "panel"}, "encounter": {"reference": "Encounter/e"},
        "result": [{"reference": "Observation/a"}, {"reference": "#x"}, {"display": "y"}]}),
    );
    let looked = builtin().look(&report);
    let sources: Vec<String> = looked.needs().sources.into_iter().collect();
    assert_eq!(sources, ["Encounter/e", "Observation/a"]);
    let inherited = [("Observation/a".to_owned(), BTreeSet::from([Label::Hiv]))];
    let context = Context {
        inherited: inherited.into(),
        ..Context::default()
    };
    let findings = looked.findings(&context);
    assert_eq!(codes(labels_in(&findings)), ["HIV", "R"]);
    assert_eq!(findings[0].path, "DiagnosticReport.result");
    assert!(
        findings[0].cause
            == Cause::Inherited {
                from: "Observation/a".to_owned()
            }
    );
}

#[test]
fn a_programme_labels_what_it_wrote() {
    let programme = ["Organization/p2".to_owned(), "urn:npi|17".to_owned()];
    let set = RuleSet::of_programmes(&programme).unwrap().unwrap();
    let rules = Rules::of(vec![set]);
    let found = |value: Value| {
        let found = rules.findings(&resource(value), &Context::default());
        codes(labels_in(&found))
    };
    let visit = |provider: Value| {
        json!({"resourceType": "Encounter", "status": "finished",
        "class": {"code": "AMB"}, "serviceProvider": provider})
    };
    assert_eq!(
        found(visit(json!({"reference": "Organization/p2"}))),
        ["ETH", "R"]
    );
    let identifier = json!({"identifier": {"system": "urn:npi", "value": "17"}});
    assert_eq!(found(visit(identifier)), ["ETH", "R"]);
    assert_eq!(
        found(visit(json!({"reference": "Organization/p3"}))),
        [""; 0]
    );
    assert!(RuleSet::of_programmes(&[]).is_none());
}

#[test]
fn a_word_restricts_until_a_person_has_looked() {
    let set = json!({"version": "1", "rules": [
        {"id": "w", "labels": ["PSY"], "words": ["Psychosis"], "possible": true}]});
    let mut note = json!({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
        "note": [{"text": "history of PSYCHOSIS"}]});
    assert_eq!(with(&set, &Context::default(), note.clone()), ["R"]);
    note["meta"] = json!({"security": [{"system": CONFIDENTIALITY, "code": "N"}]});
    assert_eq!(
        with(&set, &Context::default(), note),
        [""; 0],
        "somebody has looked"
    );
}

#[test]
fn conditions_of_a_rule_all_have_to_hold() {
    let set = json!({"version": "1", "valueSets": {"v": {"codes": {SNOMED: ["1*"]}}}, "rules": [
        {"id": "r", "labels": ["SDV"], "codes": ["v"], "elements": ["code"], "types": ["Condition"]}]});
    let none = Context::default();
    assert_eq!(with(&set, &none, condition(SNOMED, "12")), ["SDV", "R"]);
    let elsewhere = json!({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
        "bodySite": [{"coding": [{"system": SNOMED, "code": "12"}]}]});
    assert_eq!(with(&set, &none, elsewhere), [""; 0]);
    let other =
        json!({"resourceType": "Basic", "code": {"coding": [{"system": SNOMED, "code": "12"}]}});
    assert_eq!(with(&set, &none, other), [""; 0]);
}

#[test]
fn rule_sets_that_match_nothing_or_everything_are_refused() {
    let rule = |rule: Value| json!({"version": "1", "valueSets": {"v": {"codes": {SNOMED: ["1"]}}}, "rules": [rule]});
    let nothing = |name: &str| RuleProblem::MatchesNothing(name.to_owned());
    let everything = |name: &str| RuleProblem::MatchesEverything(name.to_owned());
    assert_eq!(refused(&json!({"version": "1"})), nothing("1"));
    assert_eq!(
        refused(&rule(json!({"id": "r", "labels": ["HIV"]}))),
        everything("r")
    );
    assert_eq!(
        refused(&rule(
            json!({"id": "r", "labels": ["HIV"], "types": ["Observation"]})
        )),
        everything("r")
    );
    assert_eq!(
        refused(&rule(json!({"id": "r", "labels": ["HIV"], "underAge": 18}))),
        everything("r")
    );
    let unknown_type =
        json!({"id": "r", "labels": ["HIV"], "codes": ["v"], "types": ["Kondition"]});
    assert_eq!(refused(&rule(unknown_type)), nothing("r"));
    let consents = json!({"id": "r", "labels": ["HIV"], "codes": ["v"], "types": ["Consent"]});
    assert_eq!(refused(&rule(consents)), nothing("r"));
    let set = |codes: Value| {
        json!({"version": "1", "valueSets": {"v": codes},
        "rules": [{"id": "r", "labels": ["HIV"], "codes": ["v"]}]})
    };
    assert_eq!(
        refused(&set(json!({"codes": {SNOMED: ["*"]}}))),
        everything("v")
    );
    assert_eq!(refused(&set(json!({"codes": {SNOMED: []}}))), nothing("v"));
    assert_eq!(
        refused(&set(json!({"codes": {SNOMED: ["20..10"]}}))),
        nothing("v")
    );
    assert_eq!(
        refused(&set(json!({"codes": {SNOMED: [""]}}))),
        nothing("v")
    );
}

#[test]
fn unknown_labels_systems_and_value_sets_are_refused() {
    let rule = |rule: Value| json!({"version": "1", "valueSets": {"v": {"codes": {SNOMED: ["1"]}}}, "rules": [rule]});
    let named = "r".to_owned();
    let label = |labels: Value| rule(json!({"id": "r", "labels": labels, "codes": ["v"]}));
    assert_eq!(
        refused(&label(json!(["XYZ"]))),
        RuleProblem::UnknownLabel(named.clone())
    );
    assert_eq!(
        refused(&label(json!([]))),
        RuleProblem::UnknownLabel(named.clone())
    );
    let set = rule(json!({"id": "r", "labels": ["HIV"], "codes": ["w"]}));
    assert_eq!(refused(&set), RuleProblem::UnknownValueSet(named.clone()));
    let age = rule(json!({"id": "r", "labels": ["ADOL"], "codes": ["v"], "underAge": 200}));
    assert_eq!(refused(&age), RuleProblem::Age(named.clone()));
    let word = |word: &str, possible: bool| {
        refused(&rule(
            json!({"id": "r", "labels": ["PSY"], "words": [word], "possible": possible}),
        ))
    };
    assert_eq!(word("of", true), RuleProblem::Words(named.clone()));
    assert_eq!(word("psychosis", false), RuleProblem::Words(named));
    let mut local = json!({"version": "1", "valueSets": {"v": {"codes": {"urn:local": ["1"]}}},
        "rules": [{"id": "r", "labels": ["HIV"], "codes": ["v"]}]});
    assert_eq!(refused(&local), RuleProblem::UnknownSystem("v".to_owned()));
    local["systems"] = json!(["urn:local"]);
    assert!(RuleSet::parse(local.to_string().as_bytes()).is_ok());
    assert!(matches!(
        refused(&json!({"version": "1", "rule": []})),
        RuleProblem::Malformed(_)
    ));
}

#[test]
fn value_sets_that_include_themselves_and_enormous_sets_are_refused() {
    let set = json!({"version": "1", "valueSets": {
        "a": {"include": ["b"], "codes": {SNOMED: ["1"]}}, "b": {"include": ["c"]}, "c": {"include": ["a"]}},
        "rules": [{"id": "r", "labels": ["HIV"], "codes": ["a"]}]});
    assert!(matches!(refused(&set), RuleProblem::Cycle(_)));
    let huge = format!("{{\"version\": \"{}\"}}", "x".repeat(SET_BYTES_MAX));
    assert_eq!(
        RuleSet::parse(huge.as_bytes()).unwrap_err(),
        RuleProblem::TooLarge
    );
    let rules: Vec<Value> = (0..1_001)
        .map(
            |n| json!({"id": format!("r{n}"), "labels": ["HIV"], "references": ["Organization/1"]}),
        )
        .collect();
    assert_eq!(
        refused(&json!({"version": "1", "rules": rules})),
        RuleProblem::TooLarge
    );
    // Many rules over one large value set would be as many codes as both together.
    let codes: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let rules: Vec<Value> = (0..900)
        .map(|n| json!({"id": format!("r{n}"), "labels": ["HIV"], "codes": ["v"]}))
        .collect();
    let wide =
        json!({"version": "1", "valueSets": {"v": {"codes": {SNOMED: codes}}}, "rules": rules});
    assert_eq!(refused(&wide), RuleProblem::TooLarge);
}

#[test]
fn more_sets_never_take_a_label_away() {
    let more = json!({"version": "2", "valueSets": {"v": {"codes": {SNOMED: ["38341003"]}}},
        "rules": [{"id": "r", "labels": ["PSY"], "codes": ["v"]}]});
    let more = RuleSet::parse(more.to_string().as_bytes()).unwrap();
    let own = RuleSet::parse(RULES_BYTES).unwrap();
    let rules = Rules::of(vec![own, more]);
    for code in ["38341003", "86406008", "370143000", "5602001", "1"] {
        let one = resource(condition(SNOMED, code));
        let wider = labels_in(&rules.findings(&one, &Context::default()));
        assert!(wider.is_superset(&labels_of(&one)), "{code}");
    }
    let versions: Vec<&str> = rules.versions().collect();
    assert_eq!(versions, [rules_version(), "2"]);
}

#[test]
fn a_finding_names_rule_path_and_code_and_debug_names_none_of_it() {
    let one = resource(condition(ICD_10_CM, "B20"));
    let findings = builtin().findings(&one, &Context::default());
    assert_eq!(findings[0].path, "Condition.code.coding[0]");
    let Cause::Rule {
        set,
        id,
        system,
        met,
    } = &findings[0].cause
    else {
        panic!("no rule");
    };
    assert_eq!((set.as_str(), id.as_str()), (rules_version(), "hiv"));
    assert_eq!((system.as_deref(), met.as_str()), (Some(ICD_10_CM), "B20"));
    assert_eq!(format!("{findings:?}"), "[Finding(..)]");
}

#[test]
fn what_a_narrower_label_implies_is_not_asked_for_twice() {
    let set = |codes: &[&str]| {
        codes
            .iter()
            .map(|one| (*one).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        narrowest(&set(&["ETH", "OPIOIDUD", "HIV", "R"])),
        set(&["HIV", "OPIOIDUD", "R"])
    );
    assert_eq!(narrowest(&set(&["ETH", "R"])), set(&["ETH", "R"]));
    assert_eq!(narrowest(&set(&["other"])), set(&["other"]));
}
