//! The network's own policies, errors and determining policies. Consents: `consent::tests`.

use std::collections::BTreeSet;

use ledger::ids::Height;
use serde_json::json;

use super::*;

mod acting;
mod implicit;
mod reasons;
mod replays;
mod voted_policies;
mod writing;

use crate::consent::tests::{consent, question, read};

/// Every line asks and says what comes out; `unknown` stands for consents that are not known, `directory` for a
/// document of no patient.
const TABLE: &str = "
    hospital TREAT   Observation => network/own-care
    hospital ETREAT  Observation => network/own-care
    hospital CAREMGT Observation => network/own-care
    hospital HPAYMT  Observation => network/own-care
    hospital HOPERAT Observation => network/own-care
    hospital HRESCH  Observation =>
    hospital HMARKT  Observation =>
    hospital PATRQT  Observation =>
    hospital TREAT   Observation unknown => network/own-care
    hospital TREAT   Observation own=q   =>
    clinic   TREAT   Observation =>
    clinic   TREAT   Observation unknown => network/consents-unknown
    hospital PATRQT  Observation own=p   => network/own-record
    clinic   PATRQT  Observation own=p   =>
    clinic   PATRQT  Observation own=p unknown => network/consents-unknown
    hospital PATRQT  Observation own=q   =>
    hospital HMARKT  Observation own=p   =>
    clinic   TREAT   Practitioner directory => network/directory
    clinic   HMARKT  Practitioner directory => network/directory
    clinic   TREAT   Practitioner directory unknown => network/directory
    clinic   PATRQT  Practitioner directory own=q => network/directory
    hospital TREAT   Observation related=RelatedPerson/1 =>
    hospital TREAT   Observation do=correct => network/own-care
    hospital TREAT   Observation do=collect => network/own-care
    clinic   TREAT   Observation do=correct =>
    clinic   TREAT   Observation do=correct unknown => network/consents-unknown
    hospital TREAT   Practitioner do=correct directory => network/own-care
    clinic   TREAT   Practitioner do=correct directory =>
    hospital PATRQT  Observation own=p do=correct =>
    clinic   TREAT   Observation by=7 emergency => network/break-glass
    clinic   ETREAT  Observation by=7 emergency => network/break-glass
    clinic   BTG     Observation by=7 emergency => network/break-glass
    clinic   BTG     Observation by=7 emergency unknown => network/break-glass
    clinic   BTG     Observation by=7 emergency do=correct =>
    hospital BTG     Observation by=7 emergency => network/break-glass
    clinic   BTG     Practitioner by=7 emergency directory => network/directory
    clinic   BTG     Practitioner by=7 directory => network/directory
    clinic   BTG     Observation by=7 => network/undeclared-emergency
    hospital BTG     Observation by=7 do=correct => network/undeclared-emergency
    clinic   BTG     Observation emergency => network/undeclared-emergency
    clinic   TREAT   Observation emergency =>
    clinic   HRESCH  Observation by=7 emergency =>
    clinic   HMARKT  Observation by=7 emergency =>
    clinic   HPAYMT  Observation by=7 emergency =>
    clinic   TREAT   Observation by=7 emergency own=p =>
    clinic   TREAT   Observation by=7 emergency related=RelatedPerson/1 =>
    hospital PATRQT  Observation for=p => network/delegated
    hospital FAMRQT  Observation for=p => network/delegated
    hospital TREAT   Observation for=p =>
    hospital PATRQT  Observation for=p do=correct =>
    hospital PATRQT  Observation for=q =>
    hospital PATRQT  Observation for=p home=clinic =>
    hospital PATRQT  Observation for=p own=p label=R => network/delegated
    hospital PATRQT  Observation own=p for=q =>
    hospital PATRQT  Practitioner for=p directory => network/directory
    hospital PATRQT  Observation for=p only=Observation => network/delegated
    hospital PATRQT  Observation for=p only=Condition =>
    hospital PATRQT  Observation for=p sees=HIV => network/delegated
    hospital PATRQT  Observation for=p sees=HIV label=HIV => network/delegated
    hospital PATRQT  Observation for=p sees=HIV label=PSY =>
    hospital PATRQT  Observation for=p label=PSY => network/delegated
    hospital PATRQT  Observation for=p label=ADOL => network/delegated
    hospital PATRQT  Observation for=p label=ADOL parent =>
    hospital PATRQT  Observation for=p label=ADOL parent sees=ADOL => network/delegated
    hospital PATRQT  Observation for=p label=PSY parent => network/delegated
";

fn ask(line: &str) -> (Request, Document) {
    let (mut request, mut document) = question(line);
    let has = |word: &str| line.split_whitespace().any(|one| one == word);
    request.consents_known = !has("unknown");
    if has("directory") {
        document.patient = None;
    }
    let named = |name: &str| {
        let value = |word: &str| word.strip_prefix(name).map(str::to_owned);
        let values: BTreeSet<String> = line.split_whitespace().filter_map(value).collect();
        (!values.is_empty()).then_some(values)
    };
    if let Some(patient) = named("for=").and_then(|mut all| all.pop_first()) {
        let limits = Limits {
            types: named("only="),
            labels: named("sees="),
            majority: has("parent").then_some(i64::MAX),
            ..Limits::default()
        };
        request.related = Some("RelatedPerson/1".to_owned());
        request.on_behalf_of = Some(Delegation {
            patient,
            links: vec![link("hospital/delegates", "RelatedPerson/1", limits)],
        });
    }
    (request, document)
}

