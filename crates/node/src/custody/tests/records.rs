use contracts::export;
use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, Query};
use serde_json::json;

use super::*;
use crate::custody::request::Written;

const PATIENT: ResourceType = ResourceType::PATIENT;

fn observation_type() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

async fn write(custody: &Custody, change: Change) -> Result<Written, CustodyError> {
    let written = custody.write(&clinician("hospital"), vec![change]).await?;
    Ok(written.into_iter().next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_searched_and_listed() {
    let ledger = Ledger::of(&["hospital"]);
    let custody = Site::at(&ledger, "hospital");
    let custody = custody.open();
    let by = clinician("hospital");
    write(&custody, update(patient("p"), None)).await.unwrap();
    let first = write(&custody, create(observation("p", "one")))
        .await
        .unwrap();
    assert_eq!((first.version, first.created), (1, true));
    let mut second = observation("p", "two");
    second["id"] = json!(first.id);
    let second = write(&custody, update(second, Some(1))).await.unwrap();
    assert_eq!((second.version, second.created), (2, false));

    let opened = custody
        .read(&by, observation_type(), &first.id)
        .await
        .unwrap();
    assert_eq!(opened.presented()["code"]["text"], "two");
    assert_eq!(opened.presented()["meta"]["versionId"], "2");
    let old = custody
        .vread(&by, observation_type(), &first.id, 1)
        .await
        .unwrap();
    assert_eq!(old.presented()["code"]["text"], "one");
    let history = custody
        .history(&by, observation_type(), &first.id)
        .await
        .unwrap();
    assert_eq!(
        history.iter().map(|one| one.version).collect::<Vec<_>>(),
        [2, 1]
    );

    let pairs = [
        ("patient".to_owned(), "p".to_owned()),
        ("code".to_owned(), "718-7".to_owned()),
    ];
    let query = Query::parse(observation_type(), &pairs, Handling::Strict).unwrap();
    let page = custody.search(&by, &query).await.unwrap();
    assert_eq!((page.total, page.matches.len()), (Some(1), 1));
    let query = Query::parse(observation_type(), &[], Handling::Strict).unwrap();
    assert_eq!(custody.search(&by, &query).await.unwrap().total, Some(1));
    let everything = custody.local_everything(&by, "p").await.unwrap();
    assert_eq!(everything.entries.len(), 2);

    let delete = Change::Delete {
        resource_type: observation_type(),
        id: first.id.clone(),
        if_match: None,
    };
    assert_eq!(write(&custody, delete).await.unwrap().version, 3);
    let gone = custody.read(&by, observation_type(), &first.id).await;
    assert!(matches!(
        gone,
        Err(CustodyError::Deleted { version: 3, .. })
    ));
    assert_eq!(custody.search(&by, &query).await.unwrap().total, Some(0));
    let missing = custody.read(&by, PATIENT, "nobody").await;
    assert!(matches!(missing, Err(CustodyError::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_of_concurrent_updates_with_one_if_match_exactly_one_wins() {
    let ledger = Ledger::of(&["hospital"]);
    let custody = Site::at(&ledger, "hospital");
    let custody = custody.open();
    write(&custody, update(patient("p"), None)).await.unwrap();
    let attempts = (0..16).map(|_| {
        let custody = custody.clone();
        tokio::spawn(async move { write(&custody, update(patient("p"), Some(1))).await })
    });
    let mut won = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(written) => {
                assert_eq!(written.version, 2);
                won += 1;
            }
            Err(error) => {
                assert!(matches!(
                    error,
                    CustodyError::VersionConflict { current: 2 }
                ));
            }
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_written_whole_or_not_at_all() {
    let ledger = Ledger::of(&["hospital"]);
    let custody = Site::at(&ledger, "hospital");
    let custody = custody.open();
    let by = clinician("hospital");
    let refused = custody
        .write(
            &by,
            vec![update(patient("p"), None), update(patient("q"), Some(3))],
        )
        .await;
    assert!(matches!(refused, Err(CustodyError::PreconditionFailed)));
    let absent = custody.read(&by, PATIENT, "p").await;
    assert!(matches!(absent, Err(CustodyError::NotFound)));
    let unknown = custody
        .write(&by, vec![create(observation("p", "x"))])
        .await;
    assert!(matches!(unknown, Err(CustodyError::UnknownPatient)));
    let written = custody
        .write(
            &by,
            vec![create(observation("p", "x")), update(patient("p"), None)],
        )
        .await
        .unwrap();
    assert_eq!(written.len(), 2);
    assert_eq!(written[0].resource_type, observation_type());
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_p4_an_export_proves_its_version_and_whether_it_is_the_latest() {
    let ledger = Ledger::of(&["hospital"]);
    let custody = Site::at(&ledger, "hospital");
    let custody = custody.open();
    let first = write(&custody, update(patient("p"), None)).await.unwrap();
    let export = exported(&custody, &first).await;
    let verified = export::verify(&export, &ledger.trust()).unwrap();
    assert_eq!(verified.member.as_str(), "hospital");
    assert_eq!(verified.author, "Practitioner/p1");
    assert_eq!((verified.version, verified.latest), (1, true));

    let second = write(&custody, update(patient("p"), Some(1)))
        .await
        .unwrap();
    let later = exported(&custody, &second).await;
    assert!(export::verify(&later, &ledger.trust()).unwrap().latest);
    let superseded = exported(&custody, &first).await;
    assert!(!export::verify(&superseded, &ledger.trust()).unwrap().latest);

    let mut changed = later.clone();
    changed.content[10] ^= 1;
    let refusal = export::verify(&changed, &ledger.trust()).unwrap_err();
    assert_eq!(refusal, export::ExportError::OtherContent);
    let mut changed = later.clone();
    changed.descriptor = export.descriptor;
    let refusal = export::verify(&changed, &ledger.trust()).unwrap_err();
    assert_eq!(refusal, export::ExportError::OtherDescriptor);
    let decoded = export::Export::decode(&later.encode()).unwrap();
    assert!(decoded == later);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_erased_document_leaves_no_key_and_a_gap_that_is_on_the_ledger() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    write(&custody, update(patient("p"), None)).await.unwrap();
    let kept = write(&custody, create(observation("p", "kept")))
        .await
        .unwrap();
    let erased = write(&custody, create(observation("p", "erased")))
        .await
        .unwrap();
    let keys = &custody.0.home.keys;
    let document = keys.document("Observation", &erased.id);
    let key = super::super::rows::version_key(&document, 1);
    let wrapped = custody
        .0
        .store
        .get(super::super::store::Table::EraseKeys, &key)
        .unwrap()
        .unwrap();
    let row = custody
        .0
        .store
        .get(super::super::store::Table::Versions, &key)
        .unwrap()
        .unwrap();
    let tables = site.table_files().await;
    assert!(
        unseen::holds(site.folder.path(), &wrapped) || unseen::holds(&tables, &wrapped),
        "the test finds a key that is there"
    );

    let gone = erase_whole(&custody, &by, observation_type(), &erased.id).await;
    let gap = Written {
        version: gone.unwrap()[0].tombstone.unwrap(),
        ..erased.clone()
    };
    assert_eq!(gap.version, 2);
    let export = exported(&custody, &gap).await;
    let verified = export::verify(&export, &ledger.trust()).unwrap();
    assert!(verified.deleted && verified.latest);
    let tables = site.table_files().await;
    assert!(
        !unseen::holds(&tables, &wrapped),
        "the wrapped key is in no table"
    );
    // A server's table keeps what cannot be opened any more until it is vacuumed.
    let is_elsewhere = matches!(site.records(), RecordsConfig::Postgresql(_));
    assert!(is_elsewhere || !unseen::holds(&tables, &row));
    let old = custody.vread(&by, observation_type(), &erased.id, 1).await;
    assert!(matches!(old, Err(CustodyError::Gone)));
    custody
        .read(&by, observation_type(), &kept.id)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_without_a_wallet_is_held_in_escrow_and_enrolment_needs_all_branches() {
    let ledger = Ledger::of(&["hospital", "payer"]);
    let custody = Site::at(&ledger, "hospital");
    let custody = custody.open();
    let by = clinician("hospital");
    write(&custody, update(patient("p"), None)).await.unwrap();
    assert_eq!(custody.subject_view("p").unwrap().wallet_key, None);
    let wallet = Wallet::new(3);
    let mut enrolment = wallet.enrolment(ledger.network(), "hospital", &["payer"]);
    let id = custody.enroll(&by, enrolment.clone()).await.unwrap();
    let view = custody.subject_view(&id).unwrap();
    assert_eq!(
        (view.wallet_key, view.branches.len()),
        (Some(wallet.public()), 5)
    );
    write(&custody, update(patient(&id), None)).await.unwrap();
    enrolment.branches.truncate(3);
    let refused = custody.enroll(&by, enrolment).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    let clinic = Branch::Index("payer".parse().unwrap());
    let more = Enrolment {
        wallet_key: wallet.public(),
        branches: vec![wallet.grant(ledger.network(), clinic.clone(), 0)],
        patient_id: Some(id.clone()),
    };
    custody.enroll(&by, more.clone()).await.unwrap();
    assert_eq!(custody.subject_view(&id).unwrap().branches.len(), 6);
    let stranger = Enrolment {
        wallet_key: [9; 32],
        ..more
    };
    assert!(custody.enroll(&by, stranger).await.is_err());
}
