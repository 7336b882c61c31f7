//! Another root takes the place of the wallet's: its key is taken for the wallet's, and branches go on under its keys.

use contracts::consent::template::{DataClass, Grant, access};
use contracts::recovery::{Command, Signed};

use super::*;

fn replaced(network: NetworkId, [stolen, next]: [&Wallet; 2]) -> Signed {
    let keys = [stolen, next].map(|wallet| Digest(wallet.public()));
    let place = (network, keys[0], 0);
    let sign = |wallet: &Wallet, bytes: &[u8]| wallet.key.sign(bytes).into();
    let command = Command::replace(place, keys.into(), |bytes| sign(next, bytes));
    Signed::sign(place, command, keys[0], |bytes| sign(stolen, bytes))
}

/// The first keys of another root, as its wallet gives them.
fn given(network: NetworkId, next: &Wallet, (patient, branches): (&str, &[&str])) -> Enrolment {
    let branches = branches.iter().map(|name| name.parse().unwrap());
    Enrolment {
        wallet_key: next.public(),
        branches: branches
            .map(|branch| next.grant(network, branch, 1))
            .collect(),
        patient_id: Some(patient.to_owned()),
    }
}

const HOSPITALS: [&str; 4] = [
    "consent/hospital",
    "index/hospital",
    "index/hospital/restricted",
    "access/hospital",
];

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_stolen_root_opens_nothing_that_was_written_after_another_took_its_place() {
    let mut moving = Moving::new().await;
    let network = moving.ledger.network();
    let first = moving.write("one", None).await;
    let exported = moving.export(&first).await;
    let next = Wallet::new(6);
    let succession = replaced(network, [&moving.wallet, &next]);
    let taken = moving.custody.recovery(&moving.patient, succession, None);
    taken.await.unwrap();
    let refused = moving
        .bring(vec![moving.granted("index/hospital", 1)])
        .await;
    assert!(
        refused.is_err(),
        "the thief brings a key of the stolen root"
    );
    let by = clinician("hospital");
    for _ in 0..2 {
        // As often as it is cut off.
        let keys = given(network, &next, (&moving.patient, &HOSPITALS));
        moving.custody.enroll(&by, keys).await.unwrap();
    }
    moving.settled().await;
    let stolen: Vec<_> = HOSPITALS
        .iter()
        .flat_map(|name| [0, 1, 2].map(|epoch| moving.granted(name, epoch)))
        .collect();
    let seen = |moving: &Moving| -> BTreeSet<Tag> {
        let seen = stolen.iter().map(|key| moving.seen(key, &first));
        seen.flatten().collect()
    };
    let before = seen(&moving);
    let second = moving.write("two", Some(&first)).await;
    moving.write("three", None).await;
    moving
        .custody
        .read(&by, observation_type(), &first.id)
        .await
        .unwrap();
    moving.settled().await;
    assert_eq!(seen(&moving), before, "the stolen root shows something new");
    let new = next.grant(network, "index/hospital".parse().unwrap(), 1);
    assert!(!moving.seen(&new, &first).is_empty());
    let trust = moving.ledger.trust();
    assert!(export::verify(&exported, &trust).is_ok());
    for (of, latest) in [(&first, false), (&second, true)] {
        let export = moving.export(of).await;
        assert_eq!(export::verify(&export, &trust).unwrap().latest, latest);
    }
    moving.wallet = next;
    let history = moving.history().await;
    let moves = history.iter().filter(|entry| {
        matches!(
            Descriptor::decode(&entry.descriptor),
            Ok(Descriptor::Moved(_))
        )
    });
    assert_eq!(moves.count(), 1, "the history leads over the move");
    assert!(history.len() > 2);
}

/// A consent that a wallet signs at the hospital.
fn consent(patient: &str, grantee: &str) -> Value {
    access(&Grant {
        patient: &format!("Patient/{patient}"),
        grantee,
        data: &[DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    })
}

/// Passes the hospital's consents on that the clinic lacks; the outcome of the last.
async fn passed_on(moving: &Moving, clinic: &Custody, there: &str) -> Result<(), CustodyError> {
    let hospital = "hospital".parse().unwrap();
    moving.settled().await;
    let mut outcome = Ok(());
    for missing in clinic.missing_consents(there).unwrap() {
        let sealed = moving.custody.consents(&[missing.tag]).await.unwrap();
        let sealed = sealed.into_iter().flatten().next().unwrap();
        outcome = clinic.adopt_consent(there, &hospital, &sealed).await;
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_that_a_former_key_signed_count_where_they_stand_and_no_later_ones_do() {
    let moving = Moving::new().await;
    let (network, by) = (moving.ledger.network(), clinician("hospital"));
    let next = Wallet::new(6);
    let file = |wallet: &Wallet, grantee: &str| {
        let change = Change::File(wallet.sign(&consent(&moving.patient, grantee)));
        let (custody, by) = (&moving.custody, by.clone());
        async move { custody.write(&by, vec![change]).await }
    };
    file(&moving.wallet, "clinic").await.unwrap();

    // The clinic enrols later: it gets to know the keys one after the other.
    let clinic = Site::at(&moving.ledger, "clinic");
    let clinic = clinic.open();
    let enrolment = moving.wallet.enrolment(network, "clinic", &["hospital"]);
    let there = clinic.enroll(&clinician("clinic"), enrolment).await;
    let there = there.unwrap();
    let succession = replaced(network, [&moving.wallet, &next]);
    clinic.recovery(&there, succession, None).await.unwrap();
    let keys = given(network, &next, (&there, &["consent/hospital"]));
    clinic.enroll(&clinician("clinic"), keys).await.unwrap();
    passed_on(&moving, &clinic, &there).await.unwrap();

    // A hospital that still takes the stolen key for the wallet's has got the new root's keys all the same.
    let mut keys = given(network, &next, (&moving.patient, &["consent/hospital"]));
    keys.wallet_key = moving.wallet.public();
    moving.custody.enroll(&by, keys).await.unwrap();
    file(&moving.wallet, "payer").await.unwrap();
    let forged = passed_on(&moving, &clinic, &there).await;
    assert!(
        matches!(forged, Err(CustodyError::ConsentNotSigned)),
        "{forged:?}"
    );
    assert_eq!(clinic.missing_consents(&there).unwrap().len(), 1);
}
