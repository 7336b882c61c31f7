//! 42 CFR 2.31, paragraph by paragraph.

use super::super::part2::{SECTION, check};
use super::*;

fn cited(paragraphs: &[&str]) -> Value {
    let policy = |paragraph: &&str| json!({ "uri": format!("{SECTION}{paragraph}") });
    paragraphs.iter().map(policy).collect()
}

/// A consent with every element, for treatment, payment and operations.
fn for_care() -> Value {
    let no_proceedings = json!({ "type": "deny", "purpose": codes(&["HLEGAL"]) });
    let mut whole = consent(&permit(json!({
        "purpose": codes(&["TREAT", "HPAYMT", "HOPERAT"]),
        "securityLabel": codes(&["SUD"]),
        "provision": [no_proceedings],
    })));
    whole["category"] = json!([{ "coding": [{ "code": "42CFRPart2CD" }] }]);
    whole["patient"]["display"] = json!("Ada");
    whole["organization"] = json!([{ "reference": "Organization/hospital" }]);
    whole["dateTime"] = json!("2026-06-01");
    whole["policy"] = cited(&["(a)(6)", "(a)(4)(iii)", "(a)(10)(i)", "(a)(10)(ii)"]);
    whole
}

/// One for proceedings alone.
fn for_proceedings() -> Value {
    let mut whole = for_care();
    whole["provision"] = permit(json!({
        "purpose": codes(&["HLEGAL"]),
        "securityLabel": codes(&["SUD"]),
        "period": { "end": "2026-12-31" },
    }));
    whole["policy"] = cited(&["(a)(6)"]);
    whole
}

#[track_caller]
fn refused(value: &Value, element: &str, paragraph: &str) {
    let rejection = check(value, true).unwrap_err();
    assert_eq!(rejection.element(), element);
    assert!(rejection.to_string().contains(paragraph), "{rejection}");
}

fn without(mut value: Value, pointer: &str) -> Value {
    let (around, name) = pointer.rsplit_once('/').unwrap();
    let around = value.pointer_mut(around).unwrap();
    around.as_object_mut().unwrap().remove(name).unwrap();
    value
}

#[test]
fn part2_1_a_consent_that_lacks_an_element_is_refused_with_its_name() {
    assert_eq!(check(&for_care(), true), Ok(()));
    assert_eq!(check(&for_proceedings(), true), Ok(()));
    for (pointer, element, paragraph) in [
        ("/patient/display", "Consent.patient.display", "(a)(1)"),
        ("/organization", "Consent.organization", "(a)(2)"),
        (
            "/provision/securityLabel",
            "Consent.provision.securityLabel",
            "(a)(3)",
        ),
        ("/provision/purpose", "Consent.provision.purpose", "(a)(5)"),
        ("/dateTime", "Consent.dateTime", "(a)(9)"),
    ] {
        refused(&without(for_care(), pointer), element, paragraph);
    }
    for (pointer, blank, element) in [
        ("/patient/display", json!(" "), "Consent.patient.display"),
        ("/organization", json!([]), "Consent.organization"),
        (
            "/organization",
            json!([{ "reference": "Organization/hospital" }, ""]),
            "Consent.organization",
        ),
    ] {
        let mut says_nothing = for_care();
        *says_nothing.pointer_mut(pointer).unwrap() = blank;
        let rejection = check(&says_nothing, true).unwrap_err();
        assert_eq!(rejection.element(), element);
    }
    let nobody = check(&without(for_care(), "/provision/actor"), true).unwrap_err();
    assert_eq!(
        nobody,
        Rejection::NamesNobody("Consent.provision".to_owned())
    );
    let mut other = for_care();
    other["provision"]["securityLabel"] = codes(&["PSY"]);
    refused(&other, "Consent.provision.securityLabel", "(a)(3)");
    for (index, paragraph) in ["(a)(6)", "(a)(4)(iii)", "(a)(10)(i)", "(a)(10)(ii)"]
        .iter()
        .enumerate()
    {
        let mut silent = for_care();
        silent["policy"].as_array_mut().unwrap().remove(index);
        refused(&silent, "Consent.policy.uri", paragraph);
    }
    refused(
        &without(for_proceedings(), "/provision/period"),
        "Consent.provision.period.end",
        "(a)(7)",
    );
}

#[test]
fn part2_1_a_consent_for_care_among_others_makes_the_statements_for_care() {
    let mut both = for_care();
    both["provision"]["purpose"] = codes(&["TREAT", "HRESCH"]);
    both["provision"]["period"] = json!({ "end": "2026-12-31" });
    assert_eq!(check(&both, true), Ok(()));
    both["policy"] = cited(&["(a)(6)"]);
    refused(&both, "Consent.policy.uri", "(a)(4)(iii)");
}

#[test]
fn part2_1_a_consent_is_signed_by_the_wallet_or_comes_with_what_was_signed() {
    let mut paper = for_care();
    let unsigned = check(&paper, false).unwrap_err();
    assert_eq!(unsigned.element(), "Consent.sourceReference");
    paper["sourceReference"] = json!({ "reference": "DocumentReference/form" });
    assert_eq!(check(&paper, false), Ok(()));
}

#[test]
fn part2_1_proceedings_are_not_combined_with_anything() {
    let mut both = for_proceedings();
    both["provision"]["purpose"] = codes(&["HLEGAL", "TREAT"]);
    both["policy"] = for_care()["policy"].clone();
    refused(&both, "Consent.provision.purpose", "(d)");
    // Operations cover proceedings, unless an exception takes them out.
    let covering = without(for_care(), "/provision/provision");
    refused(&covering, "Consent.provision.purpose", "(d)");
    // One about another purpose, or about some of the data, takes out nothing or not all.
    for exception in [
        json!({ "type": "deny", "purpose": codes(&["HRESCH"]) }),
        json!({ "type": "deny", "purpose": codes(&["HLEGAL"]), "class": types(&["Observation"]) }),
    ] {
        let mut covering = for_care();
        covering["provision"]["provision"] = json!([exception]);
        refused(&covering, "Consent.provision.purpose", "(d)");
    }
    let consents = [read("a", &for_care()).unwrap()];
    check_consents(
        &consents,
        "
        clinic TREAT   Observation label=SUD => permit
        clinic HOPERAT Observation label=SUD => permit
        clinic HLEGAL  Observation label=SUD => deny
    ",
    );
}

#[test]
fn part2_1_counseling_notes_take_a_consent_of_their_own() {
    let with_notes = |second: &[&str]| {
        let rule = |labels: &[&str]| {
            permit(json!({
            "purpose": codes(&["TREAT"]), "securityLabel": codes(labels) }))
        };
        let mut value = for_care();
        value["provision"] = json!({ "provision": [rule(&["SUD", "PSYTHPN"]), rule(second)] });
        value
    };
    assert_eq!(check(&with_notes(&["ETHUD", "PSYTHPN"]), true), Ok(()));
    refused(
        &with_notes(&["SUD"]),
        "Consent.provision.provision[0].securityLabel",
        "(b)",
    );
}

#[test]
fn part2_1_a_draft_may_lack_something_and_other_consents_are_not_looked_at() {
    let mut draft = without(for_care(), "/organization");
    draft["status"] = json!("draft");
    assert_eq!(check(&draft, false), Ok(()));
    let other = consent(&permit(json!({})));
    assert_eq!(check(&other, false), Ok(()));
    let mut by_rule = without(without(for_care(), "/category"), "/organization");
    by_rule["policyRule"] = json!({ "coding": [
        { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2" }] });
    refused(&by_rule, "Consent.organization", "(a)(2)");
}
