//! Consents evaluated in the most direct way, against what Cedar makes of the compiled policies.

use proptest::prelude::*;

use super::super::{Actor, Data, Kind, Meaning, Provision, Span};
use super::reference::Case;
use super::*;
use crate::access::Implicit;

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
    let named = [
        "Practitioner/0",
        "Practitioner/1",
        "RelatedPerson/1",
        "Device/1",
        "Group/1",
    ];
    let named = prop::sample::select(named.to_vec()).prop_map(|one| Actor::Named(one.to_owned()));
    let role = prop::sample::select(vec!["s|nurse", "nurse", "t|nurse"])
        .prop_map(|one| Actor::Role(one.to_owned()));
    prop::collection::vec(prop_oneof![4 => member, 2 => named, 1 => role], 0..3)
}

fn data() -> impl Strategy<Value = Vec<Data>> {
    let meaning = prop::sample::select(vec![
        Meaning::Instance,
        Meaning::Dependents,
        Meaning::AuthoredBy,
    ]);
    let reference = prop::sample::select(vec!["Observation/1", "Encounter/1", "Practitioner/1"]);
    let one = (meaning, reference).prop_map(|(meaning, reference)| Data {
        meaning,
        reference: reference.to_owned(),
    });
    prop_oneof![5 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
}

fn actions() -> impl Strategy<Value = Option<BTreeSet<Action>>> {
    let some = prop::sample::subsequence(Action::ALL.to_vec(), 1..=2);
    prop::option::weighted(0.15, some.prop_map(|all| all.into_iter().collect()))
}

prop_compose! {
    fn conditions()(
        (period, data_period) in (span(), span()),
        actors in actors(),
        actions in actions(),
        purposes in some_of(&["TREAT", "ETREAT", "BTG", "HRESCH", "HMARKT", "HPAYMT"]),
        types in some_of(&["Observation", "Condition"]),
        documents in prop_oneof![4 => Just(Vec::new()), 1 => Just(vec!["s|1".to_owned()])],
        codes in some_of(&["s|1", "s|2"]),
        labels in some_of(&["HIV", "ETH", "OPIOIDUD", "N", "R", "V"]),
        data in data(),
    ) -> Provision {
        Provision {
            period, actors, actions, purposes, types, documents, codes, labels, data_period, data,
            ..Provision::default()
        }
    }
}

fn provision() -> impl Strategy<Value = Provision> {
    let rule = move |nested: Vec<Provision>| {
        let kind = prop_oneof![Just(Kind::Permit), Just(Kind::Deny)];
        (kind, conditions()).prop_map(move |(kind, conditions)| Provision {
            kind: Some(kind),
            nested: nested.clone(),
            ..conditions
        })
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
            performers: BTreeSet::new(),
            provision,
        };
        (0..).zip(all).map(named).collect()
    })
}

prop_compose! {
    fn requester()(
        member in prop::sample::select(vec!["clinic", "payer", "hospital"]),
        practitioner in prop::option::of(0..2_u8),
        patient in prop::option::weighted(0.1, prop::sample::select(vec!["p", "q"])),
        related in prop::bool::weighted(0.15),
        device in prop::bool::weighted(0.2),
        group in prop::bool::weighted(0.2),
        roles in prop::sample::subsequence(vec!["s|nurse", "nurse", "t|cook"], 0..=1),
    ) -> Request {
        Request {
            member: member.to_owned(),
            practitioner: practitioner.map(|id| format!("Practitioner/{id}")),
            patient: patient.map(str::to_owned),
            related: related.then(|| "RelatedPerson/1".to_owned()),
            device: device.then(|| "Device/1".to_owned()),
            groups: group.then(|| "Group/1".to_owned()).into_iter().collect(),
            roles: roles.into_iter().map(str::to_owned).collect(),
            ..Request::default()
        }
    }
}

prop_compose! {
    fn request()(
        requester in requester(),
        purpose in prop::sample::select(vec![
            "TREAT", "TREAT", "ETREAT", "BTG", "HRESCH", "CLINTRCH", "HMARKT", "HPAYMT", "PATRQT",
        ]),
        now in 0_i64..6,
        consents_known in prop::bool::weighted(0.9),
        action in prop_oneof![6 => Just(Action::Open), 1 => Just(Action::Collect), 1 => Just(Action::Correct)],
        emergency in prop::option::weighted(0.3, (0_i64..6, 0_i64..6)),
    ) -> Request {
        Request {
            purpose: purpose.to_owned(),
            now,
            consents_known,
            action,
            emergency: emergency.map(|(from, until)| Emergency { reason: "x".to_owned(), from, until }),
            ..requester
        }
    }
}

prop_compose! {
    fn document()(
        owned in prop::bool::weighted(0.9),
        home in prop::sample::select(vec!["hospital", "hospital", "hospital", "payer"]),
        resource_type in prop::sample::select(vec!["Observation", "Condition"]),
        codes in prop::sample::subsequence(vec!["s|1", "s|2"], 0..=2),
        labels in prop_oneof![
            Just(vec![]),
            prop::sample::subsequence(vec!["HIV", "ETH", "ETHUD", "R", "V", "N"], 0..=2),
        ],
        (period, date) in (prop::option::of((0_i64..6, 0_i64..3)), prop::option::of(0_i64..6)),
        id in prop::option::of(prop::sample::select(vec!["Observation/1", "Observation/2"])),
        related in prop::sample::subsequence(vec!["Encounter/1", "Observation/1"], 0..=1),
        author in prop::bool::ANY,
    ) -> Document {
        let texts = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        Document {
            home: home.to_owned(),
            patient: owned.then(|| "p".to_owned()),
            resource_type: resource_type.to_owned(),
            codes: texts(codes),
            labels: texts(labels),
            period: period.map(|(start, length)| (start, start + length)),
            date: date.map(|at| (at, at)),
            id: id.map(str::to_owned),
            related: texts(related),
            authors: author.then(|| "Practitioner/1".to_owned()).into_iter().collect(),
        }
    }
}

fn asked() -> impl Strategy<Value = (Request, Document)> {
    (request(), document())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cedar_decides_as_the_model_does(
        consents in consents(),
        implicit in prop::sample::select(Implicit::ALL.to_vec()),
        asked in prop::collection::vec(asked(), 12),
    ) {
        for consent in &consents {
            prop_assert_eq!(check_consent(consent), Ok(()));
        }
        let evaluator = Evaluator::governed(None, implicit, &consents).unwrap();
        for (request, document) in &asked {
            let decision = evaluator.decide(request, document);
            let case = Case { consents: &consents, implicit, request, document };
            prop_assert_eq!(
                decision.permitted, case.is_permitted(),
                "{:?} {:?} {:?} {:?}", request, document.labels, consents.iter().map(|c| &c.provision).collect::<Vec<_>>(), decision
            );
            prop_assert_eq!(decision, evaluator.decide_unsliced(request, document));
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
