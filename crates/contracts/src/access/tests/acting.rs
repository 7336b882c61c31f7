//! Acting in a patient's place: chains of delegations, their limits and their ends.

use super::*;
use crate::consent::Rejection;

struct Chain {
    consents: Vec<Consent>,
    request: Request,
    document: Document,
}

/// RelatedPerson/1 by the patient, RelatedPerson/2 by the first, RelatedPerson/3 by the second.
fn chain(length: usize, more: &[serde_json::Value]) -> Chain {
    let (mut request, document) = question("hospital PATRQT Observation");
    let mut consents = Vec::new();
    let mut links = Vec::new();
    for at in 1..=length {
        let (id, delegate) = (format!("hospital/d{at}"), format!("RelatedPerson/{at}"));
        let mut limits = more.get(at - 1).cloned().unwrap_or_else(|| json!({}));
        if at > 1 {
            limits["by"] = json!(format!("RelatedPerson/{}", at - 1));
        }
        consents.push(delegating(&id, &delegate, &limits));
        links.push(link(&id, &delegate, Limits::default()));
    }
    request.related = Some(format!("RelatedPerson/{length}"));
    request.on_behalf_of = Some(Delegation {
        patient: "p".to_owned(),
        links,
    });
    Chain {
        consents,
        request,
        document,
    }
}

impl Chain {
    fn held(&self) -> Result<Limits, NotDelegated> {
        let evaluator = Evaluator::new(&self.consents).unwrap();
        let decision = evaluator.decide(&self.request, &self.document);
        let held = evaluator.delegated(&self.request).unwrap();
        if held.is_err() {
            assert!(!decision.permitted);
            assert_eq!(decision.reason, "no delegation in force covers it");
        }
        held
    }

    fn opens(&self) -> bool {
        let evaluator = Evaluator::new(&self.consents).unwrap();
        evaluator.decide(&self.request, &self.document).permitted
    }

    fn links(&mut self) -> &mut Vec<Link> {
        &mut self.request.on_behalf_of.as_mut().unwrap().links
    }
}

#[test]
fn x6_a_chain_has_up_to_three_links() {
    for length in 1..=3 {
        assert!(chain(length, &[]).opens(), "{length}");
    }
    assert_eq!(chain(4, &[]).held(), Err(NotDelegated::ChainLength));
    let mut empty = chain(1, &[]);
    empty.links().clear();
    assert_eq!(empty.held(), Err(NotDelegated::ChainLength));
}

#[test]
fn x6_a_chain_does_not_come_back_and_ends_with_who_asks() {
    let mut cyclic = chain(2, &[]);
    cyclic.links()[1].delegate = "RelatedPerson/1".to_owned();
    assert_eq!(cyclic.held(), Err(NotDelegated::Cyclic));
    let mut to_the_patient = chain(2, &[]);
    to_the_patient.links()[0].delegate = "Patient/p".to_owned();
    assert_eq!(to_the_patient.held(), Err(NotDelegated::Cyclic));
    let mut other = chain(2, &[]);
    other.request.related = Some("RelatedPerson/1".to_owned());
    assert_eq!(other.held(), Err(NotDelegated::NotTheDelegate));
}

#[test]
fn x6_every_link_is_granted_by_a_consent_in_force() {
    let mut missing = chain(2, &[]);
    missing.consents.pop();
    assert_eq!(missing.held(), Err(NotDelegated::NotGranted));
    let mut withdrawn = chain(2, &[]);
    withdrawn.consents[0].status = crate::consent::Status::Inactive;
    assert_eq!(withdrawn.held(), Err(NotDelegated::NotGranted));
    let mut older = chain(1, &[]);
    older.links()[0].consent.version = 2;
    assert_eq!(older.held(), Err(NotDelegated::NotGranted));
    let mut elsewhere = chain(1, &[]);
    elsewhere.request.member = "clinic".to_owned();
    assert_eq!(
        elsewhere.held(),
        Err(NotDelegated::NotGranted),
        "the person is of another member"
    );
    let mut jumped = chain(2, &[]);
    jumped.links().remove(0);
    assert_eq!(
        jumped.held(),
        Err(NotDelegated::NotGranted),
        "the patient has not granted it"
    );
    let mut by_nobody = chain(2, &[]);
    by_nobody.consents[1].performers = BTreeSet::from(["RelatedPerson/9".to_owned()]);
    assert_eq!(by_nobody.held(), Err(NotDelegated::NotGranted));
}

