//! Consents evaluated in the most direct way, against what Cedar makes of the compiled policies.

use proptest::prelude::*;

use super::super::{Actor, Kind, Provision, Span};
use super::*;

/// What the nearest rules around one have named.
#[derive(Clone, Default)]
struct Named {
    purposes: bool,
    labels: Vec<String>,
}

fn verdict(rule: &Provision, named: &Named, asked: &(Request, Document)) -> Option<Kind> {
    let (request, document) = asked;
    let within = |span: Span, first: i64, last: i64| {
        span.start.is_none_or(|start| last >= start) && span.end.is_none_or(|end| first < end)
    };
    let any = |wanted: &[String], has: &dyn Fn(&String) -> bool| {
        wanted.is_empty() || wanted.iter().any(has)
    };
    let is_actor = |actor: &Actor| match actor {
        Actor::Member(member) => request.member == *member,
        Actor::Practitioner(one) => request.practitioner.as_ref() == Some(one),
    };
    let dated = rule.data_period.is_none_or(|span| match document.period {
        Some((first, last)) => within(span, first, last),
        None => rule.kind == Some(Kind::Deny),
    });
    let now = rule
        .period
        .is_none_or(|span| within(span, request.now, request.now));
    if !(rule.covers_opening
        && dated
        && now
        && (rule.actors.is_empty() || rule.actors.iter().any(is_actor))
        && any(&rule.purposes, &|purpose| request.purpose == *purpose)
        && any(&rule.types, &|one| document.resource_type == *one)
        && any(&rule.codes, &|code| document.codes.contains(code))
        && any(&rule.labels, &|label| document.labels.contains(label)))
    {
        return None;
    }
    let named = Named {
        purposes: named.purposes || !rule.purposes.is_empty(),
        labels: if rule.labels.is_empty() {
            named.labels.clone()
        } else {
            rule.labels.clone()
        },
    };
    let nested: Vec<Kind> = rule
        .nested
        .iter()
        .filter_map(|nested| verdict(nested, &named, asked))
        .collect();
    let named_only = ["HMARKT", "HRESCH"].contains(&request.purpose.as_str());
    let all_named = document
        .labels
        .iter()
        .all(|label| named.labels.contains(label));
    if nested.contains(&Kind::Deny) {
        Some(Kind::Deny)
    } else if nested.contains(&Kind::Permit) {
        Some(Kind::Permit)
    } else {
        rule.kind.filter(|kind| {
            let named = all_named && (named.purposes || !named_only);
            request.patient.is_none() && (*kind == Kind::Deny || named)
        })
    }
}

fn permitted(consents: &[Consent], asked: &(Request, Document)) -> bool {
    let (request, document) = asked;
    let verdicts: Vec<Kind> = consents
        .iter()
        .filter(|consent| consent.status == Status::Active)
        .filter_map(|consent| verdict(consent.provision.as_ref()?, &Named::default(), asked))
        .collect();
    let home = request.member == document.home;
    let own_care = ["TREAT", "ETREAT", "CAREMGT", "HPAYMT", "HOPERAT"];
    let network = match &request.patient {
        Some(patient) => {
            home && document.patient.as_ref() == Some(patient) && request.purpose == "PATRQT"
        }
        None => home && own_care.contains(&request.purpose.as_str()),
    };
    let directory = document.patient.is_none();
    let unknown = !home && !directory && !request.consents_known;
    !unknown
        && !verdicts.contains(&Kind::Deny)
        && (network || directory || verdicts.contains(&Kind::Permit))
}

fn some_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let some = prop::sample::subsequence(words, 1..=2);
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

fn span() -> impl Strategy<Value = Option<Span>> {
    let bound = || prop::option::of(0_i64..6);
    let span = (bound(), bound()).prop_map(|(start, end)| Span { start, end });
    prop::option::weighted(0.2, span)
}

fn actors() -> impl Strategy<Value = Vec<Actor>> {
    let member = prop::sample::select(vec!["clinic", "payer", "hospital"])
        .prop_map(|name| Actor::Member(name.to_owned()));
    let practitioner = (0..2).prop_map(|id| Actor::Practitioner(format!("Practitioner/{id}")));
    prop::collection::vec(prop_oneof![3 => member, 1 => practitioner], 0..2)
}

