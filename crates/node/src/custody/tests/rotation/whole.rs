//! A stream is whole after a crash in a rotation, and after writes beside it.

use super::*;

/// Rotates between writes on a disk that fails at one of the batches; whatever it was, each stream is whole afterwards.
async fn a_stream_is_whole_after_a_crash(writes_first: bool) {
    for batches in 0..8 {
        let ledger = Ledger::of(&["clinic", "hospital"]);
        let site = Site::at(&ledger, "hospital");
        let wallet = Wallet::new(5);
        let by = clinician("hospital");
        let enrolment = wallet.enrolment(ledger.network(), "hospital", &[]);
        let patient = site.open().enroll(&by, enrolment).await.unwrap();
        ledger.reach(false);
        let custody = site.open_on(&Failing::after(batches, writes_first));
        let grant = |epoch| {
            let names = ["index/hospital", "access/hospital"];
            let granted =
                names.map(|name| wallet.grant(ledger.network(), name.parse().unwrap(), epoch));
            Enrolment {
                wallet_key: wallet.public(),
                branches: granted.to_vec(),
                patient_id: Some(patient.clone()),
            }
        };
        let document = |text: &str| {
            let mut document = observation(&patient, text);
            document["id"] = "one".into();
            vec![update(document, None)]
        };
        let mut written = 0;
        for epoch in 1..=3 {
            written += u64::from(custody.write(&by, document("text")).await.is_ok());
            let _crashed = custody.enroll(&by, grant(epoch)).await;
            let _read = custody.read(&by, observation_type(), "one").await;
        }
        drop(custody);
        let custody = site.open();
        // The wallet does not know whether its key was taken, and brings it again.
        let newest = custody.subject_view(&patient).unwrap().branches.len();
        let epoch = KeyEpoch::try_from((newest - 4) / 2).unwrap();
        custody.enroll(&by, grant(epoch)).await.unwrap();
        custody.enroll(&by, grant(epoch + 1)).await.unwrap();
        let next = custody
            .write(&by, document("next"))
            .await
            .unwrap()
            .remove(0);
        assert!(next.version > written && next.version <= written + 2);
        ledger.reach(true);
        settled(&custody).await;
        let ReceiptState::Final(export) = custody
            .receipt(&by, observation_type(), "one", next.version)
            .await
            .unwrap()
        else {
            panic!("it is final");
        };
        assert!(export::verify(&export, &ledger.trust()).unwrap().latest);
        drop(custody);
        let report = site.inspected().await;
        assert!(report.damages.is_empty(), "{:?}", report.damages);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_stream_is_whole_after_a_crash_before_the_sync_of_a_rotation() {
    a_stream_is_whole_after_a_crash(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_stream_is_whole_after_a_crash_after_the_sync_of_a_rotation() {
    a_stream_is_whole_after_a_crash(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_writes_during_a_rotation_are_under_the_one_key_or_the_other() {
    let moving = Moving::new().await;
    let first = moving.write("0", None).await;
    let by = clinician("hospital");
    let writing = async {
        for number in 1..40 {
            let mut document = observation(&moving.patient, &number.to_string());
            document["id"] = first.id.as_str().into();
            moving
                .custody
                .write(&by, vec![update(document, None)])
                .await
                .unwrap();
        }
    };
    let rotating = async {
        for epoch in 1..8 {
            moving.rotate("index/hospital", epoch).await;
        }
    };
    futures::join!(writing, rotating);
    moving.settled().await;
    let newest = moving
        .write(
            "last",
            Some(&Written {
                version: 40,
                ..first.clone()
            }),
        )
        .await;
    assert_eq!(newest.version, 41);
    for version in [1, 20, 40, 41] {
        let of = Written {
            version,
            ..first.clone()
        };
        let verified = export::verify(&moving.export(&of).await, &moving.ledger.trust()).unwrap();
        assert_eq!(
            (verified.version, verified.latest),
            (version, version == 41)
        );
    }
    drop(moving.custody);
    let report = moving.site.inspected().await;
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_records_from_before_a_rotation_do_not_close_a_stream_again() {
    let moving = Moving::new().await;
    moving.write("one", None).await;
    moving.rotate("index/hospital", 1).await;
    moving.settled().await;
    let (wallet, network) = (&moving.wallet, moving.ledger.network());
    let by = clinician("hospital");
    let restored = Site::at(&moving.ledger, "hospital");
    let custody = restored.open();
    let enrolment = wallet.enrolment(network, "hospital", &[]);
    let patient = custody.enroll(&by, enrolment).await.unwrap();
    let bring = |granted| Enrolment {
        wallet_key: wallet.public(),
        branches: vec![granted],
        patient_id: Some(patient.clone()),
    };
    let key = moving.granted("index/hospital", 1);
    let other = GrantedBranch {
        key: BranchKey::from_bytes([9; 32]),
        ..key.clone()
    };
    match custody.enroll(&by, bring(other)).await {
        Err(CustodyError::Invalid(issue)) => {
            assert!(issue.diagnostics.contains("another key"), "{issue:?}");
        }
        taken => panic!("{taken:?}"),
    }
    custody.enroll(&by, bring(key.clone())).await.unwrap();
    let written = vec![create(observation(&patient, "two"))];
    custody.write(&by, written).await.unwrap();
    settled(&custody).await;
    let member = "hospital".parse().unwrap();
    for (tag, is_used) in [
        (
            moving.granted("index/hospital", 0).key.entries().tag(3),
            false,
        ),
        (key.key.entries().tag(1), true),
    ] {
        let place = Anchor::locate(&moving.ledger, &member, tag).unwrap();
        assert_eq!(place.is_some(), is_used);
    }
    drop(custody);
    let report = restored.inspected().await;
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}
