//! Every element of a provision, one table each.

use super::*;
use crate::consent::template;

/// A permit for somebody by reference.
fn named(reference: &str) -> Value {
    json!({ "type": "permit", "actor": [actor(json!({ "reference": reference }))] })
}

#[test]
fn a_person_who_is_named_is_the_members_through_which_it_was_filed_and_asks_as_that_person() {
    // A rule around it that names nobody leaves a person one of the member's through which it was filed.
    check(
        &[json!({ "provision": [named("Practitioner/7")] })],
        "
        hospital PUBHLTH Observation by=7 => permit
        clinic   TREAT   Observation by=7 => deny
    ",
    );
    // Who asks as somebody's relative is not there as a practitioner.
    check(
        &[named("Practitioner/7")],
        "hospital PUBHLTH Observation by=7 related=RelatedPerson/5 => deny",
    );
}

#[test]
fn ihe_pcf_5_actors_are_members_persons_devices_groups_and_roles() {
    check(
        &[named("Organization/clinic")],
        "
        clinic TREAT Observation => permit
        payer  TREAT Observation => deny
    ",
    );
    check(
        &[
            named("Practitioner/7"),
            named("Device/1"),
            named("Group/1"),
            named("PractitionerRole/3"),
        ],
        "
        hospital HRESCH  Observation by=7 => deny
        hospital PUBHLTH Observation by=7 => permit
        hospital PUBHLTH Observation by=8 => deny
        clinic   TREAT   Observation by=7 => deny
        hospital PUBHLTH Observation device=Device/1 => permit
        hospital PUBHLTH Observation group=Group/1 => permit
        hospital PUBHLTH Observation group=Group/2 => deny
        hospital PUBHLTH Observation role=PractitionerRole/3 => permit
        clinic   TREAT   Observation group=Group/1 => deny
    ",
    );
    check(
        &[named("RelatedPerson/5")],
        "
        hospital FAMRQT Observation related=RelatedPerson/5 => permit
        hospital FAMRQT Observation related=RelatedPerson/6 => deny
        clinic   FAMRQT Observation related=RelatedPerson/5 => deny
    ",
    );
    check(
        &[permit(json!({}))],
        "clinic TREAT Observation related=RelatedPerson/5 => deny",
    );
    let keep_out =
        json!({ "type": "deny", "actor": [actor(json!({ "reference": "RelatedPerson/5" }))] });
    check(
        &[named("RelatedPerson/5"), keep_out],
        "
        hospital FAMRQT Observation related=RelatedPerson/5 => deny
    ",
    );
    let role =
        |coding: Value| json!({ "type": "permit", "actor": [{ "role": { "coding": [coding] } }] });
    check(
        &[role(json!({ "system": "s", "code": "nurse" }))],
        "
        clinic TREAT Observation role=s|nurse => permit
        clinic TREAT Observation role=nurse   => permit
        clinic TREAT Observation role=t|nurse => deny
        clinic TREAT Observation              => deny
    ",
    );
    check(
        &[role(json!({ "code": "nurse" }))],
        "
        clinic TREAT Observation role=t|nurse => permit
        clinic TREAT Observation role=cook    => deny
    ",
    );
}

#[test]
fn purposes_cover_those_that_are_kinds_of_them() {
    check(
        &[permit(json!({ "purpose": codes(&["TREAT"]) }))],
        "
        clinic TREAT   Observation => permit
        clinic ETREAT  Observation => permit
        clinic ERTREAT Observation => permit
        clinic COC     Observation => permit
        clinic CAREMGT Observation => deny
        clinic BTG     Observation => deny
    ",
    );
    check(
        &[permit(json!({ "purpose": codes(&["ETREAT"]) }))],
        "
        clinic TREAT  Observation => deny
        clinic ETREAT Observation => permit
    ",
    );
    check(&[permit(json!({}))], "clinic CLINTRCH Observation => deny");
    check(
        &[permit(json!({ "purpose": codes(&["HRESCH"]) }))],
        "
        clinic CLINTRCHPC Observation => permit
        clinic FooBar     Observation => deny
    ",
    );
    check(
        &[permit(json!({ "purpose": codes(&["FooBar"]) }))],
        "clinic FooBar Observation => permit",
    );
}

