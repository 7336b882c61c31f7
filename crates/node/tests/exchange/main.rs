//! Whole nodes that ask each other for records: real consensus, real TLS, real disks.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, and so are their helpers"
)]

mod care_services;
mod founding;
mod linkage;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../ports/mod.rs"]
mod ports;
mod release;
mod wallet;

use contracts::access::{self, DecisionRecord, Document, Replay};
use contracts::governance::{Action, Command};
use founding::{Founding, clinician};
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{Resource, ResourceType};
use ledger::ids::MemberName;
use node::Node;
use node::chain::Keep;
use node::custody::{AccessEntry, Change, CustodyError, ReceiptState, Requester, Written};
use patience::until;
use serde_json::{Value, json};
use wallet::Wallet;

const NAMES: [&str; 2] = ["clinic", "hospital"];

fn name(member: &str) -> MemberName {
    member.parse().unwrap()
}

fn laboratory_result(patient: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": "2026-05-01"})
}

fn condition(patient: &str) -> Value {
    json!({"resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]},
        "subject": {"reference": format!("Patient/{patient}")}})
}

async fn create(node: &Node, by: &Requester, resource: Value) -> String {
    let resource = Resource::from_value(resource).unwrap();
    let change = Change::Create { resource, id: None };
    let written = node.custody.write(by, vec![change]).await.unwrap();
    let one = &written[0];
    until_final(node, by, one).await;
    one.id.clone()
}

async fn until_final(node: &Node, by: &Requester, one: &Written) {
    until("the version is final", async || {
        let receipt = node
            .custody
            .receipt(by, one.resource_type, &one.id, one.version);
        matches!(receipt.await, Ok(ReceiptState::Final(_)))
    })
    .await;
}

/// Waits until each node has applied what one of them has.
async fn until_level(nodes: &[Node]) {
    let heights = nodes.iter().map(|node| node.chain.tip().height);
    let highest = heights.max().unwrap();
    for node in nodes {
        let mut tips = node.chain.subscribe();
        tips.wait_for(|tip| tip.height >= highest).await.unwrap();
    }
}

/// Waits until each node has the consents that its ledger has.
async fn until_consents(nodes: &[Node]) {
    for node in nodes {
        until("the consents are here", async || {
            node.custody.overdue_consents().unwrap().is_empty()
        })
        .await;
    }
}

/// The patient's access history once each entry of it has a receipt.
async fn recorded_history(node: &Node, by: &Requester) -> Vec<AccessEntry> {
    until("all is on record", async || {
        let history = node.custody.access_history(by).await.unwrap();
        let is_final = history.iter().all(|entry| entry.receipt.is_some());
        is_final.then_some(history)
    })
    .await
}