#[test]
fn x6_no_link_outlives_or_widens_the_one_before() {
    let year = |year: u32| json!({ "period": { "end": format!("{year}-12-31") } });
    assert!(chain(2, &[year(2026), year(2030)]).opens());
    let ended = chain(2, &[year(2025), year(2030)]);
    assert_eq!(
        ended.held(),
        Err(NotDelegated::NotInForce),
        "the delegator's time is over"
    );
    let later = chain(1, &[json!({ "period": { "start": "2027" } })]);
    assert_eq!(later.held(), Err(NotDelegated::NotInForce));
    let types = |kind: &str| json!({ "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": kind }] });
    assert!(chain(2, &[types("Observation"), json!({})]).opens());
    assert!(!chain(2, &[types("Condition"), types("Observation")]).opens());
    let purpose = |code: &str| json!({ "purpose": [{ "code": code }] });
    assert!(chain(1, &[purpose("PATRQT")]).opens());
    assert_eq!(
        chain(1, &[purpose("FAMRQT")]).held(),
        Err(NotDelegated::PurposeNotDelegated)
    );
    let action = |code: &str| json!({ "action": [{ "coding": [{ "code": code }] }] });
    assert!(chain(1, &[action("access")]).opens());
    assert_eq!(
        chain(1, &[action("correct")]).held(),
        Err(NotDelegated::ActionNotDelegated)
    );
    let mut claimed = chain(1, &[]);
    claimed.links()[0].limits.until = Some(claimed.request.now);
    assert_eq!(
        claimed.held(),
        Err(NotDelegated::NotInForce),
        "what the request says narrows"
    );
}

#[test]
fn x6_labels_are_those_that_every_link_names() {
    let labels = |code: &str| json!({ "securityLabel": [{ "code": code }] });
    let asked = |mut chain: Chain, labels: &[&str]| {
        chain.document.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        chain.opens()
    };
    assert!(
        asked(chain(1, &[]), &["HIV", "R"]),
        "the patient sees everything"
    );
    assert!(asked(chain(1, &[labels("ETH")]), &["OPIOIDUD", "R"]));
    assert!(asked(chain(1, &[labels("ETH")]), &[]));
    assert!(!asked(chain(1, &[labels("ETH")]), &["HIV", "R"]));
    assert!(!asked(chain(1, &[labels("N")]), &["R"]));
    assert!(!asked(
        chain(2, &[labels("ETH"), labels("HIV")]),
        &["HIV", "R"]
    ));
}

#[test]
fn a_parents_delegation_ends_with_majority_and_leaves_what_minors_keep_to_themselves() {
    let parent = |more: serde_json::Value| {
        let mut limits = json!({ "parent": true, "period": { "end": "2026-05-31" } });
        for (name, value) in more.as_object().unwrap() {
            limits[name] = value.clone();
        }
        let mut chain = chain(1, &[limits]);
        chain.request.now -= 40 * 86_400_000;
        chain
    };
    let mut before = parent(json!({}));
    assert!(before.opens());
    before.document.labels = BTreeSet::from(["ADOL".to_owned()]);
    assert!(!before.opens(), "not named");
    let mut named = parent(json!({ "securityLabel": [{ "code": "ADOL" }] }));
    named.document.labels = BTreeSet::from(["ADOL".to_owned(), "R".to_owned()]);
    assert!(named.opens());
    let mut of_age = parent(json!({}));
    of_age.request.now += 40 * 86_400_000;
    assert_eq!(of_age.held(), Err(NotDelegated::NotInForce));
    let endless = json!({ "type": "permit", "actor": [{
        "role": { "coding": [{ "code": "MTH" }] }, "reference": { "reference": "RelatedPerson/1" } }] });
    let refusal = read("hospital/1", &consent(&endless)).unwrap_err();
    assert_eq!(refusal.element(), "Consent.provision.period");
}

#[test]
fn a_delegation_says_nothing_that_a_request_cannot_be_held_against() {
    let delegation = |more: serde_json::Value| {
        let mut provision = json!({ "type": "permit", "actor": [{
            "role": { "coding": [{ "code": "POWATT" }] }, "reference": { "reference": "RelatedPerson/1" } }] });
        for (name, value) in more.as_object().unwrap() {
            provision[name] = value.clone();
        }
        provision
    };
    let refused = |provision: serde_json::Value, element: &str| {
        let refusal = read("hospital/1", &consent(&provision)).unwrap_err();
        assert_eq!(refusal.element(), format!("Consent.provision{element}"));
    };
    refused(delegation(json!({ "type": "deny" })), ".actor");
    refused(
        delegation(json!({ "code": [{ "coding": [{ "code": "c" }] }] })),
        ".code",
    );
    refused(
        delegation(json!({ "dataPeriod": { "end": "2026" } })),
        ".dataPeriod",
    );
    refused(delegation(json!({ "provision": [] })), ".provision");
    let document = json!([{ "system": "http://loinc.org", "code": "1-1" }]);
    refused(delegation(json!({ "class": document })), ".class");
    let within = |around: serde_json::Value| {
        let mut around = around;
        around["provision"] = json!([delegation(json!({}))]);
        around
    };
    assert!(read("hospital/1", &consent(&within(json!({})))).is_ok());
    refused(within(json!({ "type": "deny" })), ".provision.actor");
    refused(
        within(json!({ "purpose": [{ "code": "TREAT" }] })),
        ".provision.actor",
    );
    let mut unknown = consent(&delegation(json!({})));
    unknown["performer"] = json!([{ "display": "somebody" }]);
    assert_eq!(
        read("hospital/1", &unknown).unwrap_err().element(),
        "Consent.performer"
    );
}

