//! Damage to records is found and counted, and nothing else is.

use std::fs;
use std::path::PathBuf;

use crate::custody::inspect::{RecordFault, RecordPart};
use crate::custody::store::Table;

use super::*;

type Found = Vec<(RecordPart, RecordFault, u64)>;

/// Two patients' worth of small records, and one that is too large for a row; all of it on the ledger.
async fn recorded(ledger: &Ledger) -> Site {
    let site = Site::at(ledger, "hospital");
    let custody = site.open();
    let large = "x".repeat(200 << 10);
    let changes = [
        update(patient("p"), None),
        create(observation("p", "one")),
        create(observation("p", "two")),
        create(observation("p", &large)),
    ];
    for change in changes {
        custody
            .write(&clinician("hospital"), vec![change])
            .await
            .unwrap();
    }
    settled(&custody).await;
    drop(custody);
    site
}

async fn found(site: &Site) -> Found {
    let report = site.inspected().await;
    let damages = report.damages.iter();
    damages
        .map(|one| (one.part, one.fault, one.count))
        .collect()
}

/// Changes all rows of a table; without a change, removes them.
async fn change(site: &Site, table: Table, change: Option<fn(&mut Vec<u8>)>) {
    let store = site.store();
    let rows: Vec<_> = store.scan(table, &[]).map(Result::unwrap).collect();
    let changing = store.transact(move |transaction| {
        for (key, mut row) in rows {
            match change {
                Some(change) => {
                    change(&mut row);
                    transaction.put(table, &key, row);
                }
                None => transaction.remove(table, &key),
            }
        }
        Ok(())
    });
    changing.await.unwrap();
}

fn blob(site: &Site) -> PathBuf {
    let mut folders = vec![site.folder.path().join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::metadata(&path).unwrap().len() > 64 << 10 {
                return path;
            }
        }
    }
    panic!("no large payload")
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_records_are_counted() {
    let ledger = Ledger::of(&["hospital"]);
    let site = recorded(&ledger).await;
    let report = site.inspected().await;
    assert_eq!(report.damages, []);
    assert_eq!((report.subjects, report.documents), (1, 4));
    assert_eq!((report.versions, report.blobs), (4, 1));
    assert_eq!((report.waiting, report.orphans.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_changed_payload_is_found() {
    if std::env::var_os("CARELEDGER_TEST_S3").is_some() {
        // It changes files.
        return;
    }
    let ledger = Ledger::of(&["hospital"]);
    let site = recorded(&ledger).await;
    let path = blob(&site);
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[1_000] ^= 1;
    fs::write(&path, changed).unwrap();
    let one = [(RecordPart::Blob, RecordFault::Unreadable, 1)];
    assert_eq!(found(&site).await, one);
    fs::remove_file(&path).unwrap();
    assert_eq!(found(&site).await, one);
    let report = site.inspected().await;
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let named: Vec<String> = report.damages[0]
        .blobs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(named, [name], "a backup is asked for it by name");
    fs::write(&path, whole).unwrap();
    assert_eq!(found(&site).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_opened_are_counted() {
    let flipped: Option<fn(&mut Vec<u8>)> = Some(|row| {
        let last = row.len() - 1;
        row[last] ^= 1;
    });
    let cases = [
        (
            Table::Versions,
            flipped,
            RecordPart::Version,
            RecordFault::Unreadable,
        ),
        (
            Table::Versions,
            None,
            RecordPart::Version,
            RecordFault::Missing,
        ),
        (
            Table::Heads,
            flipped,
            RecordPart::Head,
            RecordFault::Unreadable,
        ),
        (Table::Terms, None, RecordPart::Terms, RecordFault::Missing),
        (
            Table::Changes,
            flipped,
            RecordPart::Change,
            RecordFault::Unreadable,
        ),
        (
            Table::Postings,
            None,
            RecordPart::Posting,
            RecordFault::Missing,
        ),
    ];
    for (table, changed, part, fault) in cases {
        let ledger = Ledger::of(&["hospital"]);
        let site = recorded(&ledger).await;
        change(&site, table, changed).await;
        let found = found(&site).await;
        let is_named = found
            .iter()
            .any(|one| (one.0, one.1) == (part, fault) && one.2 >= 4);
        assert!(is_named, "{part:?} {fault:?}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_ledger_does_not_have_is_found() {
    let ledger = Ledger::of(&["hospital"]);
    let site = recorded(&ledger).await;
    ledger.reach(false);
    let custody = site.open();
    let late = create(observation("p", "late"));
    custody
        .write(&clinician("hospital"), vec![late])
        .await
        .unwrap();
    drop(custody);
    assert_eq!(found(&site).await, [], "it is on its way");
    change(&site, Table::Outbox, None).await;
    assert_eq!(found(&site).await, [], "the ledger ends before it");
    ledger.pass(1, 10 * 60_000);
    assert_eq!(
        found(&site).await,
        [(RecordPart::Version, RecordFault::NotAnchored, 1)]
    );
}