fn provision() -> impl Strategy<Value = Provision> {
    let elements = || {
        (
            prop_oneof![Just(Kind::Permit), Just(Kind::Deny)],
            (span(), span()),
            actors(),
            prop::bool::weighted(0.95),
            some_of(&["TREAT", "HRESCH", "HMARKT", "HPAYMT"]),
            some_of(&["Observation", "Condition"]),
            some_of(&["s|1", "s|2"]),
            some_of(&["HIV", "PSY"]),
        )
    };
    let rule = move |nested: Vec<Provision>| {
        elements().prop_map(
            move |(
                kind,
                (period, data_period),
                actors,
                covers_opening,
                purposes,
                types,
                codes,
                labels,
            )| {
                Provision {
                    kind: Some(kind),
                    period,
                    actors,
                    covers_opening,
                    purposes,
                    types,
                    codes,
                    labels,
                    data_period,
                    nested: nested.clone(),
                }
            },
        )
    };
    let leaf = rule(Vec::new());
    let tree = leaf.prop_recursive(3, 12, 3, move |inner| {
        prop::collection::vec(inner, 0..3).prop_flat_map(rule)
    });
    (tree, prop::bool::weighted(0.3)).prop_map(|(mut tree, carries_only)| {
        if carries_only {
            tree.kind = None;
        }
        tree
    })
}

fn consents() -> impl Strategy<Value = Vec<Consent>> {
    let statuses = prop_oneof![4 => Just(Status::Active), 1 => Just(Status::Inactive)];
    let consent = (statuses, prop::option::weighted(0.95, provision()));
    prop::collection::vec(consent, 0..4).prop_map(|all| {
        let named = |(at, (status, provision))| Consent {
            id: format!("hospital/{at}"),
            version: 1,
            status,
            patient: "Patient/p".to_owned(),
            provision,
        };
        (0..).zip(all).map(named).collect()
    })
}

prop_compose! {
    fn asked()(
        member in prop::sample::select(vec!["clinic", "payer", "hospital"]),
        practitioner in prop::option::of(0..2_u8),
        patient in prop::option::weighted(0.1, prop::sample::select(vec!["p", "q"])),
        purpose in prop::sample::select(vec!["TREAT", "TREAT", "HRESCH", "HMARKT", "HPAYMT", "PATRQT"]),
        now in 0_i64..6,
        consents_known in prop::bool::weighted(0.9),
        owned in prop::bool::weighted(0.9),
        resource_type in prop::sample::select(vec!["Observation", "Condition"]),
        codes in prop::sample::subsequence(vec!["s|1", "s|2"], 0..=2),
        labels in prop::sample::subsequence(vec!["HIV", "PSY"], 0..=2),
        period in prop::option::of((0_i64..6, 0_i64..3)),
    ) -> (Request, Document) {
        let texts = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        let request = Request {
            member: member.to_owned(),
            practitioner: practitioner.map(|id| format!("Practitioner/{id}")),
            patient: patient.map(str::to_owned),
            purpose: purpose.to_owned(),
            now,
            consents_known,
            ..Request::default()
        };
        let document = Document {
            home: "hospital".to_owned(),
            patient: owned.then(|| "p".to_owned()),
            resource_type: resource_type.to_owned(),
            codes: texts(codes),
            labels: texts(labels),
            period: period.map(|(start, length)| (start, start + length)),
            ..Document::default()
        };
        (request, document)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cedar_decides_as_the_model_does(
        consents in consents(),
        asked in prop::collection::vec(asked(), 12),
    ) {
        let evaluator = Evaluator::new(&consents).unwrap();
        for asked in &asked {
            let decision = evaluator.decide(&asked.0, &asked.1);
            prop_assert_eq!(decision.permitted, permitted(&consents, asked), "{:?} {:?}", asked, decision);
        }
    }

    #[test]
    fn the_order_of_consents_decides_nothing(
        (consents, shuffled) in consents().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        asked in prop::collection::vec(asked(), 4),
    ) {
        let (one, other) = (Evaluator::new(&consents).unwrap(), Evaluator::new(&shuffled).unwrap());
        prop_assert_eq!(one.heads(), other.heads());
        for (request, document) in &asked {
            prop_assert_eq!(one.decide(request, document), other.decide(request, document));
        }
    }

    #[test]
    fn any_text_in_a_consent_stays_text(text in any::<String>(), other in any::<String>()) {
        let provision = json!({
            "actor": [member(&text)],
            "purpose": [{ "code": text }],
            "provision": [{ "type": "permit", "code": [{ "coding": [{ "system": "", "code": text }] }] }],
        });
        let consent = read("a", &consent(&provision)).unwrap();
        let evaluator = Evaluator::new(&[consent]).unwrap();
        let (mut request, mut document) = question("clinic TREAT Observation");
        let mut ask = |said: &str| {
            said.clone_into(&mut request.member);
            said.clone_into(&mut request.purpose);
            document.codes = BTreeSet::from([format!("|{said}")]);
            evaluator.decide(&request, &document).permitted
        };
        prop_assert!(ask(&text));
        prop_assert_eq!(ask(&other), other == text);
    }
}