#[test]
fn who_acts_is_kept_out_by_name_alone_and_is_no_staff() {
    let deny = |actor: serde_json::Value| {
        let mut provision = json!({ "type": "deny" });
        if actor.is_array() {
            provision["actor"] = actor;
        }
        read("hospital/deny", &consent(&provision)).unwrap()
    };
    let mut kept_out = chain(1, &[]);
    kept_out.consents.push(deny(json!(null)));
    assert!(
        kept_out.opens(),
        "a deny of everybody is not of the patient"
    );
    kept_out.consents.pop();
    let person = json!([{ "role": { "coding": [{ "code": "IRCP" }] }, "reference": { "reference": "RelatedPerson/1" } }]);
    kept_out.consents.push(deny(person));
    assert!(!kept_out.opens());
    let mut care = chain(1, &[]);
    care.request.purpose = "TREAT".to_owned();
    care.request.practitioner = Some("Practitioner/7".to_owned());
    assert!(!care.opens());
}

#[test]
fn part2_5_an_emergency_opens_from_when_it_was_declared_until_it_ends() {
    let evaluator = Evaluator::new(&[]).unwrap();
    let (mut request, document) = ask("clinic TREAT Observation by=7");
    let now = request.now;
    for (from, until, opens) in [
        (now, now + 1, true),
        (now - 1, now, false),
        (now + 1, now + 2, false),
    ] {
        request.emergency = Some(Emergency {
            reason: "x".to_owned(),
            from,
            until,
        });
        let decision = evaluator.decide(&request, &document);
        assert_eq!(decision.permitted, opens, "{:?}", decision.determining);
    }
}

#[test]
fn p5_who_acted_in_an_emergency_or_for_a_patient_stands_in_the_record() {
    let Chain {
        consents,
        mut request,
        document,
    } = chain(2, &[]);
    request.roles = BTreeSet::from(["s|carer".to_owned()]);
    request.groups = BTreeSet::from(["Group/1".to_owned()]);
    request.device = Some("Device/1".to_owned());
    request.emergency = Some(Emergency {
        reason: "x".to_owned(),
        from: 0,
        until: 1,
    });
    for implicit in Implicit::ALL {
        let evaluator = Evaluator::governed(None, implicit, &consents).unwrap();
        let decision = evaluator.decide(&request, &document);
        assert_eq!(decision.determining, ["network/delegated"]);
        let record = DecisionRecord::of(&evaluator, Height(7), &request, &[decision]);
        let record = DecisionRecord::decode(&record.encode()).unwrap();
        assert_eq!(record.implicit.unwrap_or_default(), implicit);
        assert_eq!(record.request.on_behalf_of, request.on_behalf_of);
        assert_eq!(record.request.emergency, request.emergency);
        let documents = [Some(document.clone())];
        assert_eq!(
            replay(&record, None, &consents, &documents),
            Ok(Replay::Same)
        );
        let mut changed = record.clone();
        changed.request.related = None;
        assert_eq!(
            replay(&changed, None, &consents, &documents),
            Ok(Replay::Diverged(vec![0]))
        );
    }
}

#[test]
fn only_a_delegation_has_to_say_by_reference_who_gives_it() {
    let unnamed = |provision: &serde_json::Value| {
        let mut resource = consent(provision);
        resource["performer"] = json!([{ "display": "the patient's mother" }]);
        read("a", &resource).map(|_| ())
    };
    let delegate = json!({ "type": "permit", "actor": [{
        "role": { "coding": [{ "code": "POWATT" }] },
        "reference": { "reference": "RelatedPerson/1" },
    }] });
    let refused = Rejection::CannotEnforce("Consent.performer".to_owned());
    assert_eq!(unnamed(&delegate), Err(refused));
    assert_eq!(unnamed(&permit()), Ok(()));
}
