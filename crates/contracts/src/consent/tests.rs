use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::access::{Action, Document, Emergency, Evaluator, Request, check_consent};

mod elements;
mod lattice;
mod living;
mod matrix;
mod model;
mod part_two;
mod reading;
mod reference;
mod templates;

const NOON: &str = "2026-06-01T12:00:00Z";

pub(crate) fn consent(provision: &Value) -> Value {
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": { "coding": [{ "code": "patient-privacy" }] },
        "patient": { "reference": "Patient/p" },
        "provision": provision,
    })
}

pub(crate) fn read(id: &str, resource: &Value) -> Result<Consent, Rejection> {
    Consent::read(id, 1, resource)
}

fn member(name: &str) -> Value {
    actor(json!({ "identifier": { "system": MEMBER_SYSTEM, "value": name } }))
}

fn practitioner(id: &str) -> Value {
    actor(json!({ "reference": format!("Practitioner/{id}") }))
}

#[expect(clippy::needless_pass_by_value, reason = "json! takes it")]
fn actor(reference: Value) -> Value {
    json!({ "role": { "coding": [{ "code": "IRCP" }] }, "reference": reference })
}

fn codes(codes: &[&str]) -> Value {
    codes.iter().map(|code| json!({ "code": code })).collect()
}

fn types(types: &[&str]) -> Value {
    let system = "http://hl7.org/fhir/resource-types";
    let coding = |code: &&str| json!({ "system": system, "code": code });
    types.iter().map(coding).collect()
}

/// A permit for the clinic, with `more` elements.
fn permit(more: Value) -> Value {
    rule("permit", &["clinic"], more)
}

fn rule(kind: &str, members: &[&str], more: Value) -> Value {
    let mut rule = json!({ "type": kind });
    let elements = rule.as_object_mut().unwrap();
    if !members.is_empty() {
        let actors = members.iter().map(|name| member(name)).collect();
        elements.insert("actor".to_owned(), actors);
    }
    if let Value::Object(more) = more {
        elements.extend(more);
    }
    rule
}

/// Reads `clinic TREAT Observation @2026-06-01T12:00:00Z label=HIV code=s|c on=2026-05-01 by=p1 own=p`, and further
/// `role=`, `device=`, `related=`, `group=`, `id=`, `ref=`, `author=`, `home=`, `written=`, `do=` and `emergency`.
pub(crate) fn question(text: &str) -> (Request, Document) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = |name: &str| {
        let value = |word: &&str| word.strip_prefix(name).map(str::to_owned);
        words.iter().filter_map(value).collect::<BTreeSet<_>>()
    };
    let moment = |text: &str| span::moment(text).unwrap();
    let time = named("@").pop_first().unwrap_or_else(|| NOON.to_owned());
    let now = moment(&time).0;
    let action = named("do=")
        .pop_first()
        .unwrap_or_else(|| "open".to_owned());
    let action = Action::ALL.into_iter().find(|one| one.name() == action);
    let day = |day: String| {
        let (first, after) = moment(&day);
        (first, after - 1)
    };
    let request = Request {
        member: words[0].to_owned(),
        practitioner: named("by=")
            .pop_first()
            .map(|id| format!("Practitioner/{id}")),
        patient: named("own=").pop_first(),
        purpose: words[1].to_owned(),
        now,
        consents_known: true,
        roles: named("role="),
        device: named("device=").pop_first(),
        related: named("related=").pop_first(),
        groups: named("group="),
        action: action.unwrap(),
        emergency: words.contains(&"emergency").then(|| Emergency {
            reason: "ERTREAT".to_owned(),
            from: now,
            until: now + 1,
        }),
        ..Request::default()
    };
    let document = Document {
        home: named("home=")
            .pop_first()
            .unwrap_or_else(|| "hospital".to_owned()),
        patient: Some("p".to_owned()),
        resource_type: words[2].to_owned(),
        codes: named("code="),
        labels: named("label="),
        period: named("on=").pop_first().map(day),
        date: named("written=").pop_first().map(day),
        id: named("id=").pop_first(),
        authors: named("author="),
        related: named("ref="),
    };
    (request, document)
}

/// Each line asks and says what comes out, under consents with these provisions.
fn check(provisions: &[Value], table: &str) {
    let consents: Vec<Consent> = ('a'..)
        .zip(provisions)
        .map(|(id, provision)| read(&format!("hospital/{id}"), &consent(provision)).unwrap())
        .collect();
    check_consents(&consents, table);
}

fn check_consents(consents: &[Consent], table: &str) {
    for consent in consents {
        assert_eq!(check_consent(consent), Ok(()));
    }
    let evaluator = Evaluator::new(consents).unwrap();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (asked, outcome) = line.split_once("=>").unwrap();
        let (request, document) = question(asked);
        let decision = evaluator.decide(&request, &document);
        let expected = match outcome.trim() {
            "permit" => true,
            "deny" => false,
            other => panic!("{other}"),
        };
        assert_eq!(decision.permitted, expected, "{line}: {decision:?}");
    }
}

