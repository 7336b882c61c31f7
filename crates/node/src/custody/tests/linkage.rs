//! What other members' questions find, what they leave on record, and what they do not tell.

use std::collections::BTreeSet;

use ::ledger::ids::{Digest, Tag};
use contracts::consent::template::{DataClass, Grant, access};
use contracts::linkage::Answers;
use interop::fhir::ResourceType;
use interop::fhir::search::IndexTerms;
use interop::identity::{Encoding, LinkageSecret, Traits};

use super::*;
use crate::custody::store::Table;
use crate::custody::{
    CustodyError, CustodyOptions, Inquiry, InquiryRefusal, LinkageOptions, Reach, RemoteRequest,
    Trail,
};

const SALT: [u8; 32] = [5; 32];

fn secret() -> LinkageSecret {
    LinkageSecret::from_bytes([7; 32])
}

fn linking(site: &Site, answers: Answers) -> CustodyOptions {
    CustodyOptions {
        linkage: Some(LinkageOptions {
            secret: secret(),
            answers,
            members: Some(vec!["hospital".parse().unwrap()]),
            per_hour: 3,
        }),
        ..site.options()
    }
}

/// Families live apart, and have birthdays of their own.
fn person(id: &str, given: &str, family: &str) -> Value {
    let number = family.len();
    json!({ "resourceType": "Patient", "id": id, "active": true,
        "name": [{ "family": family, "given": [given] }],
        "gender": "female", "birthDate": format!("1980-03-{number:02}"),
        "telecom": [{ "system": "phone", "value": format!("+49 30 1234-56{number}") }],
        "address": [{ "line": [format!("{number} Mill Lane")], "city": family, "postalCode": format!("010{number}") }] })
}

fn permits_hospital(patient: &str) -> Value {
    let mut consent = access(&Grant {
        patient: &format!("Patient/{patient}"),
        grantee: "hospital",
        data: &[DataClass::All],
        purpose: "TREAT",
        start: "2026-05-15T00:00:00Z",
        end: "2026-07-15T00:00:00Z",
    });
    consent["id"] = format!("c-{patient}").into();
    consent
}

fn asking(patient: Value) -> Inquiry {
    let traits = Traits::of(&IndexTerms::of(&resource(patient)));
    let bytes = secret().encode(&traits, &SALT).to_bytes();
    Inquiry {
        requester: Requester {
            reach: Reach::default(),
            trail: Trail::default(),
            ..clinician("hospital")
        },
        target: "Patient/$discover".to_owned(),
        request: Digest([9; 32]),
        recipient: SALT.to_vec(),
        encoding: Encoding::from_bytes(&bytes).unwrap(),
    }
}

/// Somebody who has agreed, somebody who has not, and nobody.
const OPEN: [&str; 2] = ["Elizabeth", "Winterbourne"];
const HIDDEN: [&str; 2] = ["Rosalind", "Castelmann"];
const UNKNOWN: [&str; 2] = ["Thomasina", "Holberg"];

async fn world(site: &Site, answers: Answers) -> Custody {
    let custody = site.open_with(&linking(site, answers));
    let by = clinician("clinic");
    let changes = [
        person("open", OPEN[0], OPEN[1]),
        person("hidden", HIDDEN[0], HIDDEN[1]),
        permits_hospital("open"),
    ];
    let changes = changes.map(|one| update(one, None));
    custody.write(&by, changes.to_vec()).await.unwrap();
    until_looked_at(&custody).await;
    custody
}

async fn until_looked_at(custody: &Custody) {
    eventually("it has looked at all", || custody.has_looked_at_all()).await;
}

