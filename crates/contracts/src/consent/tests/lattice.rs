//! The rule for several consents over a whole small space: every set of up to three of its consents.

use super::*;

/// Permits and denies of everything, of one type, of one label, and with an exception of the other kind.
fn space() -> Vec<Consent> {
    let mut all = Vec::new();
    for (kind, other) in [("permit", "deny"), ("deny", "permit")] {
        for more in [
            json!({}),
            json!({ "class": types(&["Observation"]) }),
            json!({ "securityLabel": codes(&["HIV"]) }),
            json!({ "purpose": codes(&["ETREAT"]) }),
            json!({ "provision": [{ "type": other, "class": types(&["Observation"]) }] }),
        ] {
            let id = format!("hospital/{}", all.len());
            all.push(read(&id, &consent(&rule(kind, &["clinic"], more))).unwrap());
        }
    }
    all
}

const QUESTIONS: [&str; 6] = [
    "clinic TREAT Observation",
    "clinic ETREAT Condition",
    "clinic TREAT Observation label=HIV",
    "clinic TREAT Condition label=HIV",
    "payer TREAT Observation",
    "hospital TREAT Observation",
];

/// Which of the questions are answered by a permit of a consent, and which by a deny.
fn answers(consents: &[Consent]) -> Vec<(bool, Vec<String>)> {
    let evaluator = Evaluator::new(consents).unwrap();
    let decide = |line: &str| {
        let (request, document) = question(line);
        let decision = evaluator.decide(&request, &document);
        (decision.permitted, decision.determining)
    };
    QUESTIONS.iter().map(|line| decide(line)).collect()
}

fn is_deny(consent: &Consent, determining: &[String], permitted: bool) -> bool {
    let of_it = format!("consent/{}/", consent.id);
    !permitted && determining.iter().any(|id| id.starts_with(&of_it))
}

#[test]
fn consents_combine_as_the_rule_says_whichever_and_in_whatever_order() {
    let space = space();
    let alone: Vec<_> = space
        .iter()
        .map(|one| answers(std::slice::from_ref(one)))
        .collect();
    let none = answers(&[]);
    let sets = (0..space.len())
        .flat_map(|a| (a..space.len()).flat_map(move |b| (b..10).map(move |c| [a, b, c])));
    for set in sets {
        let members: BTreeSet<usize> = set.into_iter().collect();
        let consents: Vec<Consent> = members.iter().map(|at| space[*at].clone()).collect();
        let together = answers(&consents);
        let turned: Vec<Consent> = consents.iter().rev().cloned().collect();
        assert_eq!(answers(&turned), together, "order says nothing");
        for (at, (permitted, _)) in together.iter().enumerate() {
            let denied = members.iter().any(|one| {
                let (permitted, determining) = &alone[*one][at];
                is_deny(&space[*one], determining, *permitted)
            });
            let opened = none[at].0 || members.iter().any(|one| alone[*one][at].0);
            assert_eq!(*permitted, opened && !denied, "{set:?}: {}", QUESTIONS[at]);
        }
    }
}

#[test]
fn a_deny_never_opens_and_a_permit_never_closes() {
    let space = space();
    for one in &space {
        for other in &space {
            if one.id == other.id {
                continue;
            }
            let (before, after) = (
                answers(std::slice::from_ref(one)),
                answers(&[one.clone(), other.clone()]),
            );
            let plain = other.provision.as_ref().unwrap().nested.is_empty();
            let kind = other.provision.as_ref().unwrap().kind;
            for ((was, _), (is, _)) in before.iter().zip(&after) {
                match kind {
                    Some(Kind::Deny) if plain => {
                        assert!(!is || *was, "{} opened by {}", one.id, other.id)
                    }
                    Some(Kind::Permit) if plain => {
                        assert!(!was || *is, "{} closed by {}", one.id, other.id)
                    }
                    _ => {}
                }
            }
        }
    }
}