#[test]
fn a_permit_lets_in_whom_it_names_and_nobody_else() {
    check(
        &[permit(json!({}))],
        "
        clinic  TREAT  Observation           => permit
        payer   TREAT  Observation           => deny
        clinic  HRESCH Observation           => deny
        clinic  HMARKT Observation           => deny
        clinic  TREAT  Observation label=HIV => deny
        clinic  TREAT  Observation own=q     => deny
        clinic  PATRQT Observation own=q     => deny
    ",
    );
    check(&[], "clinic TREAT Observation => deny");
    check(
        &[rule("permit", &["clinic", "payer"], json!({}))],
        "
        clinic     TREAT Observation => permit
        payer      TREAT Observation => permit
        laboratory TREAT Observation => deny
    ",
    );
}

#[test]
fn elements_all_have_to_match_and_repetitions_are_alternatives() {
    let laboratory = json!({
        "purpose": codes(&["TREAT", "HPAYMT"]),
        "class": types(&["Observation", "DiagnosticReport"]),
        "code": [{ "coding": [{ "system": "s", "code": "1" }] }, { "coding": [{ "system": "s", "code": "2" }] }],
        "period": { "start": "2026-06-01", "end": "2026-06-30" },
        "dataPeriod": { "start": "2026-05" },
    });
    check(
        &[permit(laboratory)],
        "
        clinic TREAT  Observation      code=s|1 on=2026-05-01 => permit
        clinic HPAYMT DiagnosticReport code=s|2 on=2026-05-01 => permit
        clinic TREAT  Observation      code=s|1 on=2026-05-01 @2026-06-30T23:59:59.999Z => permit
        clinic TREAT  Observation      code=s|1 on=2026-05-01 @2026-07-01 => deny
        clinic TREAT  Observation      code=s|1 on=2026-05-01 @2026-05-31T23:59:59.999Z => deny
        clinic TREAT  Observation      code=s|1 on=2026-04-30 => deny
        clinic TREAT  Observation      code=s|1 => deny
        clinic TREAT  Observation      code=t|1 on=2026-05-01 => deny
        clinic TREAT  Observation      on=2026-05-01 => deny
        clinic TREAT  Condition        code=s|1 on=2026-05-01 => deny
        clinic HOPERAT Observation     code=s|1 on=2026-05-01 => deny
        payer  TREAT  Observation      code=s|1 on=2026-05-01 => deny
    ",
    );
}

#[test]
fn c4_sensitive_documents_open_only_if_every_label_is_named() {
    check(
        &[permit(json!({ "securityLabel": codes(&["HIV", "PSY"]) }))],
        "
        clinic TREAT Observation label=HIV           => permit
        clinic TREAT Observation label=HIV label=PSY => permit
        clinic TREAT Observation label=HIV label=ETH => deny
        clinic TREAT Observation                     => deny
    ",
    );
}

#[test]
fn marketing_and_research_are_permitted_only_by_name() {
    let research = permit(json!({ "purpose": codes(&["HRESCH"]) }));
    let nested = json!({ "actor": [member("clinic")], "purpose": codes(&["HRESCH"]), "provision": [
        { "type": "permit", "class": types(&["Observation"]) },
    ] });
    for provision in [research, nested] {
        check(
            &[provision],
            "
            clinic HRESCH Observation => permit
            clinic HMARKT Observation => deny
            clinic TREAT  Observation => deny
        ",
        );
    }
}

#[test]
fn the_deepest_matching_provision_counts() {
    let permit_but = permit(json!({ "provision": [
        { "type": "deny", "class": types(&["Observation"]), "provision": [
            { "type": "permit", "purpose": codes(&["ETREAT"]) },
        ] },
    ] }));
    check(
        &[permit_but],
        "
        clinic TREAT  Condition   => permit
        clinic TREAT  Observation => deny
        clinic ETREAT Observation => permit
        payer  ETREAT Observation => deny
    ",
    );
    let same_kind_between = rule(
        "deny",
        &[],
        json!({ "provision": [
            { "type": "deny", "class": types(&["Observation"]), "provision": [
                rule("permit", &["clinic"], json!({})),
            ] },
        ] }),
    );
    check(
        &[same_kind_between],
        "
        clinic TREAT Observation => permit
        clinic TREAT Condition   => deny
        payer  TREAT Observation => deny
    ",
    );
    let siblings = permit(json!({ "provision": [
        { "type": "permit", "class": types(&["Observation"]) },
        { "type": "deny", "purpose": codes(&["HPAYMT"]) },
    ] }));
    check(
        &[siblings],
        "
        clinic TREAT  Observation => permit
        clinic HPAYMT Observation => deny
    ",
    );
}

#[test]
fn an_exception_applies_only_where_the_rule_around_it_does() {
    let nobody_sees_hiv_but_the_clinic = rule(
        "deny",
        &[],
        json!({ "securityLabel": codes(&["HIV"]), "provision": [rule("permit", &["clinic"], json!({}))] }),
    );
    check(
        &[
            nobody_sees_hiv_but_the_clinic,
            rule(
                "permit",
                &["payer"],
                json!({ "securityLabel": codes(&["HIV"]) }),
            ),
        ],
        "
        clinic TREAT Observation label=HIV           => permit
        clinic TREAT Observation                     => deny
        clinic TREAT Observation label=HIV label=PSY => deny
        payer  TREAT Observation label=HIV           => deny
    ",
    );
}

