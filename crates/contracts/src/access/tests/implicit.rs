//! The implicit policies, and what built-in policies name.

use super::*;

#[test]
fn ihe_pcf_4_one_implicit_policy_counts_where_no_consent_was_found() {
    let table = [
        ("clinic TREAT Observation by=7", [false, true, true, false]),
        ("clinic TREAT Observation", [false, false, true, false]),
        (
            "clinic HPAYMT Observation by=7",
            [false, false, true, false],
        ),
        (
            "clinic HRESCH Observation by=7",
            [false, false, false, false],
        ),
        (
            "clinic TREAT Observation by=7 label=HIV",
            [false, false, false, false],
        ),
        (
            "clinic TREAT Observation by=7 label=R",
            [false, false, false, false],
        ),
        (
            "clinic TREAT Observation by=7 label=N",
            [false, true, true, false],
        ),
        (
            "clinic TREAT Observation by=7 unknown",
            [false, false, false, false],
        ),
        (
            "clinic TREAT Observation by=7 emergency",
            [true, true, true, false],
        ),
        (
            "clinic TREAT Observation by=7 emergency unknown",
            [true, true, true, false],
        ),
        (
            "clinic TREAT Observation by=7 related=RelatedPerson/1",
            [false, false, false, false],
        ),
        (
            "clinic TREAT Observation by=7 do=correct",
            [false, false, false, false],
        ),
        ("hospital TREAT Observation by=7", [true, true, true, true]),
        (
            "clinic TREAT Practitioner directory",
            [true, true, true, true],
        ),
    ];
    let withdrawn = Consent {
        status: crate::consent::Status::Inactive,
        ..one("hospital/1")
    };
    for (line, outcomes) in table {
        for (implicit, permitted) in Implicit::ALL.into_iter().zip(outcomes) {
            let (request, document) = ask(line);
            for consents in [&[][..], std::slice::from_ref(&withdrawn)] {
                let evaluator = Evaluator::governed(None, implicit, consents).unwrap();
                let decision = evaluator.decide(&request, &document);
                assert_eq!(
                    decision.permitted, permitted,
                    "{line} {implicit:?} {decision:?}"
                );
                if decision
                    .determining
                    .iter()
                    .any(|id| id.starts_with("implicit/"))
                {
                    assert!(decision.determining.contains(&implicit.id()));
                }
            }
            let filed = Evaluator::governed(None, implicit, &[deny_of_conditions()]).unwrap();
            let decision = filed.decide(&request, &document);
            assert!(
                !decision
                    .determining
                    .iter()
                    .any(|id| id.starts_with("implicit/"))
            );
        }
    }
    for implicit in Implicit::ALL {
        let url = format!(
            "https://profiles.ihe.net/ITI/PCF/Policy-{}",
            implicit.name()
        );
        assert_eq!(Implicit::parse(&url), Some(implicit));
        assert_eq!(Implicit::parse(implicit.name()), Some(implicit));
    }
    assert_eq!(Implicit::parse("permit"), None);
}

#[test]
fn what_minors_keep_is_one_label_in_policies_and_rules() {
    let label = crate::consent::label::MINORS;
    assert!(NETWORK.contains(&format!("resource.labels.contains(\"{label}\")")));
}