/// Patient ids at the clinic and at the hospital, and a laboratory result at the hospital.
async fn enrolled(nodes: &[Node], wallet: &Wallet) -> (String, String, String) {
    let [clinic, hospital] = nodes else { panic!() };
    let network = clinic.chain.network();
    let (doctor, sister) = (clinician("clinic"), clinician("hospital"));
    let at_clinic = wallet.enrolment(network, "clinic", &NAMES);
    let at_clinic = clinic.custody.enroll(&doctor, at_clinic).await.unwrap();
    let at_hospital = wallet.enrolment(network, "hospital", &NAMES);
    let at_hospital = hospital.custody.enroll(&sister, at_hospital).await.unwrap();
    let result = create(hospital, &sister, laboratory_result(&at_hospital)).await;
    until_level(nodes).await;
    (at_clinic, at_hospital, result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p2_a_key_leaves_only_for_what_a_consent_permits_and_while_it_does() {
    let founding = Founding::of(&NAMES);
    let nodes = founding.start_all().await;
    let [clinic, hospital] = nodes.as_slice() else {
        panic!()
    };
    let wallet = Wallet::new(7);
    let (at_clinic, at_hospital, result) = enrolled(&nodes, &wallet).await;
    let (doctor, sister) = (clinician("clinic"), clinician("hospital"));
    let diagnosis = create(hospital, &sister, condition(&at_hospital)).await;
    until_level(&nodes).await;
    let observation = ResourceType::parse("Observation").unwrap();
    let open = async |id: &str, resource_type| {
        let member = name("hospital");
        clinic
            .exchange
            .open(&doctor, &at_clinic, &member, resource_type, id)
            .await
    };

    let denied = open(&result, observation).await;
    assert!(
        matches!(denied, Err(CustodyError::Denied { .. })),
        "{denied:?}"
    );

    // The patient files a consent through the clinic; the hospital learns of it from the ledger.
    let grant = wallet.grant(&format!("Patient/{at_clinic}"), "clinic", "active");
    let filed = clinic
        .custody
        .write(&doctor, vec![Change::File(grant)])
        .await
        .unwrap();
    until_final(clinic, &doctor, &filed[0]).await;
    until_level(&nodes).await;
    let opened = until("it opens", async || open(&result, observation).await).await;
    assert_eq!(opened.presented()["code"]["coding"][0]["code"], "718-7");
    assert_eq!(opened.member, name("hospital"));

    // Other types stay closed, and the record as a whole says so.
    let other = open(&diagnosis, ResourceType::parse("Condition").unwrap()).await;
    assert!(
        matches!(other, Err(CustodyError::Denied { .. })),
        "{other:?}"
    );
    let everything = clinic
        .exchange
        .everything(&doctor, &at_clinic)
        .await
        .unwrap();
    assert_eq!(everything.entries.len(), 1);
    assert_eq!(
        everything.withheld.iter().map(|one| one.count).sum::<u32>(),
        1
    );
    assert!(everything.unreachable.is_empty());

    // Suspended, it denies at the next read; resumed, it permits again; withdrawn, it denies for good.
    for (version, state, opens) in [
        (2, "suspended", false),
        (3, "active", true),
        (4, "withdrawn", false),
    ] {
        let mut next = wallet.grant(&format!("Patient/{at_clinic}"), "clinic", state);
        next.id = Some(filed[0].id.clone());
        let written = clinic.custody.write(&doctor, vec![Change::File(next)]);
        let written = written.await.unwrap();
        assert_eq!(written[0].version, version);
        until_final(clinic, &doctor, &written[0]).await;
        until_level(&nodes).await;
        if opens {
            until("it opens again", async || open(&result, observation).await).await;
            continue;
        }
        let answer = open(&result, observation).await;
        let is_denied = matches!(answer, Err(CustodyError::Denied { .. }));
        assert!(is_denied, "{state}");
    }
}

/// Waits until `node` keeps no body of another member that is there now.
async fn until_pruned(node: &Node) {
    let last = node.chain.tip().height;
    let mut tips = node.chain.subscribe();
    while node.chain.kept_from().unwrap() <= last {
        tips.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_member_has_pruned_the_custodian_shows_again() {
    let founding = Founding::of(&NAMES).keeping(Keep::Blocks(2));
    let nodes = founding.start_all().await;
    let [clinic, _] = nodes.as_slice() else {
        panic!()
    };
    let wallet = Wallet::new(9);
    let (at_clinic, _, result) = enrolled(&nodes, &wallet).await;
    let doctor = clinician("clinic");
    let grant = wallet.grant(&format!("Patient/{at_clinic}"), "clinic", "active");
    let filed = clinic.custody.write(&doctor, vec![Change::File(grant)]);
    let filed = filed.await.unwrap();
    until_final(clinic, &doctor, &filed[0]).await;
    for node in &nodes {
        until_pruned(node).await;
    }
    until_consents(&nodes).await;
    let observation = ResourceType::parse("Observation").unwrap();
    let member = name("hospital");
    let opened = clinic
        .exchange
        .open(&doctor, &at_clinic, &member, observation, &result)
        .await
        .unwrap();
    assert_eq!(opened.presented()["code"]["coding"][0]["code"], "718-7");
    let everything = clinic.exchange.everything(&doctor, &at_clinic).await;
    assert_eq!(everything.unwrap().entries.len(), 1);
    until_final(clinic, &doctor, &filed[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p2_both_members_put_every_attempt_on_record() {
    let founding = Founding::of(&NAMES);
    let nodes = founding.start_all().await;
    let [clinic, hospital] = nodes.as_slice() else {
        panic!()
    };
    let wallet = Wallet::new(8);
    let (at_clinic, at_hospital, result) = enrolled(&nodes, &wallet).await;
    let observation = ResourceType::parse("Observation").unwrap();
    let doctor = clinician("clinic");
    let member = name("hospital");
    let denied = clinic
        .exchange
        .open(&doctor, &at_clinic, &member, observation, &result)
        .await;
    assert!(
        matches!(denied, Err(CustodyError::Denied { .. })),
        "{denied:?}"
    );

    let own = |member: &str, patient: &str| Requester {
        patient: Some(patient.to_owned()),
        practitioner: None,
        purpose: "PATRQT".to_owned(),
        ..clinician(member)
    };
    let asked = recorded_history(clinic, &own("clinic", &at_clinic)).await;
    let decided = recorded_history(hospital, &own("hospital", &at_hospital)).await;
    let denials = wallet::decisions(&decided);
    assert!(
        denials
            .iter()
            .any(|one| one.requester == name("clinic") && one.denied)
    );
    assert!(!wallet::decisions(&asked).is_empty());
}

/// Members vote that nobody opens anything for payment.
const VOTED: &str = r#"@id("no-payment")
forbid (principal, action, resource) when { context.purpose == "HPAYMT" };"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_what_members_vote_counts_from_the_next_block_on_and_replays() {
    let founding = Founding::of(&NAMES);
    let nodes = founding.start_all().await;
    let [clinic, hospital] = nodes.as_slice() else {
        panic!()
    };
    let wallet = Wallet::new(9);
    let (_, at_hospital, result) = enrolled(&nodes, &wallet).await;
    let observation = ResourceType::parse("Observation").unwrap();
    let payments = Requester {
        purpose: "HPAYMT".to_owned(),
        ..clinician("hospital")
    };
    let read = async || hospital.custody.read(&payments, observation, &result).await;
    read().await.unwrap();

    let action = Action::SetPolicies(VOTED.to_owned());
    founding
        .says(clinic, "clinic", &Command::Propose(action))
        .await;
    until_level(&nodes).await;
    read().await.unwrap();
    let vote = Command::Vote {
        proposal: 1,
        approves: true,
    };
    founding.says(hospital, "hospital", &vote).await;
    let Err(CustodyError::Denied {
        reason,
        determining,
    }) = read().await
    else {
        panic!("it is forbidden from the next block on")
    };
    assert_eq!(determining, ["voted/no-payment"]);
    assert_eq!(
        reason,
        "171.202(b): the network's members have forbidden it"
    );
    let care = hospital
        .custody
        .read(&clinician("hospital"), observation, &result)
        .await;
    assert!(care.is_ok(), "care goes on");
    until_level(&nodes).await;

    let patient = Requester {
        patient: Some(at_hospital.clone()),
        practitioner: None,
        purpose: "PATRQT".to_owned(),
        ..clinician("hospital")
    };
    let history = hospital.custody.access_history(&patient).await.unwrap();
    let denial = wallet::denials(&history).pop().unwrap();
    let record = DecisionRecord::decode(&denial).unwrap();
    let facts =
        DisclosureFacts::of(&Resource::from_value(laboratory_result(&at_hospital)).unwrap());
    let document = Document {
        home: "hospital".to_owned(),
        patient: Some(at_hospital.clone()),
        resource_type: "Observation".to_owned(),
        codes: facts.codes.union(&facts.categories).cloned().collect(),
        labels: facts.labels,
        period: facts.period.map(|span| (span.start_ms, span.end_ms)),
        ..Document::default()
    };
    let documents = [Some(document)];
    let named = record.voted.unwrap();
    let registry = clinic.chain.registry();
    let text = registry.policies_with(named);
    let again = |text| access::replay(&record, text, &[], &documents).unwrap();
    assert_eq!(again(text), Replay::Same);
    assert_eq!(again(None), Replay::PoliciesMissing(named));
}
