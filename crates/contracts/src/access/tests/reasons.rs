//! What a decision says of why it came out as it did (X4).

use super::*;

fn decided(implicit: Implicit, line: &str) -> Decision {
    let consents = [one("hospital/1"), deny_of_conditions()];
    let evaluator = Evaluator::governed(None, implicit, &consents).unwrap();
    let (request, document) = ask(line);
    evaluator.decide(&request, &document)
}

#[test]
fn x4_each_denial_says_what_it_rests_on() {
    for (line, reason) in [
        ("clinic TREAT Condition", "the patient denies it"),
        ("payer TREAT Observation", "no consent in force permits it"),
        (
            "hospital HMARKT Observation",
            "no policy permits this purpose or role",
        ),
        (
            "clinic BTG Observation by=7",
            "no emergency was declared for it",
        ),
        (
            "hospital PATRQT Observation for=q",
            "no delegation in force covers it",
        ),
        (
            "clinic TREAT Observation unknown",
            "the patient's current consents are not known here",
        ),
    ] {
        let decision = decided(Implicit::default(), line);
        assert_eq!(
            (decision.permitted, decision.reason),
            (false, reason),
            "{line}"
        );
    }
    let unknown = decided(Implicit::default(), "clinic TREAT Observation unknown");
    assert_eq!(
        unknown.determining,
        ["network/consents-unknown"],
        "X3: the permit does not count"
    );
}

#[test]
fn x4_what_no_patient_said_is_not_laid_at_the_patients_door() {
    let nobody = Evaluator::governed(None, Implicit::Deny, &[]).unwrap();
    let (request, document) = ask("clinic TREAT Observation by=7");
    let decision = nobody.decide(&request, &document);
    assert_eq!(decision.determining, ["implicit/deny"]);
    assert_eq!(decision.reason, "no consent in force permits it");
}
