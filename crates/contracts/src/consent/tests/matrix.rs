//! Every combination of purpose, role, data class, label, period and delegation, decided by the system, by the
//! reference model, and again from the record.

use ledger::ids::Height;

use super::reference::Case;
use super::*;
use crate::access::tests::{delegating, link};
use crate::access::{
    Decision, DecisionRecord, Delegation, Implicit, Limits, Replay, replay_prepared,
};

const PURPOSES: [&str; 9] = [
    "TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HRESCH", "HMARKT", "PATRQT", "FAMRQT",
];

/// Who asks: staff of three members with a role or none, a device, a related person, the patient, and delegates.
fn requesters() -> Vec<Request> {
    let mut all = Vec::new();
    for member in ["hospital", "clinic", "payer"] {
        let staff = |practitioner: Option<&str>, role: Option<&str>| Request {
            member: member.to_owned(),
            practitioner: practitioner.map(str::to_owned),
            roles: role.map(str::to_owned).into_iter().collect(),
            ..Request::default()
        };
        all.extend([
            staff(None, None),
            staff(Some("Practitioner/7"), None),
            staff(Some("Practitioner/8"), Some("s|nurse")),
        ]);
    }
    let at_hospital = || Request {
        member: "hospital".to_owned(),
        ..Request::default()
    };
    all.push(Request {
        patient: Some("p".to_owned()),
        ..at_hospital()
    });
    for (delegate, consents) in [
        ("RelatedPerson/1", vec!["hospital/attorney"]),
        ("RelatedPerson/2", vec!["hospital/parent"]),
        (
            "RelatedPerson/3",
            vec!["hospital/attorney", "hospital/further"],
        ),
    ] {
        let known = ["RelatedPerson/1", "RelatedPerson/3"];
        let mut links: Vec<_> = consents
            .iter()
            .zip(known)
            .map(|(consent, delegate)| link(consent, delegate, Limits::default()))
            .collect();
        links.last_mut().unwrap().delegate = delegate.to_owned();
        all.push(Request {
            related: Some(delegate.to_owned()),
            on_behalf_of: Some(Delegation {
                patient: "p".to_owned(),
                links,
            }),
            ..at_hospital()
        });
    }
    all
}

fn requests() -> Vec<Request> {
    let noon = span::moment(NOON).unwrap().0;
    let year = 366 * 86_400_000;
    let mut all = Vec::new();
    for requester in requesters() {
        for purpose in PURPOSES {
            for time in [noon, noon + year] {
                for (declared, consents_known) in
                    [(false, true), (true, true), (false, false), (true, false)]
                {
                    let emergency = declared.then(|| Emergency {
                        reason: "ERTREAT".to_owned(),
                        from: noon,
                        until: noon + 1,
                    });
                    all.push(Request {
                        purpose: purpose.to_owned(),
                        now: time,
                        emergency,
                        consents_known,
                        ..requester.clone()
                    });
                }
            }
        }
    }
    all
}

fn documents() -> Vec<Document> {
    let labels: [&[&str]; 5] = [&[], &["R"], &["HIV", "R"], &["ETHUD", "R"], &["ADOL", "R"]];
    let day = |text: &str| span::moment(text).unwrap();
    let mut all = Vec::new();
    for resource_type in ["Observation", "Condition"] {
        for labels in labels {
            for on in ["2020-01-01", "2026-01-01"] {
                all.push(Document {
                    home: "hospital".to_owned(),
                    patient: Some("p".to_owned()),
                    resource_type: resource_type.to_owned(),
                    labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                    period: Some((day(on).0, day(on).1 - 1)),
                    id: Some(format!("{resource_type}/1")),
                    ..Document::default()
                });
            }
        }
    }
    all
}

/// What patients may have filed: nothing, or several consents with nested rules, labels, periods, roles and delegations.
fn histories() -> Vec<Vec<Consent>> {
    let filed = |id: &str, provision: Value| read(id, &consent(&provision)).unwrap();
    let nurse = json!({ "role": { "coding": [{ "system": "s", "code": "nurse" }] } });
    let year = json!({ "start": "2026-01-01", "end": "2026-12-31" });
    let clinic = filed(
        "hospital/1",
        permit(
            json!({ "period": year, "purpose": codes(&["TREAT"]), "provision": [
        { "type": "deny", "class": types(&["Condition"]), "dataPeriod": { "end": "2021" } },
        { "type": "permit", "securityLabel": codes(&["ETH"]), "actor": [practitioner("7")] },
    ] }),
        ),
    );
    let payer = filed(
        "clinic/2",
        rule(
            "permit",
            &["payer"],
            json!({ "purpose": codes(&["HPAYMT"]), "securityLabel": codes(&["N", "R"]) }),
        ),
    );
    let nurses = filed(
        "hospital/3",
        json!({ "type": "permit", "actor": [nurse], "dataPeriod": { "start": "2025" } }),
    );
    let deny = filed(
        "hospital/4",
        rule(
            "deny",
            &["clinic"],
            json!({ "securityLabel": codes(&["HIV"]), "purpose": codes(&["TREAT", "BTG"]) }),
        ),
    );
    let restricted = filed(
        "hospital/5",
        rule("deny", &[], json!({ "securityLabel": codes(&["R"]) })),
    );
    let attorney = delegating(
        "hospital/attorney",
        "RelatedPerson/1",
        &json!({ "period": { "start": "2026", "end": "2026-12-31" } }),
    );
    let parent = delegating(
        "hospital/parent",
        "RelatedPerson/2",
        &json!({ "parent": true, "period": { "end": "2027-06-01" } }),
    );
    let further = delegating(
        "hospital/further",
        "RelatedPerson/3",
        &json!({ "by": "RelatedPerson/1", "class": types(&["Observation"]) }),
    );
    let delegations = || vec![attorney.clone(), parent.clone(), further.clone()];
    vec![
        vec![],
        [delegations(), vec![clinic.clone()]].concat(),
        [delegations(), vec![clinic, payer, nurses.clone(), deny]].concat(),
        vec![nurses, restricted, attorney, further],
    ]
}

#[test]
fn system_model_and_replay_agree_on_every_combination() {
    let (requests, documents) = (requests(), documents());
    let mut decided = 0;
    let mut permitted = 0;
    for (number, consents) in histories().iter().enumerate() {
        let implicits = if number == 0 {
            &Implicit::ALL[..]
        } else {
            &Implicit::ALL[..1]
        };
        for implicit in implicits {
            let evaluator = Evaluator::governed(None, *implicit, consents).unwrap();
            for request in &requests {
                let asked = evaluator.asked(request);
                let decisions: Vec<Decision> =
                    documents.iter().map(|one| asked.decide(one)).collect();
                for (document, decision) in documents.iter().zip(&decisions) {
                    let case = Case {
                        consents,
                        implicit: *implicit,
                        request,
                        document,
                    };
                    assert_eq!(
                        decision.permitted,
                        case.is_permitted(),
                        "{request:?} {:?} {decision:?}",
                        document.labels
                    );
                    decided += 1;
                    permitted += u32::from(decision.permitted);
                }
                let record = DecisionRecord::of(&evaluator, Height(1), request, &decisions);
                let record = DecisionRecord::decode(&record.encode()).unwrap();
                let documents: Vec<_> = documents.iter().cloned().map(Some).collect();
                assert_eq!(
                    replay_prepared(&record, &evaluator, &documents),
                    Replay::Same
                );
            }
        }
    }
    assert!(decided >= 100_000, "{decided}");
    assert!(
        permitted * 20 > decided && permitted * 2 < decided,
        "{permitted} of {decided}"
    );
}