/// How many entries the accesses of everybody have, the directory's too.
fn entries(custody: &Custody) -> usize {
    custody.0.store.scan(Table::Accesses, &[]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_l2_who_is_unknown_hidden_or_waits_gets_one_answer_and_one_item() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital"]), "clinic");
    let custody = world(&site, Answers::Person).await;
    for [given, family] in [OPEN, HIDDEN, UNKNOWN] {
        let before = entries(&custody);
        let inquiry = asking(person("x", given, family));
        let granted = custody.answer_inquiry(&inquiry).await.unwrap();
        assert!(granted.is_empty(), "{given}");
        assert_eq!(entries(&custody), before + 1, "{given}");
    }
    let by = clinician("clinic");
    let waiting = custody.waiting_links(&by, false).await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|one| one.patient.as_str()).collect();
    assert_eq!(waiting, ["open"], "nobody decides about who has not agreed");
    let report = audit::missing(&custody).await;
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_keys_leave_for_one_certain_patient_who_has_agreed() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital"]), "clinic");
    let custody = world(&site, Answers::Certain).await;
    let ask = async |given: &str, family: &str| {
        let inquiry = asking(person("x", given, family));
        custody.answer_inquiry(&inquiry).await.unwrap()
    };
    let granted = ask(OPEN[0], OPEN[1]).await;
    let names: Vec<_> = granted.iter().map(|one| one.branch.name()).collect();
    assert_eq!(names, ["index/clinic"]);
    assert!(ask(HIDDEN[0], HIDDEN[1]).await.is_empty());
    assert!(ask(UNKNOWN[0], UNKNOWN[1]).await.is_empty());
    let by = clinician("clinic");
    custody.rotate_escrowed(&by, "open").await.unwrap();
    let epochs: Vec<_> = ask(OPEN[0], OPEN[1])
        .await
        .iter()
        .map(|one| one.epoch)
        .collect();
    assert_eq!(
        epochs,
        [0, 1],
        "whoever asks again after a rotation reads on"
    );
    // A twin is looked at by a person.
    assert!(ask("Dorothea", OPEN[1]).await.is_empty());
    // Two records that both seem to be the one: a person says which.
    let double = [
        person("double", OPEN[0], OPEN[1]),
        permits_hospital("double"),
    ];
    let double = double.map(|one| update(one, None)).to_vec();
    custody.write(&by, double).await.unwrap();
    until_looked_at(&custody).await;
    assert!(ask(OPEN[0], OPEN[1]).await.is_empty());
    let waiting = custody.waiting_links(&by, false).await.unwrap();
    assert_eq!(waiting.len(), 2);
}

