//! The change feed names every version once, in order, whatever happens.

use super::*;
use crate::custody::store::Table;
use crate::custody::{Changed, Effect};

const BATCHES: i64 = 10;

fn named(change: &Changed) -> (u64, String, u64, Effect) {
    let place = format!("{}/{}", change.resource_type, change.id);
    (change.number, place, change.version, change.effect)
}

fn identified(text: &str) -> Value {
    let mut document = observation("p", text);
    document["id"] = "one".into();
    document
}

/// A patient, three versions of a document, the last of which erases the others.
async fn recorded(custody: &Custody) -> Vec<(u64, String, u64, Effect)> {
    let by = clinician("hospital");
    let kind = interop::fhir::ResourceType::parse("Observation").unwrap();
    let first = vec![update(patient("p"), None), update(identified("a"), None)];
    custody.write(&by, first).await.unwrap();
    let delete = Change::Delete {
        resource_type: kind,
        id: "one".to_owned(),
        if_match: None,
    };
    custody.write(&by, vec![delete]).await.unwrap();
    let second = vec![update(identified("b"), None)];
    custody.write(&by, second).await.unwrap();
    custody.changes(0, 10).unwrap().iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_numbered_as_they_were_written() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let mut told = custody.watch_changes();
    assert_eq!(custody.newest_change(), 0);
    let changes = recorded(&custody).await;
    let one = "Observation/one".to_owned();
    let expected = [
        (1, "Patient/p".to_owned(), 1, Effect::Written),
        (2, one.clone(), 1, Effect::Written),
        (3, one.clone(), 2, Effect::Deleted),
        (4, one.clone(), 3, Effect::Written),
    ];
    assert_eq!(changes, expected);
    assert_eq!(*told.borrow_and_update(), 4);
    let refused = update(identified("c"), Some(1));
    let both = vec![update(patient("q"), None), refused];
    let by = clinician("hospital");
    custody.write(&by, both).await.unwrap_err();
    assert!(!told.has_changed().unwrap(), "nothing was written");
    let kind = interop::fhir::ResourceType::parse("Observation").unwrap();
    erase_whole(&custody, &by, kind, "one").await.unwrap();
    let page = custody.changes(3, 1).unwrap();
    assert_eq!(named(&page[0]), expected[3]);
    let last = custody.changes(4, 10).unwrap();
    assert_eq!(named(&last[0]), (5, one, 4, Effect::Erased));
    assert_eq!((last.len(), custody.newest_change()), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_feed_and_versions_agree() {
    let ledger = Ledger::of(&["hospital"]);
    ledger.reach(false);
    // One store for all crashes: to make one costs more than all that happens in it.
    let site = Site::at(&ledger, "hospital");
    let by = clinician("hospital");
    drop(site.open());
    for (batches, writes_first) in (0..BATCHES).flat_map(|n| [(n, false), (n, true)]) {
        let disk = Failing::after(batches, writes_first);
        let failing = site.open_by(&site.options(), || disk.clone());
        for number in 0..BATCHES {
            let text = number.to_string();
            let changes = vec![update(patient("p"), None), update(identified(&text), None)];
            if failing.write(&by, changes).await.is_err() {
                break;
            }
        }
        drop(failing);
        let custody = site.open();
        let kind = interop::fhir::ResourceType::parse("Observation").unwrap();
        let versions = match custody.history(&by, kind, "one").await {
            Ok(history) => history.len(),
            Err(_) => 0,
        };
        let changes = custody.changes(0, 1_000).unwrap();
        let numbers: Vec<u64> = changes.iter().map(|change| change.number).collect();
        let expected: Vec<u64> = (1..).take(versions * 2).collect();
        assert_eq!(numbers, expected, "after {batches} batches");
        let of_one: Vec<u64> = changes
            .iter()
            .filter(|change| change.id == "one")
            .map(|change| change.version)
            .collect();
        assert_eq!(of_one, (1..).take(versions).collect::<Vec<u64>>());
        entered(&custody).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_feed_is_filled_when_it_is_opened() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let mut before = recorded(&custody).await;
    drop(custody);
    let store = site.store();
    let rows: Vec<_> = store
        .scan(Table::Changes, &[])
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 5, "four changes, and that they are all");
    store
        .transact(move |transaction| {
            for (key, _) in rows {
                transaction.remove(Table::Changes, &key);
            }
            Ok(())
        })
        .await
        .unwrap();
    drop(store);
    let custody = site.open();
    let filled = custody.changes(0, 10).unwrap();
    let mut filled: Vec<_> = filled.iter().map(named).collect();
    assert_eq!(custody.newest_change(), 4);
    // All were written in one millisecond: their order is that of documents, then versions.
    for changes in [&mut before, &mut filled] {
        changes.iter_mut().for_each(|change| change.0 = 0);
        changes.sort_by(|one, other| (&one.1, one.2).cmp(&(&other.1, other.2)));
    }
    assert_eq!(filled, before);
    let by = clinician("hospital");
    custody
        .write(&by, vec![update(patient("q"), None)])
        .await
        .unwrap();
    assert_eq!(custody.changes(4, 9).unwrap()[0].number, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_another_member_are_seen_once_they_are_final() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let (hospital, clinic) = (Site::at(&ledger, "hospital"), Site::at(&ledger, "clinic"));
    let (home, other) = (hospital.open(), clinic.open());
    let wallet = Wallet::new(7);
    let network = home.0.home.network;
    let mut enrolment = wallet.enrolment(network, "hospital", &["clinic"]);
    let index = Branch::Index("clinic".parse().unwrap());
    let granted = wallet.grant(network, index.clone(), 0);
    enrolment.branches.push(granted);
    let here = home.enroll(&clinician("hospital"), enrolment).await;
    let here = here.unwrap();
    let there = wallet.enrolment(network, "clinic", &[]);
    let there = other.enroll(&clinician("clinic"), there).await.unwrap();
    let known = home.foreign_positions(&here).unwrap();
    assert_eq!((known.len(), known[&index.name()]), (2, 0));
    ledger.reach(false);
    let by = clinician("clinic");
    for text in ["one", "two"] {
        let change = create(observation(&there, text));
        other.write(&by, vec![change]).await.unwrap();
    }
    assert!(home.foreign_entries(&here, &known).unwrap().is_empty());
    ledger.reach(true);
    let found = || home.foreign_entries(&here, &known).unwrap();
    eventually("both are final", || found().len() == 2).await;
    let positions: Vec<u64> = found().iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [1, 2]);
    assert_eq!(home.foreign_positions(&here).unwrap()[&index.name()], 2);
}
