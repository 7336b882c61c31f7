//! The network's own policies, errors, determining policies and replay. Consents: `consent::tests`.

use ledger::ids::Height;
use serde_json::json;

use super::*;
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
";

fn ask(line: &str) -> (Request, Document) {
    let (mut request, mut document) = question(line);
    let has = |word: &str| line.split_whitespace().any(|one| one == word);
    request.consents_known = !has("unknown");
    if has("directory") {
        document.patient = None;
    }
    (request, document)
}

/// Lines of the table that come out differently under `network`.
fn differing(network: &str) -> Vec<&'static str> {
    let evaluator = Evaluator::prepare(&Base::of(network), None, &[]).unwrap();
    let differs = |line: &&str| {
        let (asked, determining) = line.split_once("=>").unwrap();
        let (request, document) = ask(asked);
        let decision = evaluator.decide(&request, &document);
        let determining: Vec<&str> = determining.split_whitespace().collect();
        let permitted = !determining.is_empty() && determining != ["network/consents-unknown"];
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

#[test]
fn every_condition_of_the_network_policies_is_needed() {
    let mut weakened = 0;
    for policy in NETWORK.split("\n\n") {
        let without = NETWORK.replace(policy, "");
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
            let network = NETWORK.replace(policy, &policy_without);
            // Where the rest does not fit the schema alone, validation refuses it before any decision.
            if Evaluator::prepare(&Base::of(&network), None, &[]).is_ok() {
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
        let evaluator = Evaluator::prepare(&Base::of(&network), None, &[]).unwrap();
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
    let refused = |policy: &str| Evaluator::prepare(&Base::of(policy), None, &[]).unwrap_err();
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
    let reason = |line: &str| decide(line).reason;
    assert_eq!(
        reason("payer TREAT Observation"),
        "no consent in force permits it"
    );
    assert_eq!(
        reason("hospital HMARKT Observation"),
        "no policy permits this purpose or role"
    );
    let unknown = decide("clinic TREAT Observation unknown");
    assert_eq!(
        unknown.determining,
        ["network/consents-unknown"],
        "X3: the permit does not count"
    );
    assert_eq!(
        unknown.reason,
        "the patient's current consents are not known here"
    );
}

struct Recorded {
    consents: Vec<Consent>,
    documents: Vec<Option<Document>>,
    record: DecisionRecord,
}

fn recorded() -> Recorded {
    let consents = vec![one("hospital/1"), deny_of_conditions()];
    let evaluator = Evaluator::new(&consents).unwrap();
    let lines = [
        "clinic TREAT Observation",
        "clinic TREAT Condition",
        "clinic TREAT Observation label=HIV",
    ];
    let asked = lines.map(ask);
    let decisions: Vec<Decision> = asked
        .iter()
        .map(|(request, document)| evaluator.decide(request, document))
        .collect();
    let outcomes: Vec<bool> = decisions
        .iter()
        .map(|decision| decision.permitted)
        .collect();
    assert_eq!(outcomes, [true, false, false]);
    let record = DecisionRecord::of(&evaluator, Height(7), &asked[0].0, &decisions);
    let documents = asked
        .into_iter()
        .map(|(_, document)| Some(document))
        .collect();
    Recorded {
        consents,
        documents,
        record,
    }
}

#[test]
fn p5_a_recorded_decision_replays_to_the_same_outcome() {
    let Recorded {
        mut consents,
        mut documents,
        record,
    } = recorded();
    let record = DecisionRecord::decode(&record.encode()).unwrap();
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Same)
    );
    consents.reverse();
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Same),
        "order says nothing"
    );
    documents[1] = None;
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Erased(vec![1]))
    );
    let mut changed = record;
    changed.rulings[1].permitted = true;
    changed.rulings[2].permitted = true;
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![2])),
        "what is erased does not diverge, and hides nothing"
    );
}