/// What is granted and withheld when a member asks for what is under a tag.
async fn opened(custody: &Custody, member: &str, tag: Tag) -> (usize, Vec<String>) {
    let request = RemoteRequest {
        requester: clinician(member),
        interaction: "everything".to_owned(),
        target: "Patient/there/$everything".to_owned(),
        documents: vec![tag],
        request: Digest([3; 32]),
        recipient: vec![4; 32],
        emergency: None,
    };
    let answer = custody.answer(&request).await.unwrap();
    let withheld = answer.withheld.into_iter().map(|one| one.reason);
    (answer.granted.len(), withheld.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_l6_what_was_handed_over_is_taken_back_until_somebody_approves() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital"]), "clinic");
    let custody = world(&site, Answers::Certain).await;
    let by = clinician("clinic");
    let (hospital, payer): (MemberName, MemberName) =
        ("hospital".parse().unwrap(), "payer".parse().unwrap());
    let ask = async || {
        let inquiry = asking(person("x", OPEN[0], OPEN[1]));
        custody.answer_inquiry(&inquiry).await.unwrap()
    };
    let withdraw = async |patient: &str, member: &MemberName| {
        custody.withdraw_link(&by, (patient, member), "twin").await
    };
    let early = withdraw("open", &hospital).await;
    assert!(matches!(early, Err(CustodyError::NotFound)), "{early:?}");
    let handed = ask().await.remove(0);
    let tag = handed.key.entries().tag(1);
    let shown = |member: &MemberName| {
        let found = custody.descriptors_for(member, &[tag]).unwrap();
        found[0].is_some()
    };
    assert!(shown(&hospital));
    assert_eq!(opened(&custody, "hospital", tag).await, (1, vec![]));
    for (patient, member) in [("open", &payer), ("hidden", &hospital), ("no", &hospital)] {
        let refused = withdraw(patient, member).await;
        assert!(matches!(refused, Err(CustodyError::NotFound)), "{patient}");
    }

    withdraw("open", &hospital).await.unwrap();
    assert!(ask().await.is_empty());
    assert!(!shown(&hospital) && shown(&payer));
    let withheld = vec!["no such document".to_owned()];
    assert_eq!(opened(&custody, "hospital", tag).await, (0, withheld));
    assert!(custody.waiting_links(&by, false).await.unwrap().is_empty());
    let settled = custody.waiting_links(&by, true).await.unwrap();
    let reasons: Vec<_> = settled
        .iter()
        .map(|one| one.settled.clone().unwrap())
        .collect();
    assert!(matches!(reasons.as_slice(), [(false, _, _, why)] if why == "twin"));
    let report = audit::missing(&custody).await;
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);

    let place = ("open", &hospital);
    custody
        .settle_link(&by, place, (true, "no twin"))
        .await
        .unwrap();
    let epochs: Vec<_> = ask().await.iter().map(|one| one.epoch).collect();
    assert_eq!(epochs, [0, 1], "the index went on under the next key");
    assert!(shown(&hospital));
    assert_eq!(opened(&custody, "hospital", tag).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_gone_is_in_no_bucket_and_on_no_list() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital"]), "clinic");
    let custody = world(&site, Answers::Person).await;
    let inquiry = asking(person("x", OPEN[0], OPEN[1]));
    custody.answer_inquiry(&inquiry).await.unwrap();
    let rows = |prefix: &[u8]| custody.0.store.scan(Table::Linkage, prefix).count();
    assert!(rows(b"b") > 4 && rows(b"d") == 2 && rows(b"w") == 1);
    // Buckets are under a key of this member's on disk.
    let buckets = inquiry.encoding.buckets();
    for row in custody.0.store.scan(Table::Linkage, b"b") {
        let (key, _) = row.unwrap();
        assert!(
            buckets
                .iter()
                .all(|one| !key[1..9].starts_with(one.as_bytes()))
        );
    }
    let by = clinician("clinic");
    for id in ["open", "hidden"] {
        let resource_type = ResourceType::PATIENT;
        let id = id.to_owned();
        let gone = Change::Delete {
            resource_type,
            id,
            if_match: None,
        };
        custody.write(&by, vec![gone]).await.unwrap();
    }
    until_looked_at(&custody).await;
    assert_eq!((rows(b"b"), rows(b"d"), rows(b"w")), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_asks_if_it_may_so_often_as_it_may_and_with_the_secret() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital", "payer"]), "clinic");
    let custody = site.open_with(&linking(&site, Answers::Person));
    let (question, hospital) = (Digest([1; 32]), "hospital".parse().unwrap());
    let proof = secret().proof(&question.0);
    let admitted = |member, proof: &[u8]| custody.admit_inquiry(member, question, proof);
    let payer = "payer".parse().unwrap();
    assert_eq!(admitted(&payer, &proof), Err(InquiryRefusal::NotAnswered));
    assert_eq!(admitted(&hospital, &proof), Ok(()));
    let other = LinkageSecret::from_bytes([8; 32]).proof(&question.0);
    assert_eq!(
        admitted(&hospital, &other),
        Err(InquiryRefusal::OtherSecret)
    );
    assert_eq!(admitted(&hospital, &proof), Ok(()));
    // Also a wrong proof is a question: nobody guesses without end.
    assert_eq!(admitted(&hospital, &proof), Err(InquiryRefusal::TooOften));
    drop(custody);
    let off = site.open_with(&linking(&site, Answers::Off));
    let refused = off.admit_inquiry(&hospital, question, &proof);
    assert_eq!(refused, Err(InquiryRefusal::NotAnswered));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_puts_everybody_into_other_buckets() {
    let site = Site::at(&Ledger::of(&["clinic", "hospital"]), "clinic");
    let custody = world(&site, Answers::Person).await;
    let keys = |custody: &Custody| -> BTreeSet<Vec<u8>> {
        let rows = custody.0.store.scan(Table::Linkage, b"b");
        rows.map(|row| row.unwrap().0).collect()
    };
    let before = keys(&custody);
    drop(custody);
    let mut options = linking(&site, Answers::Person);
    if let Some(linkage) = &mut options.linkage {
        linkage.secret = LinkageSecret::from_bytes([8; 32]);
    }
    let custody = site.open_with(&options);
    until_looked_at(&custody).await;
    let after = keys(&custody);
    assert_eq!(before.len(), after.len());
    assert!(before.is_disjoint(&after));
}
