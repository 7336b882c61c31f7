//! What members vote, beside what is built in.

use super::*;

/// A forbid of a purpose, and a permit that no consent stands behind.
pub(super) const VOTED: &str = "
    @id(\"no-payment\") forbid (principal, action, resource) when { context.purpose == \"HPAYMT\" };
    @id(\"research\") permit (principal, action, resource) when { context.purpose == \"HRESCH\" };
";

#[test]
fn what_members_vote_forbids_and_names_itself() {
    let voted = Voted::of(VOTED);
    let evaluator =
        Evaluator::governed(Some(&voted), Implicit::default(), &[one("hospital/1")]).unwrap();
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
    let evaluator = Evaluator::governed(Some(&voted), Implicit::default(), &[]).unwrap();
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
    let evaluator = Evaluator::governed(Some(&voted), Implicit::default(), &[]).unwrap();
    assert!(!evaluator.decide(&request, &document).permitted);
    let unreadable = Voted::of("permit (");
    assert!(Evaluator::governed(Some(&unreadable), Implicit::default(), &[]).is_err());
    let denying = Evaluator::denying(&unreadable, Implicit::default(), &[]);
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
        let evaluator =
            Evaluator::governed(Some(&voted), Implicit::default(), &[one("hospital/1")]).unwrap();
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
    let evaluator = Evaluator::governed(Some(&voted), Implicit::default(), &[]).unwrap();
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
fn x1_a_vote_may_look_at_every_attribute_that_the_schema_has() {
    let rows = [
        ("principal has role && principal.role == \"nurse\"", "by=7"),
        (
            "principal has device && principal.device == \"Device/1\"",
            "device=Device/1",
        ),
        (
            "principal has related && principal.related == \"RelatedPerson/1\"",
            "related=RelatedPerson/1",
        ),
        (
            "context has emergency && context.emergency.reason == \"ERTREAT\"",
            "by=7 emergency",
        ),
        ("resource.labels.contains(\"HIV\")", "label=HIV"),
        (
            "resource has start && resource has end && resource.start <= resource.end",
            "on=2026-05-01",
        ),
    ];
    for (condition, words) in rows {
        let text =
            format!("@id(\"no\") forbid (principal, action, resource) when {{ {condition} }};");
        let voted = Voted::of(&text);
        let evaluator = Evaluator::governed(Some(&voted), Implicit::default(), &[]).unwrap();
        let (mut request, document) = ask(&format!("hospital TREAT Observation {words}"));
        request.role = condition.contains("role").then(|| "nurse".to_owned());
        let decision = evaluator.decide(&request, &document);
        assert!(
            decision.determining.contains(&"voted/no".to_owned()),
            "{condition}: {decision:?}"
        );
        let (request, document) = ask("hospital TREAT Observation");
        assert!(
            evaluator.decide(&request, &document).permitted,
            "{condition}"
        );
    }
}