#[test]
fn classes_are_types_and_kinds_of_documents() {
    let class = json!([{ "system": "http://loinc.org", "code": "34133-9" },
        { "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }]);
    check(
        &[permit(json!({ "class": class }))],
        "
        clinic TREAT DocumentReference code=http://loinc.org|34133-9 => permit
        clinic TREAT DocumentReference code=http://loinc.org|11488-4 => deny
        clinic TREAT Observation => permit
    ",
    );
}

#[test]
fn ihe_pcf_6_data_are_named_by_id_relation_author_and_time() {
    let data = |meaning: &str, reference: &str| json!({ "data": [{ "meaning": meaning, "reference": { "reference": reference } }] });
    check(
        &[permit(data("instance", "Observation/1"))],
        "
        clinic TREAT Observation id=Observation/1 => permit
        clinic TREAT Observation id=Observation/2 => deny
        clinic TREAT Observation                  => deny
        clinic TREAT Observation id=Observation/1 home=payer => deny
    ",
    );
    for meaning in ["related", "dependents"] {
        check(
            &[permit(data(meaning, "Encounter/1"))],
            "
            clinic TREAT Encounter   id=Encounter/1 => permit
            clinic TREAT Observation id=Observation/2 ref=Encounter/1 => permit
            clinic TREAT Observation id=Observation/2 ref=Encounter/2 => deny
        ",
        );
    }
    let by_identifier = json!({ "data": [{ "meaning": "authoredby", "reference": { "identifier": { "system": "npi", "value": "9" } } }] });
    check(
        &[
            permit(data("authoredby", "Practitioner/7")),
            permit(by_identifier),
        ],
        "
        clinic TREAT Observation id=Observation/1 author=Practitioner/7 => permit
        clinic TREAT Observation id=Observation/1 author=npi|9 => permit
        clinic TREAT Observation id=Observation/1 author=Practitioner/8 => deny
    ",
    );
    check(
        &[
            permit(json!({})),
            rule("deny", &[], data("instance", "Observation/1")),
        ],
        "
        clinic TREAT Observation id=Observation/1 => deny
        clinic TREAT Observation id=Observation/2 => permit
        clinic TREAT Observation                  => deny
        clinic TREAT Condition                    => permit
    ",
    );
    check(
        &[
            permit(json!({})),
            rule("deny", &[], data("dependents", "Encounter/1")),
        ],
        "
        clinic TREAT Observation id=Observation/1 ref=Encounter/1 => deny
        clinic TREAT Observation id=Observation/1 => permit
        clinic TREAT Observation => deny
    ",
    );
}

#[test]
fn undated_documents_are_of_the_time_when_they_were_written() {
    let since = json!({ "dataPeriod": { "start": "2026" } });
    check(
        &[permit(since)],
        "
        clinic TREAT Observation on=2026-02-01 => permit
        clinic TREAT Observation written=2026-02-01 => permit
        clinic TREAT Observation on=2020-02-01 written=2026-02-01 => deny
    ",
    );
}

#[test]
fn c2_data_that_cannot_be_told_are_refused() {
    let data = |meaning: &str, reference: &str| json!({ "data": [{ "meaning": meaning, "reference": { "reference": reference } }] });
    for refused in [
        data("related", "Observation/1"),
        data("instance", "https://h/fhir/Observation/1"),
        data("instance", "Observation/1/_history/2"),
        data("instance", "#o"),
        data("about", "Observation/1"),
        json!({ "data": [{ "meaning": "instance" }] }),
        json!({ "data": [{ "meaning": "instance", "reference": { "identifier": { "system": "s", "value": "v" } } }] }),
        json!({ "data": [{ "meaning": "authoredby", "reference": { "display": "x" } }] }),
    ] {
        let refusal = read("a", &consent(&permit(refused))).unwrap_err();
        assert_eq!(refusal.element(), "Consent.provision.data");
    }
}

#[test]
fn ihe_pcf_7_labels_cover_their_kinds_and_levels_those_below() {
    check(
        &[permit(json!({ "securityLabel": codes(&["ETH"]) }))],
        "
        clinic TREAT Observation label=ETH => permit
        clinic TREAT Observation label=ETHUD label=R => permit
        clinic TREAT Observation label=OPIOIDUD => permit
        clinic TREAT Observation label=OPIOIDUD label=V => deny
        clinic TREAT Observation label=R => deny
        clinic TREAT Observation => deny
    ",
    );
    check(
        &[permit(json!({ "securityLabel": codes(&["OPIOIDUD"]) }))],
        "
        clinic TREAT Observation label=OPIOIDUD => permit
        clinic TREAT Observation label=ETH      => deny
    ",
    );
    check(
        &[permit(json!({ "securityLabel": codes(&["R"]) }))],
        "
        clinic TREAT Observation => permit
        clinic TREAT Observation label=N => permit
        clinic TREAT Observation label=R => permit
        clinic TREAT Observation label=V => deny
        clinic TREAT Observation label=HIV label=R => deny
    ",
    );
    check(
        &[permit(json!({ "securityLabel": codes(&["V", "HIV"]) }))],
        "
        clinic TREAT Observation label=HIV label=V => permit
    ",
    );
}

#[test]
fn ihe_pcf_7_a_deny_keeps_back_what_may_be_of_its_label() {
    let but = |labels: &[&str]| {
        vec![
            permit(json!({ "securityLabel": codes(&["V", "BH", "ETH", "HIV", "X"]) })),
            rule("deny", &[], json!({ "securityLabel": codes(labels) })),
        ]
    };
    check(
        &but(&["R"]),
        "
        clinic TREAT Observation => permit
        clinic TREAT Observation label=R => deny
        clinic TREAT Observation label=V => deny
        clinic TREAT Observation label=HIV => deny
    ",
    );
    check(&but(&["N"]), "clinic TREAT Observation => deny");
    check(
        &but(&["OPIOIDUD"]),
        "
        clinic TREAT Observation label=ETH => deny
        clinic TREAT Observation label=OPIOIDUD => deny
        clinic TREAT Observation label=HIV => permit
        clinic TREAT Observation label=R => permit
    ",
    );
    check(
        &but(&["BH"]),
        "
        clinic TREAT Observation label=PSY => deny
        clinic TREAT Observation label=ETH => deny
        clinic TREAT Observation label=HIV => permit
    ",
    );
    check(
        &but(&["X"]),
        "
        clinic TREAT Observation label=X => deny
        clinic TREAT Observation label=R => deny
        clinic TREAT Observation label=HIV => permit
        clinic TREAT Observation => permit
    ",
    );
}

#[test]
fn ihe_pcf_7_labels_of_a_nested_rule_stand_in_the_place_of_those_around() {
    let focused = permit(json!({ "securityLabel": codes(&["N"]), "provision": [
        { "type": "permit", "securityLabel": codes(&["PSY"]), "actor": [practitioner("7")] },
    ] }));
    check(
        &[focused],
        "
        clinic TREAT Observation => permit
        clinic TREAT Observation label=PSY label=R by=7 => permit
        clinic TREAT Observation label=PSY label=R by=8 => deny
    ",
    );
}

#[test]
fn emergencies_pass_denies_that_do_not_name_them() {
    check(
        &[rule("deny", &[], json!({}))],
        "
        clinic   TREAT  Observation by=7 emergency => permit
        clinic   BTG    Observation by=7 emergency => permit
        hospital TREAT  Observation by=7 emergency => permit
        hospital TREAT  Observation by=7           => deny
        clinic   HPAYMT Observation by=7 emergency => deny
        clinic   TREAT  Observation emergency      => deny
    ",
    );
    check(
        &[rule("deny", &[], json!({ "purpose": codes(&["BTG"]) }))],
        "
        clinic   TREAT  Observation by=7 emergency => deny
        hospital TREAT  Observation by=7           => permit
    ",
    );
    let only = json!({ "type": "deny", "provision": [
        { "type": "permit", "actor": [actor(json!({ "reference": "Group/1" })), member("clinic")], "purpose": codes(&["BTG"]) },
    ] });
    check(
        &[only],
        "
        clinic TREAT Observation by=7 emergency => permit
        clinic TREAT Observation by=7           => deny
    ",
    );
    let named_deny = rule(
        "deny",
        &[],
        json!({ "purpose": codes(&["TREAT", "BTG"]), "provision": [
        rule("permit", &["clinic"], json!({ "purpose": codes(&["BTG"]) })),
    ] }),
    );
    check(
        &[named_deny],
        "
        clinic TREAT Observation by=7 emergency => permit
        payer  TREAT Observation by=7 emergency => deny
    ",
    );
}

#[test]
fn actions_that_change_are_named() {
    let action = |code: &str| json!({ "action": [{ "coding": [{ "code": code }] }] });
    check(
        &[permit(action("correct"))],
        "
        clinic TREAT Observation do=correct => permit
        clinic TREAT Observation do=collect => deny
        clinic TREAT Observation            => deny
    ",
    );
    check(
        &[permit(json!({}))],
        "clinic TREAT Observation do=correct => deny",
    );
    check(
        &[rule("deny", &[], json!({}))],
        "hospital TREAT Observation do=collect => permit",
    );
    check(
        &[rule("deny", &[], action("collect"))],
        "
        hospital TREAT Observation do=collect => deny
        hospital TREAT Observation do=correct => permit
    ",
    );
}

#[test]
fn expired_future_and_contradictory_consents_decide_what_they_say() {
    let past = permit(json!({ "period": { "end": "2025-12-31" } }));
    let future = permit(json!({ "period": { "start": "2027-01-01" } }));
    check(
        &[past, future],
        "
        clinic TREAT Observation => deny
        clinic TREAT Observation @2025-12-31 => permit
        clinic TREAT Observation @2027-01-01 => permit
    ",
    );
    let never = permit(json!({ "period": { "start": "2027", "end": "2026" } }));
    check(&[never], "clinic TREAT Observation => deny");
    check(
        &[permit(json!({})), rule("deny", &["clinic"], json!({}))],
        "clinic TREAT Observation => deny",
    );
    let both = permit(json!({ "provision": [
        rule("permit", &["clinic"], json!({})), rule("deny", &["clinic"], json!({})),
    ] }));
    check(&[both], "clinic TREAT Observation => deny");
}

#[test]
fn a_withdrawn_template_closes_what_it_opened() {
    let grant = template::Grant {
        patient: "Patient/p",
        grantee: "clinic",
        data: &[template::DataClass::Conditions],
        purpose: "TREAT",
        start: "2026-01-01",
        end: "2026-12-31",
    };
    let filed = template::access(&grant);
    let read = |value: &Value| Consent::read("hospital/1", 1, value).unwrap();
    check_consents(&[read(&filed)], "clinic TREAT Condition => permit");
    check_consents(
        &[read(&life::withdrawn(filed))],
        "clinic TREAT Condition => deny",
    );
}