#[test]
fn a_rule_that_does_not_decide_itself_lets_one_within_it_decide() {
    let hiv = json!({ "type": "permit", "securityLabel": codes(&["HIV"]) });
    let clinic = rule("permit", &["clinic"], json!({ "provision": [hiv] }));
    check(
        &[rule("deny", &[], json!({ "provision": [clinic] }))],
        "
        clinic TREAT Observation           => permit
        clinic TREAT Observation label=HIV => permit
        clinic TREAT Observation label=PSY => deny
        payer  TREAT Observation label=HIV => deny
    ",
    );
}

#[test]
fn any_deny_wins_over_the_permits_of_other_consents() {
    let deny_conditions = rule("deny", &[], json!({ "class": types(&["Condition"]) }));
    check(
        &[permit(json!({})), deny_conditions.clone()],
        "
        clinic   TREAT  Observation    => permit
        clinic   TREAT  Condition      => deny
        hospital TREAT  Condition      => deny
        hospital TREAT  Observation    => permit
        hospital PATRQT Condition own=p => permit
    ",
    );
    let observations = permit(json!({ "class": types(&["Observation"]) }));
    let immunizations = permit(json!({ "class": types(&["Immunization"]) }));
    check(
        &[observations, immunizations, deny_conditions],
        "
        clinic TREAT Observation  => permit
        clinic TREAT Immunization => permit
        clinic TREAT Condition    => deny
        clinic TREAT Procedure    => deny
    ",
    );
}

#[test]
fn a_deny_of_a_time_keeps_undated_documents_back() {
    let before_june = rule(
        "deny",
        &[],
        json!({ "dataPeriod": { "end": "2026-05-31" } }),
    );
    check(
        &[permit(json!({})), before_june],
        "
        clinic TREAT Observation on=2026-06-01 => permit
        clinic TREAT Observation on=2026-05-31 => deny
        clinic TREAT Observation               => deny
    ",
    );
}

#[test]
fn a_practitioner_is_let_in_at_the_member_that_is_named() {
    let one = json!({ "actor": [member("clinic")], "provision": [
        { "type": "permit", "actor": [practitioner("7")] },
    ] });
    check(
        &[one],
        "
        clinic TREAT Observation by=7 => permit
        clinic TREAT Observation by=8 => deny
        clinic TREAT Observation      => deny
        payer  TREAT Observation by=7 => deny
    ",
    );
    let everybody_but = permit(json!({ "provision": [
        { "type": "deny", "actor": [practitioner("7")] },
    ] }));
    check(
        &[everybody_but],
        "
        clinic TREAT Observation by=7 => deny
        clinic TREAT Observation by=8 => permit
    ",
    );
}

#[test]
fn actions_other_than_opening_permit_and_deny_nothing() {
    let action = |code: &str| json!({ "action": [{ "coding": [{ "code": code }] }] });
    for (code, outcome) in [
        ("access", "permit"),
        ("use", "permit"),
        ("disclose", "permit"),
        ("collect", "deny"),
        ("correct", "deny"),
    ] {
        check(
            &[permit(action(code))],
            &format!("clinic TREAT Observation => {outcome}"),
        );
        let outcome = if outcome == "permit" {
            "deny"
        } else {
            "permit"
        };
        let deny = rule("deny", &[], action(code));
        check(
            &[permit(json!({})), deny],
            &format!("clinic TREAT Observation => {outcome}"),
        );
    }
}

#[test]
fn c1_only_an_active_consent_counts() {
    for (status, outcome) in [
        ("active", "permit"),
        ("draft", "deny"),
        ("proposed", "deny"),
        ("rejected", "deny"),
        ("inactive", "deny"),
        ("entered-in-error", "deny"),
    ] {
        let mut resource = consent(&permit(json!({})));
        resource["status"] = json!(status);
        let consent = read("a", &resource).unwrap();
        assert_eq!(consent.is_active(), status == "active");
        check_consents(
            &[consent],
            &format!("clinic TREAT Observation => {outcome}"),
        );
    }
    let mut deny = consent(&rule("deny", &[], json!({})));
    deny["status"] = json!("inactive");
    let consents = [
        read("a", &consent(&permit(json!({})))).unwrap(),
        read("b", &deny).unwrap(),
    ];
    check_consents(&consents, "clinic TREAT Observation => permit");
    let mut silent = consent(&json!(null));
    silent.as_object_mut().unwrap().remove("provision");
    assert_eq!(policies(&read("a", &silent).unwrap()), []);
    let said = policies(&read("hospital/a", &consent(&permit(json!({})))).unwrap());
    assert_eq!(said.len(), 1);
    let (id, text) = &said[0];
    assert_eq!(id, "consent/hospital/a/1");
    assert!(
        text.contains("permit(") && text.contains("clinic"),
        "{text}"
    );
}
