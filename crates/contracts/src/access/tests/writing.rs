//! Writing, and what keeps a document from it.

use super::voted_policies::VOTED;
use super::*;

/// A consent that keeps a member from an action on observations.
fn keeping(action: &str, status: &str) -> Consent {
    let mut resource = consent(&json!({
        "type": "deny",
        "actor": [{
            "role": { "coding": [{ "code": "IRCP" }] },
            "reference": { "identifier": { "system": "urn:careledger:member", "value": "hospital" } },
        }],
        "action": [{ "coding": [{ "code": action }] }],
        "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }],
    }));
    resource["status"] = json!(status);
    read("hospital/1", &resource).unwrap()
}

fn refused(evaluator: &Evaluator, line: &str) -> Vec<String> {
    let (request, document) = ask(line);
    let refusal = evaluator.refusal(&request, &document);
    refusal.map_or_else(Vec::new, |decision| decision.determining)
}

#[test]
fn x7_what_a_consent_forbids_to_write_is_refused() {
    let evaluator = Evaluator::new(&[keeping("collect", "active")]).unwrap();
    assert!(evaluator.restrains_writing());
    let refusal = refused(&evaluator, "hospital TREAT Observation do=collect");
    assert_eq!(refusal.len(), 1);
    assert!(
        refusal[0].starts_with("consent/hospital/1/1"),
        "{refusal:?}"
    );
    for line in [
        "hospital TREAT Observation do=correct",
        "hospital TREAT Observation",
        "hospital TREAT Condition do=collect",
        "hospital TREAT Practitioner do=collect directory",
    ] {
        assert_eq!(refused(&evaluator, line), [""; 0], "{line}");
    }
    let evaluator = Evaluator::new(&[keeping("correct", "active")]).unwrap();
    assert_eq!(
        refused(&evaluator, "hospital TREAT Observation do=correct").len(),
        1
    );
}

#[test]
fn x7_what_nothing_permits_is_written_as_the_member_decides() {
    let research = "hospital HRESCH Observation do=collect";
    for consents in [
        vec![],
        vec![keeping("access", "active")],
        vec![keeping("collect", "inactive")],
    ] {
        let evaluator = Evaluator::new(&consents).unwrap();
        assert!(!evaluator.restrains_writing());
        let (request, document) = ask(research);
        assert!(!evaluator.decide(&request, &document).permitted);
        assert_eq!(refused(&evaluator, research), [""; 0]);
    }
}

#[test]
fn x7_what_members_vote_keeps_documents_from_being_written() {
    let voted = Voted::of(VOTED);
    let evaluator = Evaluator::governed(Some(&voted), Implicit::default(), &[]).unwrap();
    assert!(evaluator.restrains_writing());
    let payment = refused(&evaluator, "hospital HPAYMT Observation do=collect");
    assert_eq!(payment, ["voted/no-payment"]);
    assert_eq!(
        refused(&evaluator, "hospital TREAT Observation do=collect"),
        [""; 0]
    );
}