pub(crate) fn link(consent: &str, delegate: &str, limits: Limits) -> Link {
    Link {
        consent: HeadRef {
            id: consent.to_owned(),
            version: 1,
        },
        delegate: delegate.to_owned(),
        limits,
    }
}

/// A consent by which somebody acts in the patient's place.
pub(crate) fn delegating(id: &str, delegate: &str, more: &serde_json::Value) -> Consent {
    let code = if more.get("parent").is_some() {
        "MTH"
    } else {
        "POWATT"
    };
    let mut provision = json!({ "type": "permit", "actor": [{
        "role": { "coding": [{ "code": code }] },
        "reference": { "reference": delegate },
    }] });
    for (name, value) in more.as_object().unwrap() {
        if name != "parent" && name != "by" {
            provision[name] = value.clone();
        }
    }
    let mut resource = consent(&provision);
    if let Some(by) = more.get("by") {
        resource["performer"] = json!([{ "reference": by }]);
    }
    read(id, &resource).unwrap()
}

/// Lines of the table that come out differently under `network`.
fn differing(network: &str) -> Vec<&'static str> {
    let consents = [delegating(
        "hospital/delegates",
        "RelatedPerson/1",
        &json!({}),
    )];
    let base = Base::of(network);
    let evaluator = Evaluator::prepare(&base, None, Implicit::default(), &consents).unwrap();
    let differs = |line: &&str| {
        let (asked, determining) = line.split_once("=>").unwrap();
        let (request, document) = ask(asked);
        let decision = evaluator.decide(&request, &document);
        let determining: Vec<&str> = determining.split_whitespace().collect();
        let forbids = ["network/consents-unknown", "network/undeclared-emergency"];
        let permitted = determining.iter().any(|one| !forbids.contains(one));
        decision.permitted != permitted || decision.determining != determining
    };
    TABLE
        .lines()
        .filter(|line| line.contains("=>"))
        .filter(differs)
        .collect()
}

#[test]
fn the_network_permits_this_and_nothing_else() {
    assert_eq!(differing(NETWORK), [""; 0]);
}

