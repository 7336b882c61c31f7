//! Records that are put back from a backup.

use super::*;
use crate::custody::ReplayState;

#[tokio::test(flavor = "multi_thread")]
async fn gdpr_2_an_old_backup_loses_again_what_was_erased_before_anything_is_read() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    if matches!(clinic.site.records(), RecordsConfig::Postgresql(_)) {
        return;
    }
    let id = clinic.document(2).await;
    let by = clinician("hospital");
    let kept = create(observation("p", "kept"));
    let kept = clinic.custody.write(&by, vec![kept]).await.unwrap()[0]
        .id
        .clone();
    clinic.settled().await;
    let Clinic {
        custody,
        ledger,
        site,
        now,
    } = clinic;
    let keys = wrapped(&custody, &id, 2);
    drop(custody);
    let backup = TempDir::new().unwrap();
    site.let_go();
    copy(site.folder.path(), backup.path());

    let custody = opened(&site, &now, None);
    erase_whole(&custody, &by, observations(), &id)
        .await
        .unwrap();
    let erased = |custody: &Custody| custody.erasures_of("Observation", &id).unwrap()[0].is_final;
    eventually("anchored", || erased(&custody)).await;
    settled(&custody).await;
    drop(custody);
    site.let_go();
    std::fs::remove_dir_all(site.folder.path().join("records")).unwrap();
    copy(
        &backup.path().join("records"),
        &site.folder.path().join("records"),
    );
    assert!(
        unseen::holds(site.folder.path(), &keys[0]),
        "the backup has the keys"
    );

    // The ledger is not as late as this start: nobody reads until it is.
    let mark = site.folder.path().join("restored");
    std::fs::write(&mark, b"").unwrap();
    now.fetch_add(60_000, Ordering::SeqCst);
    let custody = opened(&site, &now, Some(mark.clone()));
    assert_eq!(custody.replay_state(), ReplayState::Waiting);
    let early = custody.read(&by, observations(), &kept).await;
    assert!(matches!(early, Err(CustodyError::Unavailable { .. })));
    ledger.pass(1, 120_000);
    tokio::time::timeout(PATIENCE, custody.until_serving())
        .await
        .unwrap();
    assert!(!mark.exists());
    custody.read(&by, observations(), &kept).await.unwrap();
    let gone = custody.read(&by, observations(), &id).await;
    assert!(matches!(gone, Err(CustodyError::Deleted { .. })));
    let gone = custody.vread(&by, observations(), &id, 1).await;
    assert!(matches!(gone, Err(CustodyError::Gone)));
    assert!(
        keys.iter()
            .all(|key| !unseen::holds(site.folder.path(), key))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gdpr_2_a_backup_without_its_key_table_opens_with_a_later_one_but_for_what_was_erased() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    if matches!(clinic.site.records(), RecordsConfig::Postgresql(_)) {
        return;
    }
    let id = clinic.document(2).await;
    let by = clinician("hospital");
    let kept = create(observation("p", "kept"));
    let kept = clinic.custody.write(&by, vec![kept]).await.unwrap()[0]
        .id
        .clone();
    clinic.settled().await;
    let Clinic {
        custody, site, now, ..
    } = clinic;
    let keys = wrapped(&custody, &id, 2);
    drop(custody);
    site.let_go();
    let backup = TempDir::new().unwrap();
    copy(&site.folder.path().join("records"), backup.path());
    let early = crate::custody::take_keys(backup.path()).unwrap();
    assert!(contains(&early, &keys[0]));
    assert!(
        !unseen::holds(backup.path(), &keys[0]),
        "the backup alone opens nothing"
    );

    let custody = opened(&site, &now, None);
    erase_whole(&custody, &by, observations(), &id)
        .await
        .unwrap();
    eventually("anchored", || {
        custody.erasures_of("Observation", &id).unwrap()[0].is_final
    })
    .await;
    drop(custody);
    site.let_go();
    let later = TempDir::new().unwrap();
    copy(&site.folder.path().join("records"), later.path());
    let later = crate::custody::take_keys(later.path()).unwrap();
    assert!(!contains(&later, &keys[0]));

    let records = site.folder.path().join("records");
    std::fs::remove_dir_all(&records).unwrap();
    copy(backup.path(), &records);
    crate::custody::put_keys(&records, &later).unwrap();
    let custody = opened(&site, &now, None);
    tokio::time::timeout(PATIENCE, custody.until_serving())
        .await
        .unwrap();
    custody.read(&by, observations(), &kept).await.unwrap();
    let gone = custody.read(&by, observations(), &id).await;
    assert!(matches!(gone, Err(CustodyError::Deleted { .. })));
    let gone = custody.vread(&by, observations(), &id, 1).await;
    assert!(matches!(gone, Err(CustodyError::Gone)));
}

#[tokio::test(flavor = "multi_thread")]
async fn gdpr_2_records_that_were_put_back_without_a_word_are_found_out_by_the_ledger() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    if matches!(clinic.site.records(), RecordsConfig::Postgresql(_)) {
        return;
    }
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    clinic.settled().await;
    let Clinic {
        custody, site, now, ..
    } = clinic;
    drop(custody);
    site.let_go();
    let backup = TempDir::new().unwrap();
    copy(site.folder.path(), backup.path());
    let custody = opened(&site, &now, None);
    erase_whole(&custody, &by, observations(), &id)
        .await
        .unwrap();
    eventually("anchored", || {
        custody.erasures_of("Observation", &id).unwrap()[0].is_final
    })
    .await;
    drop(custody);
    site.let_go();
    std::fs::remove_dir_all(site.folder.path().join("records")).unwrap();
    copy(
        &backup.path().join("records"),
        &site.folder.path().join("records"),
    );
    let custody = opened(&site, &now, None);
    tokio::time::timeout(PATIENCE, custody.until_serving())
        .await
        .unwrap();
    let gone = custody.read(&by, observations(), &id).await;
    assert!(matches!(gone, Err(CustodyError::Deleted { .. })));
}