#[test]
fn p5_another_outcome_or_another_reason_diverges_and_is_named() {
    let Recorded {
        consents,
        documents,
        record,
    } = recorded();
    let mut changed = record.clone();
    changed.rulings[1].permitted = true;
    changed.rulings[2].determining = vec!["consent/hospital/1/1".to_owned()];
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![1, 2]))
    );
    let mut changed = record.clone();
    changed.request.purpose = "HMARKT".to_owned();
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![0]))
    );
    let mut changed = record.clone();
    changed.request.consents_known = false;
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![0, 1, 2]))
    );
    let mut labelled = documents;
    labelled[0]
        .as_mut()
        .unwrap()
        .labels
        .insert("HIV".to_owned());
    assert_eq!(
        replay(&record, None, &consents, &labelled),
        Ok(Replay::Diverged(vec![0]))
    );
}

#[test]
fn p5_other_rules_consents_or_documents_are_told_apart_from_divergence() {
    let Recorded {
        mut consents,
        documents,
        record,
    } = recorded();
    let mut changed = record.clone();
    changed.rules = Digest([0; 32]);
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::OtherInputs)
    );
    assert_eq!(
        replay(&record, None, &consents, &documents[..2]),
        Ok(Replay::OtherInputs)
    );
    assert_eq!(
        replay(&record, None, &consents[..1], &documents),
        Ok(Replay::OtherInputs)
    );
    consents[0].version = 2;
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::OtherInputs)
    );
}

#[test]
fn a_request_stands_in_the_record_as_it_was_asked() {
    let record = recorded().record;
    let (asked, _) = ask("clinic TREAT Observation");
    assert_eq!(record.height, Height(7));
    assert_eq!(record.request.now, asked.now);
    assert_eq!(
        (record.request.member, record.request.purpose),
        (asked.member, asked.purpose)
    );
    let mut bytes = recorded().record.encode();
    bytes.push(0);
    assert!(DecisionRecord::decode(&bytes).is_err());
}

#[test]
fn documents_do_not_show_in_debug_output() {
    let (_, document) = ask("clinic TREAT Observation code=s|secret label=secret");
    assert!(!format!("{document:?}").contains("secret"));
}

