//! A committee forms among whole nodes, and releases what a member holds that does not answer.

use contracts::consent::template::{DataClass, Grant, access};
use contracts::erasure::Basis;
use contracts::governance::{Action, Command};
use contracts::release::Committee;
use interop::fhir::ResourceType;
use ledger::codec;
use ledger::ids::Digest;
use node::Node;
use node::custody::{
    Change, CustodyError, ErasureOrder, Opened, Requester, SignedConsent, ToErase,
};
use node::exchange::{ReleaseFault, WrongShare};
use serde_json::{Value, json};
use vault::release::PartialRelease;

use crate::founding::{Founding, clinician};
use crate::patience::{PATIENCE, until};
use crate::wallet::{self, Wallet};
use crate::{
    condition, create, laboratory_result, name, recorded_history, until_consents, until_final,
    until_level,
};

const FOUR: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

fn formed(node: &Node) -> Option<Committee> {
    let registry = node.chain.registry();
    registry.committees().in_force().cloned()
}

/// Has the members vote for a committee, and waits until it is in force.
async fn set_committee(
    founding: &Founding,
    nodes: &[Node],
    (k, members, voters): (u32, &[&str], &[&str]),
) -> Committee {
    let before = formed(&nodes[0]).map_or(0, |one| one.round);
    let action = Action::SetCommittee {
        k,
        members: members.iter().map(|member| name(member)).collect(),
        renews: false,
    };
    let propose = Command::Propose(action);
    founding.says(&nodes[0], voters[0], &propose).await;
    let registry = nodes[0].chain.registry();
    let proposal = registry.proposals().last().unwrap().number;
    for voter in &voters[1..] {
        let vote = Command::Vote {
            proposal,
            approves: true,
        };
        founding.says(&nodes[0], voter, &vote).await;
    }
    for node in nodes {
        let mut tips = node.chain.subscribe();
        let forms = async {
            while formed(node).is_none_or(|one| one.round <= before) {
                tips.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, forms).await;
        in_time.unwrap();
    }
    formed(&nodes[0]).unwrap()
}

async fn until_placed(node: &Node) {
    until("copies are placed", async || {
        node.exchange.copies_are_placed().unwrap()
    })
    .await;
}

async fn release(
    node: &Node,
    by: &Requester,
    patient: &str,
    id: &str,
) -> Result<Opened, CustodyError> {
    let observation = ResourceType::parse("Observation").unwrap();
    let hospital = name("hospital");
    let document = (observation, id);
    node.exchange
        .release(by, patient, &hospital, document)
        .await
}

/// The patient's ids at the members, in the members' order.
async fn enrolled(nodes: &[Node], wallet: &Wallet) -> Vec<String> {
    let mut patients = Vec::new();
    for (node, member) in nodes.iter().zip(FOUR) {
        let enrolment = wallet.enrolment(node.chain.network(), member, &FOUR);
        let patient = node.custody.enroll(&clinician(member), enrolment).await;
        patients.push(patient.unwrap());
    }
    patients
}

async fn file(nodes: &[Node], wallet: &Wallet, patient: &str, before: Option<&str>) -> String {
    let status = if before.is_some() {
        "withdrawn"
    } else {
        "active"
    };
    let mut consent = wallet.grant(&format!("Patient/{patient}"), "clinic", status);
    consent.id = before.map(str::to_owned);
    file_signed(nodes, consent).await
}

async fn file_signed(nodes: &[Node], consent: SignedConsent) -> String {
    let doctor = clinician("clinic");
    let written = nodes[0].custody.write(&doctor, vec![Change::File(consent)]);
    let written = written.await.unwrap();
    until_final(&nodes[0], &doctor, &written[0]).await;
    until_level(nodes).await;
    until_consents(nodes).await;
    written[0].id.clone()
}

fn is_denied(outcome: &Result<Opened, CustodyError>) -> bool {
    matches!(outcome, Err(CustodyError::Denied { .. }))
}

/// A share that is wrong convicts its giver if it is signed, and nobody else.
fn convicts_the_giver_of_a_wrong_share(founding: &Founding, node: &Node, key: u64) {
    let (request, identity) = (Digest([1; 32]), Digest([2; 32]));
    let share = PartialRelease(vec![0; 97]);
    let domain = b"careledger/release-share/v1".as_slice();
    let signed = [domain, &request.0, &identity.0, &codec::encode(&share)].concat();
    let (certificate, signature) = founding.signs("laboratory", &signed);
    let fault = ReleaseFault {
        giver: name("laboratory"),
        certificate,
        request,
        key,
        identity,
        share,
        signature,
    };
    let convicts = |fault: &ReleaseFault| node.exchange.convicts(fault).unwrap();
    assert_eq!(convicts(&fault), Some(WrongShare(name("laboratory"))));
    let others = [
        ReleaseFault {
            giver: name("payer"),
            ..fault.clone()
        },
        ReleaseFault {
            request: Digest([3; 32]),
            ..fault.clone()
        },
        ReleaseFault {
            key: key + 1,
            ..fault
        },
    ];
    for other in &others {
        assert_eq!(convicts(other), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p2_a_committee_releases_what_a_member_holds_that_is_down_if_the_patient_permits() {
    let founding = Founding::of(&FOUR).copying_to("clinic");
    let mut nodes = founding.start_all().await;
    let wallet = Wallet::new(11);
    let patients = enrolled(&nodes, &wallet).await;
    let (doctor, sister) = (clinician("clinic"), clinician("hospital"));
    // What was written before there was a committee is sealed to it as well.
    let result = create(&nodes[1], &sister, laboratory_result(&patients[1])).await;
    create(&nodes[1], &sister, condition(&patients[1])).await;
    let first = set_committee(&founding, &nodes, (3, &FOUR, &FOUR[..3])).await;
    assert_eq!((first.k, first.members.len()), (3, 4));
    until_placed(&nodes[1]).await;
    until_level(&nodes).await;

    let denied = release(&nodes[0], &doctor, &patients[0], &result).await;
    assert!(is_denied(&denied), "{denied:?}");

    convicts_the_giver_of_a_wrong_share(&founding, &nodes[0], first.key);

    let consent = file(&nodes, &wallet, &patients[0], None).await;
    let hospital = nodes.remove(1);
    hospital.stop().await.unwrap();
    let opened = release(&nodes[0], &doctor, &patients[0], &result).await;
    let opened = opened.unwrap();
    assert_eq!(opened.presented()["code"]["coding"][0]["code"], "718-7");
    assert_eq!(opened.member, name("hospital"));
    assert!(nodes[0].exchange.release_faults().unwrap().is_empty());
    // So does who asks for the record as ever.
    let observation = ResourceType::parse("Observation").unwrap();
    let away = name("hospital");
    let ordinary = nodes[0]
        .exchange
        .open(&doctor, &patients[0], &away, observation, &result);
    assert_eq!(ordinary.await.unwrap().id, result);
    let everything = nodes[0].exchange.everything(&doctor, &patients[0]).await;
    let everything = everything.unwrap();
    let of_hospital: Vec<_> = everything.entries.iter().map(|one| &one.id).collect();
    assert_eq!(of_hospital, [&result], "from the copy");
    assert_eq!(
        everything.withheld.len(),
        1,
        "the diagnosis is not permitted"
    );
    assert_eq!(everything.unreachable, [away]);

    // Each member of the committee that was needed has put its decisions on record: two releases, and what was denied of the
    // whole record. The request before the consent may have ended before it came here: others had denied it already.
    let own = Requester {
        patient: Some(patients[2].clone()),
        practitioner: None,
        purpose: "PATRQT".to_owned(),
        ..clinician("laboratory")
    };
    let decided = wallet::decisions(&recorded_history(&nodes[1], &own).await);
    let of_clinic = decided.iter().filter(|one| one.requester == name("clinic"));
    let (denied, released): (Vec<_>, Vec<_>) = of_clinic.partition(|one| one.denied);
    assert_eq!(released.len(), 2);
    assert!(matches!(denied.len(), 1 | 2), "{}", denied.len());

    // The members that are left pass the key on among themselves: what was sealed stays open to them.
    let others = ["clinic", "laboratory", "payer"];
    let second = set_committee(&founding, &nodes, (3, &others, &others)).await;
    assert_eq!((second.key, second.members.len()), (first.key, 3));
    assert_ne!(second.round, first.round);
    let opened = release(&nodes[0], &doctor, &patients[0], &result).await;
    assert_eq!(opened.unwrap().member, name("hospital"));

    // Withdrawn, nothing is released any more.
    file(&nodes, &wallet, &patients[0], Some(&consent)).await;
    let denied = release(&nodes[0], &doctor, &patients[0], &result).await;
    assert!(is_denied(&denied), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p6_what_is_erased_is_not_released_any_more() {
    let two = &FOUR[..2];
    let founding = Founding::of(two).copying_to("clinic");
    let nodes = founding.start_all().await;
    let wallet = Wallet::new(12);
    let patients = enrolled(&nodes, &wallet).await;
    let (doctor, sister) = (clinician("clinic"), clinician("hospital"));
    let result = create(&nodes[1], &sister, laboratory_result(&patients[1])).await;
    set_committee(&founding, &nodes, (2, two, two)).await;
    until_placed(&nodes[1]).await;
    file(&nodes, &wallet, &patients[0], None).await;
    let opened = release(&nodes[0], &doctor, &patients[0], &result).await;
    assert_eq!(opened.unwrap().member, name("hospital"));

    let observation = ResourceType::parse("Observation").unwrap();
    let order = ErasureOrder {
        what: ToErase::Document(observation, result.clone()),
        basis: Basis::Gdpr17,
        authority: "the patient".to_owned(),
        justification: "asked for".to_owned(),
        is_redaction: false,
    };
    let erased = nodes[1].custody.erase(&sister, &order).await.unwrap();
    assert_eq!(erased.len(), 1);
    until_placed(&nodes[1]).await;
    let gone = release(&nodes[0], &doctor, &patients[0], &result).await;
    assert!(matches!(gone, Err(CustodyError::NotFound)), "{gone:?}");
}

/// Of alcohol use, as its label says.
fn of_alcohol_use(patient: &str) -> Value {
    let mut result = laboratory_result(patient);
    result["meta"]["security"] = labels();
    result
}

fn labels() -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let labels = ["SUD", "ETHUD", "ETH"].map(|code| json!({ "system": system, "code": code }));
    labels.to_vec().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn part2_2_what_a_committee_releases_says_what_the_consent_covers() {
    let two = &FOUR[..2];
    let founding = Founding::of(two).copying_to("clinic");
    let nodes = founding.start_all().await;
    let wallet = Wallet::new(13);
    let mut patients = Vec::new();
    for (node, pair) in nodes
        .iter()
        .zip([("clinic", "hospital"), ("hospital", "clinic")])
    {
        let enrolment = wallet.trusting_enrolment(node.chain.network(), pair, two);
        let patient = node.custody.enroll(&clinician(pair.0), enrolment).await;
        patients.push(patient.unwrap());
    }
    let (doctor, sister) = (clinician("clinic"), clinician("hospital"));
    let result = create(&nodes[1], &sister, of_alcohol_use(&patients[1])).await;
    set_committee(&founding, &nodes, (2, two, two)).await;
    until_placed(&nodes[1]).await;
    let mut consent = access(&Grant {
        patient: &format!("Patient/{}", patients[0]),
        grantee: "clinic",
        data: &[DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    consent["provision"]["securityLabel"] = labels();
    let id = file_signed(&nodes, wallet.signs(&consent)).await;
    let opened = release(&nodes[0], &doctor, &patients[0], &result).await;
    let opened = opened.unwrap();
    let said = format!("consent clinic/{id} (version 1)");
    let scope = opened.scope.clone().unwrap_or_default();
    assert!(scope.contains(&said), "{scope}");
    assert!(opened.presented().to_string().contains(&said));
}