/// The network's policies, shown to every request.
fn unsliced() -> String {
    let lines = NETWORK.lines().filter(|line| !line.starts_with("@only"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_policy_that_names_no_known_circumstance_is_refused() {
    let network = NETWORK.replace("@only(\"staff\")", "@only(\"sometimes\")");
    let refused = Evaluator::prepare(&Base::of(&network), None, Implicit::default(), &[]);
    let invalid = AccessError::PolicyInvalid("network.cedar".to_owned());
    assert_eq!(refused.unwrap_err(), invalid);
}

#[test]
fn every_condition_of_the_network_policies_is_needed() {
    let mut weakened = 0;
    let whole = unsliced();
    assert_eq!(differing(&whole), [""; 0]);
    for policy in whole.split("\n\n") {
        let without = whole.replace(policy, "");
        assert_ne!(differing(&without), [""; 0], "{policy}");
        let (head, body) = policy.split_once("when {").unwrap();
        let conditions: Vec<&str> = body.split_once('}').unwrap().0.split("&&").collect();
        for gone in 0..conditions.len() {
            let rest = conditions.iter().enumerate().filter(|(at, _)| *at != gone);
            let rest: Vec<&str> = rest.map(|(_, one)| *one).collect();
            let rest = if rest.is_empty() {
                "true".to_owned()
            } else {
                rest.join("&&")
            };
            let policy_without = format!("{head}when {{ {rest} }};");
            let network = whole.replace(policy, &policy_without);
            // Where the rest does not fit the schema alone, validation refuses it before any decision.
            if Evaluator::prepare(&Base::of(&network), None, Implicit::default(), &[]).is_ok() {
                assert_ne!(differing(&network), [""; 0], "without {}", conditions[gone]);
                weakened += 1;
            }
        }
    }
    assert!(weakened >= 8, "{weakened}");
    for purpose in ["TREAT", "ETREAT", "CAREMGT", "HPAYMT", "HOPERAT"] {
        let network = NETWORK.replace(&format!("\"{purpose}\""), "\"NONE\"");
        assert_ne!(differing(&network), [""; 0], "without {purpose}");
    }
}

#[test]
fn x2_an_error_in_any_policy_denies() {
    let overflow =
        "@id(\"network/overflow\") EFFECT (principal, action == Action::\"open\", resource)
        when { context.now + 9223372036854775807 > 0 };";
    for effect in ["permit", "forbid"] {
        let network = format!("{NETWORK}\n{}", overflow.replace("EFFECT", effect));
        let evaluator =
            Evaluator::prepare(&Base::of(&network), None, Implicit::default(), &[]).unwrap();
        let (mut request, document) = ask("hospital TREAT Observation");
        let decision = evaluator.decide(&request, &document);
        assert!(!decision.permitted, "an erroring {effect} must deny");
        assert_eq!(decision.determining, [""; 0]);
        assert_eq!(decision.reason, "the request cannot be evaluated");
        request.now = 0;
        assert_eq!(
            evaluator.decide(&request, &document).permitted,
            effect == "permit"
        );
    }
}

#[test]
fn policies_that_do_not_fit_the_schema_are_refused_by_id() {
    let refused = |policy: &str| {
        Evaluator::prepare(&Base::of(policy), None, Implicit::default(), &[]).unwrap_err()
    };
    let invalid = |id: &str| AccessError::PolicyInvalid(id.to_owned());
    assert_eq!(
        refused("permit (principal, action, resource"),
        invalid("network.cedar")
    );
    assert_eq!(
        refused("permit (principal, action, resource);"),
        invalid("network.cedar")
    );
    let unknown = "@id(\"a\") permit (principal, action, resource) when { principal.age > 3 };";
    assert_eq!(refused(unknown), invalid("a"));
    let optional =
        "@id(\"b\") permit (principal, action, resource) when { principal.role == \"x\" };";
    assert_eq!(refused(optional), invalid("b"));
    let twice = [one("a"), one("a")];
    assert_eq!(Evaluator::new(&twice).unwrap_err(), invalid("consent/a/1"));
}

fn one(id: &str) -> Consent {
    read(id, &consent(&permit())).unwrap()
}

fn permit() -> serde_json::Value {
    json!({ "type": "permit", "actor": [actor("clinic")] })
}

fn actor(name: &str) -> serde_json::Value {
    json!({
        "role": { "coding": [{ "code": "IRCP" }] },
        "reference": { "identifier": { "system": crate::consent::MEMBER_SYSTEM, "value": name } },
    })
}

fn deny_of_conditions() -> Consent {
    let class = json!([{ "system": "http://hl7.org/fhir/resource-types", "code": "Condition" }]);
    let payer = json!({ "type": "deny", "actor": [actor("payer")] });
    let provision = json!({ "type": "deny", "class": class, "provision": [payer] });
    read("hospital/deny", &consent(&provision)).unwrap()
}

#[test]
fn x4_the_answer_names_what_determined_it_and_why() {
    let evaluator =
        Evaluator::new(&[one("hospital/1"), one("clinic/2"), deny_of_conditions()]).unwrap();
    let decide = |line: &str| {
        let (request, document) = ask(line);
        evaluator.decide(&request, &document)
    };
    let permitted = decide("clinic TREAT Observation");
    assert_eq!(
        permitted.determining,
        ["consent/clinic/2/1", "consent/hospital/1/1"]
    );
    assert_eq!((permitted.permitted, permitted.reason), (true, "permitted"));
    let denied = decide("clinic TREAT Condition");
    assert_eq!(denied.determining, ["consent/hospital/deny/1"]);
    assert_eq!(
        (denied.permitted, denied.reason),
        (false, "the patient denies it")
    );
    let nested = decide("payer TREAT Condition");
    assert_eq!(
        nested.determining,
        ["consent/hospital/deny/1/0"],
        "the deepest rule is named"
    );
}

#[test]
fn documents_do_not_show_in_debug_output() {
    let (_, document) = ask("clinic TREAT Observation code=s|secret label=secret");
    assert!(!format!("{document:?}").contains("secret"));
}

#[test]
fn a_uniform_outcome_is_one_that_looks_at_a_documents_home_and_patient_alone() {
    let closer = NETWORK.find("@id(\"network/delegated\")").unwrap();
    let until = NETWORK.find("@id(\"network/directory\")").unwrap();
    for part in [&NETWORK[..closer], &NETWORK[until..]] {
        for (at, word) in part.match_indices("resource") {
            let rest = part[at + word.len()..].trim_start_matches([' ', '.']);
            let known = ["home", "patient", "has patient", ")"];
            let is_known = known.iter().any(|known| rest.starts_with(known));
            assert!(is_known, "resource {}", rest.lines().next().unwrap());
        }
    }
    let (request, _) = ask("hospital PATRQT Observation own=p");
    let (acting, _) = ask("hospital PATRQT Observation for=p");
    for implicit in Implicit::ALL {
        let evaluator = Evaluator::governed(None, implicit, &[]).unwrap();
        let looks_closer = [Implicit::AllNormal, Implicit::BasicNormal].contains(&implicit);
        assert_eq!(evaluator.is_uniform(&request), !looks_closer);
        assert!(!evaluator.is_uniform(&acting));
    }
    let voted = Voted::of(voted_policies::VOTED);
    let governed = Evaluator::governed(Some(&voted), Implicit::Deny, &[]).unwrap();
    assert!(!governed.is_uniform(&request));
    let heads = Evaluator::new(&[one("hospital/1")]).unwrap();
    assert!(!heads.is_uniform(&request));
}
