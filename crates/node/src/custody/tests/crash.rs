use std::fs;
use std::path::Path;

use super::*;

const BATCHES: i64 = 12;

fn observation_type() -> interop::fhir::ResourceType {
    interop::fhir::ResourceType::parse("Observation").unwrap()
}

/// Writes until the disk fails; returns the texts that were acknowledged. A round has documents of its own.
async fn write_until_the_disk_fails(custody: &Custody, round: i64) -> Vec<String> {
    let by = clinician("hospital");
    let mut acknowledged = Vec::new();
    if custody
        .write(&by, vec![update(patient("p"), None)])
        .await
        .is_err()
    {
        return acknowledged;
    }
    for number in 1..=BATCHES {
        let mut document = observation("p", &format!("text {number}"));
        document["id"] = format!("one-{round}").into();
        let mut other = observation("p", &format!("text {number}"));
        other["id"] = format!("other-{round}").into();
        let mut fresh = observation("p", "fresh");
        fresh["id"] = format!("fresh-{round}-{number}").into();
        let changes = vec![
            Change::Delete {
                resource_type: observation_type(),
                id: format!("fresh-{round}-{}", number - 1),
                if_match: None,
            },
            Change::CreateAs {
                resource: Resource::from_value(fresh).unwrap(),
            },
            update(document, None),
            update(other, None),
        ];
        if custody.write(&by, changes).await.is_err() {
            break;
        }
        acknowledged.push(format!("text {number}"));
    }
    acknowledged
}

async fn texts(custody: &Custody, id: &str) -> Vec<String> {
    let by = clinician("hospital");
    let observation = interop::fhir::ResourceType::parse("Observation").unwrap();
    let history = match custody.history(&by, observation, id).await {
        Err(CustodyError::NotFound) => return Vec::new(),
        history => history.unwrap(),
    };
    let versions: Vec<u64> = history.iter().map(|entry| entry.version).rev().collect();
    let expected: Vec<u64> = (1..).take(versions.len()).collect();
    assert_eq!(versions, expected, "versions count from 1 without a gap");
    let opened = history.into_iter().rev().filter_map(|entry| entry.opened);
    let text = |opened: crate::custody::Opened| {
        opened.presented()["code"]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    opened.map(text).collect()
}

async fn nothing_is_lost(writes_first: bool) {
    let ledger = Ledger::of(&["hospital"]);
    ledger.reach(false);
    // One store for all crashes: to make one costs more than all that happens in it.
    let site = Site::at(&ledger, "hospital");
    drop(site.open());
    for batches in 0..BATCHES {
        let disk = Failing::after(batches, writes_first);
        let failing = site.open_by(&site.options(), || disk.clone());
        let acknowledged = write_until_the_disk_fails(&failing, batches).await;
        drop(failing);
        let custody = site.open();
        let [one, other] = ["one", "other"].map(|name| format!("{name}-{batches}"));
        let (one, other) = (texts(&custody, &one).await, texts(&custody, &other).await);
        assert_eq!(one, other, "a write is there whole or not at all");
        let written = i64::try_from(one.len()).unwrap();
        for number in 1..=BATCHES {
            let id = format!("fresh-{batches}-{number}");
            let by = clinician("hospital");
            let read = custody.read(&by, observation_type(), &id).await;
            let is_as_left = match (read, number.cmp(&written)) {
                (Err(CustodyError::Deleted { .. }), order) => order.is_lt(),
                (Ok(_), order) => order.is_eq(),
                (Err(CustodyError::NotFound), order) => order.is_gt(),
                (Err(_), _) => false,
            };
            assert!(
                is_as_left,
                "what is created and deleted goes with its write"
            );
        }
        assert!(
            one.starts_with(&acknowledged),
            "{acknowledged:?} in {one:?}"
        );
        assert!(
            one.len() <= acknowledged.len() + 1,
            "at most the unanswered one more"
        );
        entered(&custody).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_was_acknowledged_is_there_after_a_crash_before_the_sync() {
    nothing_is_lost(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_was_acknowledged_is_there_after_a_crash_after_the_sync() {
    nothing_is_lost(true).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn write_one(custody: &Custody, text: &str) -> u64 {
    let mut document = observation("p", text);
    document["id"] = "one".into();
    let changes = vec![update(document, None)];
    let written = custody.write(&clinician("hospital"), changes).await;
    let written = &written.unwrap()[0];
    exported(custody, written).await;
    written.version
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_records_from_a_backup_go_on_after_what_the_ledger_holds() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let RecordsConfig::Local { folder: records } = site.records() else {
        // It copies files.
        return;
    };
    let kept = site.folder.path().join("kept");
    let by = clinician("hospital");
    let custody = site.open();
    custody
        .write(&by, vec![update(patient("p"), None)])
        .await
        .unwrap();
    assert_eq!(write_one(&custody, "before the backup").await, 1);
    drop(custody);
    site.let_go();
    copy(&records, &kept);
    let custody = site.open();
    assert_eq!(write_one(&custody, "lost").await, 2);
    drop(custody);
    site.let_go();
    fs::remove_dir_all(&records).unwrap();
    copy(&kept, &records);
    let custody = site.open();
    assert_eq!(write_one(&custody, "after").await, 3, "2 is on the ledger");
    assert_eq!(custody.outbox().stopped, 0, "no tag was used twice");
    let opened = custody
        .read(
            &by,
            interop::fhir::ResourceType::parse("Observation").unwrap(),
            "one",
        )
        .await
        .unwrap();
    assert_eq!(opened.presented()["code"]["text"], "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_versions_go_on_after_a_crash_and_reach_the_ledger_once() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let failing = site.open_on(&Failing::after(4, true));
    write_until_the_disk_fails(&failing, 0).await;
    drop(failing);
    let custody = site.open();
    let by = clinician("hospital");
    let before = texts(&custody, "one-0").await.len();
    let mut document = observation("p", "after");
    document["id"] = "one-0".into();
    let written = custody
        .write(&by, vec![update(document, None)])
        .await
        .unwrap();
    assert_eq!(usize::try_from(written[0].version).unwrap(), before + 1);
    for version in 1..=written[0].version {
        let of = crate::custody::Written {
            version,
            ..written[0].clone()
        };
        exported(&custody, &of).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_payload_lies_in_the_blob_store_and_its_damage_is_named() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let large = "large ".repeat(40_000);
    let changes = vec![update(patient("p"), None), create(observation("p", &large))];
    let written = custody.write(&by, changes).await.unwrap();
    let blob = site.blob_names().await.pop().unwrap();
    let kind = written[1].resource_type;
    let opened = custody.read(&by, kind, &written[1].id).await.unwrap();
    assert!(opened.presented()["code"]["text"] == large.as_str());

    site.spoil(blob).await;
    let damaged = custody.read(&by, kind, &written[1].id).await;
    let Err(CustodyError::DamagedBlob(id)) = damaged else {
        panic!("a damaged blob was opened")
    };
    assert_eq!(id, blob);

    erase_whole(&custody, &by, kind, &written[1].id)
        .await
        .unwrap();
    assert_eq!(site.blob_names().await, [], "erasing deletes the blob");
}
