//! Holds, retention and redaction.

use super::*;
use crate::custody::{Hold, HoldOrder, HoldScope, RetentionRule, RetentionSchedule};

const DAY_MS: u64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_whole_patient_goes_but_for_what_a_hold_is_on() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(2).await;
    let by = clinician("hospital");
    let hold = HoldOrder {
        scope: HoldScope::Document(observations(), id.clone()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: Some(JUNE + DAY_MS),
    };
    let hold = clinic.custody.place_hold(&by, hold).await.unwrap();
    let order = clinic.order(ToErase::Patient("p".to_owned()), Basis::Gdpr17);
    let refused = clinic.custody.erase(&by, &order).await;
    assert!(
        matches!(refused, Err(CustodyError::Held { hold: named, .. }) if named == hold),
        "the whole is refused, and the hold is named"
    );
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let in_force = |holds: Vec<Hold>| holds.iter().filter(|one| one.is_in_force).count();
    assert_eq!(in_force(clinic.custody.holds().unwrap()), 1);
    clinic.custody.release_hold(&by, &hold).await.unwrap();
    assert_eq!(in_force(clinic.custody.holds().unwrap()), 0);
    let erased = clinic.custody.erase(&by, &order).await.unwrap();
    assert_eq!(erased.len(), 2, "the patient's own resource, too");
    clinic.settled().await;
    let certificate = clinic.custody.erasure_certificate(("Patient", "p"), false);
    let certificate = certificate.unwrap().unwrap();
    assert_eq!(certificate.erasures.len(), 2);
    for one in &certificate.erasures {
        erasure::verify(one, &clinic.ledger.trust()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_hold_on_a_patient_ends_at_its_time() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    let hold = HoldOrder {
        scope: HoldScope::Patient("p".to_owned()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: Some(JUNE + DAY_MS),
    };
    clinic.custody.place_hold(&by, hold).await.unwrap();
    let erase = || erase_whole(&clinic.custody, &by, observations(), &id);
    assert!(matches!(erase().await, Err(CustodyError::Held { .. })));
    clinic.now.fetch_add(DAY_MS, Ordering::SeqCst);
    erase().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hipaa_6_nothing_goes_before_the_schedule_unless_a_basis_overrides_it() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    clinic.custody.keep_by(RetentionSchedule {
        rules: vec![RetentionRule {
            name: "HIPAA 164.316(b)(2)".to_owned(),
            jurisdiction: "US".to_owned(),
            types: vec!["Observation".to_owned()],
            keep_days: 6 * 365,
            erase_after_days: Some(10 * 365),
            overridden_by: vec!["court-order".to_owned()],
        }],
    });
    let what = || ToErase::Document(observations(), id.clone());
    for basis in [Basis::Gdpr17, Basis::RetentionExpired] {
        let refused = clinic
            .custody
            .erase(&by, &clinic.order(what(), basis))
            .await;
        assert!(
            matches!(refused, Err(CustodyError::Retained { .. })),
            "{basis:?}"
        );
    }
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    assert!(clinic.custody.retention_due(10).unwrap().is_empty());
    clinic.now.fetch_add(9 * 365 * DAY_MS, Ordering::SeqCst);
    assert!(
        clinic.custody.retention_due(10).unwrap().is_empty(),
        "kept, but not due"
    );
    clinic.now.fetch_add(365 * DAY_MS, Ordering::SeqCst);
    let hold = HoldOrder {
        scope: HoldScope::Patient("p".to_owned()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: None,
    };
    let hold = clinic.custody.place_hold(&by, hold).await.unwrap();
    assert!(
        clinic.custody.retention_due(10).unwrap().is_empty(),
        "a hold is respected"
    );
    clinic.custody.release_hold(&by, &hold).await.unwrap();
    assert_eq!(
        clinic.custody.retention_due(10).unwrap(),
        [(observations(), id.clone())]
    );
    let erased = clinic
        .custody
        .erase_expired(&by, 10, "records office")
        .await;
    assert_eq!(erased.unwrap()[0].basis, "retention-expired");

    let early = clinic.document(1).await;
    let what = ToErase::Document(observations(), early);
    clinic
        .custody
        .erase(&by, &clinic.order(what, Basis::CourtOrder))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_1_a_redaction_leaves_a_tombstone_and_a_reason_and_both_verify() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(3).await;
    let by = clinician("hospital");
    let redaction = |versions| ErasureOrder {
        is_redaction: true,
        ..clinic.order(
            ToErase::Versions(observations(), id.clone(), versions),
            Basis::WrongPatient,
        )
    };
    let one = clinic
        .custody
        .erase(&by, &redaction(vec![2]))
        .await
        .unwrap();
    assert_eq!((one[0].tombstone, one[0].is_redaction), (None, true));
    let read = async |version| {
        clinic
            .custody
            .vread(&by, observations(), &id, version)
            .await
    };
    assert!(matches!(read(2).await, Err(CustodyError::Gone)));
    read(1).await.unwrap();
    read(3).await.unwrap();
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let two = clinic
        .custody
        .erase(&by, &redaction(vec![3]))
        .await
        .unwrap();
    assert_eq!(two[0].tombstone, Some(4), "the current version went");
    read(1).await.unwrap();
    clinic.settled().await;
    let certificate = clinic
        .custody
        .erasure_certificate(("Observation", &id), true);
    let certificate = certificate.unwrap().unwrap();
    let verified: Vec<_> = certificate
        .erasures
        .iter()
        .map(|one| erasure::verify(one, &clinic.ledger.trust()).unwrap())
        .collect();
    assert!(
        verified
            .iter()
            .all(|one| one.is_redaction && one.erased == 1)
    );
    assert_eq!(
        [false, true],
        [verified[0].has_tombstone, verified[1].has_tombstone]
    );
    let reasons = verified.into_iter().map(|one| one.grounds.unwrap());
    assert!(
        reasons
            .into_iter()
            .all(|one| one.basis == "wrong-patient" && !one.justification.is_empty())
    );
    let refused = clinic.custody.erase(&by, &redaction(vec![9])).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
}