/// A forbid of a purpose, and a permit that no consent stands behind.
const VOTED: &str = "
    @id(\"no-payment\") forbid (principal, action, resource) when { context.purpose == \"HPAYMT\" };
    @id(\"research\") permit (principal, action, resource) when { context.purpose == \"HRESCH\" };
";

#[test]
fn what_members_vote_forbids_and_names_itself() {
    let voted = Voted::of(VOTED);
    let evaluator = Evaluator::governed(Some(&voted), &[one("hospital/1")]).unwrap();
    let decide = |line: &str| {
        let (request, document) = ask(line);
        evaluator.decide(&request, &document)
    };
    let forbidden = decide("hospital HPAYMT Observation");
    assert!(!forbidden.permitted);
    assert_eq!(forbidden.determining, ["voted/no-payment"]);
    assert_eq!(forbidden.reason, "the network's members have forbidden it");
    assert!(decide("hospital TREAT Observation").permitted);
    assert!(decide("clinic TREAT Observation").permitted, "by consent");
    let both = decide("clinic HPAYMT Observation");
    assert_eq!(both.determining, ["voted/no-payment"], "forbid wins");
}

#[test]
fn x3_a_vote_permits_at_home_and_replaces_no_consent() {
    let voted = Voted::of(VOTED);
    let evaluator = Evaluator::governed(Some(&voted), &[]).unwrap();
    let decide = |line: &str| {
        let (request, document) = ask(line);
        evaluator.decide(&request, &document)
    };
    let home = decide("hospital HRESCH Observation");
    assert_eq!(
        (home.permitted, home.determining),
        (true, vec!["voted/research".to_owned()])
    );
    let elsewhere = decide("clinic HRESCH Observation");
    assert_eq!(
        (elsewhere.permitted, elsewhere.determining),
        (false, vec![])
    );
    assert_eq!(elsewhere.reason, "no consent in force permits it");
    let unknown = decide("clinic HRESCH Observation unknown");
    assert_eq!(unknown.determining, ["network/consents-unknown"]);
}

#[test]
fn x2_an_error_in_a_voted_policy_denies() {
    let overflow = "@id(\"overflow\") forbid (principal, action, resource)
        when { context.now + 9223372036854775807 > 0 };";
    assert_eq!(check_policies(overflow), Ok(()), "it fits the schema");
    let voted = Voted::of(overflow);
    let (request, document) = ask("hospital TREAT Observation");
    let evaluator = Evaluator::governed(Some(&voted), &[]).unwrap();
    assert!(!evaluator.decide(&request, &document).permitted);
    let unreadable = Voted::of("permit (");
    assert!(Evaluator::governed(Some(&unreadable), &[]).is_err());
    let denying = Evaluator::denying(&unreadable, &[]);
    assert!(!denying.decide(&request, &document).permitted);
    assert_eq!(denying.voted(), Some(unreadable.digest()));
}

#[test]
fn voted_policies_have_ids_of_their_own_and_no_templates() {
    let permit = |id: &str| format!("@id(\"{id}\") permit (principal, action, resource);");
    // These names are the built-in policies' and the patients'; with a prefix they are others.
    for id in ["network/own-care", "consent/hospital/1/1"] {
        assert_eq!(check_policies(&permit(id)), Ok(()));
        let voted = Voted::of(&permit(id));
        let evaluator = Evaluator::governed(Some(&voted), &[one("hospital/1")]).unwrap();
        let (request, document) = ask("payer HMARKT Observation");
        assert!(!evaluator.decide(&request, &document).permitted, "{id}");
    }
    let twice = [permit("a"), permit("a")].concat();
    assert!(check_policies(&twice).is_err());
    assert!(check_policies("permit (principal, action, resource);").is_err());
    let template = "@id(\"t\") permit (principal == ?principal, action, resource);";
    assert!(check_policies(template).is_err());
    assert_eq!(
        check_policies(""),
        Ok(()),
        "an empty text takes policies back"
    );
}

#[test]
fn p5_a_decision_by_voted_policies_replays_with_their_text_alone() {
    let (request, document) = ask("hospital HPAYMT Observation");
    let voted = Voted::of(VOTED);
    let evaluator = Evaluator::governed(Some(&voted), &[]).unwrap();
    let decision = evaluator.decide(&request, &document);
    let record = DecisionRecord::of(&evaluator, Height(7), &request, &[decision]);
    let record = DecisionRecord::decode(&record.encode()).unwrap();
    let documents = [Some(document)];
    let again = |voted| replay(&record, voted, &[], &documents);
    assert_eq!(again(Some(VOTED)), Ok(Replay::Same));
    let missing = Ok(Replay::PoliciesMissing(digest_of(VOTED)));
    assert_eq!(again(None), missing);
    assert_eq!(again(Some("")), missing, "another text is not theirs");
    let mut forged = record.clone();
    forged.rulings[0].permitted = true;
    let replayed = replay(&forged, Some(VOTED), &[], &documents);
    assert_eq!(replayed, Ok(Replay::Diverged(vec![0])));
}

#[test]
fn built_in_policies_look_at_a_documents_home_and_patient_alone() {
    let seen = NETWORK.match_indices("resource");
    for (at, word) in seen {
        let rest = &NETWORK[at + word.len()..];
        let rest = rest.trim_start_matches([' ', '.']);
        let is_known = ["home", "patient", "has patient", ")"]
            .iter()
            .any(|known| rest.starts_with(known));
        assert!(
            is_known,
            "resource {}",
            rest.lines().next().unwrap_or_default()
        );
    }
    assert!(Evaluator::new(&[]).unwrap().is_uniform());
}
