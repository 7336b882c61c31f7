//! Access entries that several requests share.

use std::collections::BTreeSet;

use contracts::descriptor::{AccessDescriptor, Descriptor};
use interop::fhir::ResourceType;

use super::*;

/// A disk that takes its time, so that requests gather behind a batch.
struct Slow;

impl Persist for Slow {
    fn persist(&mut self, batch: Batch<'_>) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_millis(30));
        Disk.persist(batch)
    }
}

async fn read_all(custody: &Custody, who: &[Requester], documents: &[String]) {
    let kind = ResourceType::parse("Observation").unwrap();
    let reads = who
        .iter()
        .flat_map(|by| documents.iter().map(move |id| custody.read(by, kind, id)));
    for opened in futures::future::join_all(reads).await {
        opened.unwrap();
    }
}

/// The patient's own view of the entries; each must be what the ledger holds, once it is there.
fn entries(custody: &Custody) -> Vec<(AccessDescriptor, bool)> {
    let by = Requester {
        practitioner: None,
        patient: Some("p".to_owned()),
        ..clinician("hospital")
    };
    let entries = custody.access_history(&by).unwrap();
    let entry = |entry: crate::custody::AccessEntry| {
        let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
            panic!("an access history holds accesses")
        };
        (access, entry.receipt.is_some())
    };
    entries.into_iter().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_requests_that_share_a_sync_share_an_entry_and_each_is_in_it() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open_on(Slow);
    let one = clinician("hospital");
    let other = Requester {
        practitioner: Some("Practitioner/p2".to_owned()),
        ..one.clone()
    };
    let mut changes = vec![update(patient("p"), None)];
    changes.extend((0..20).map(|_| create(observation("p", "x"))));
    let written = custody.write(&one, changes).await.unwrap();
    let documents: Vec<String> = written[1..].iter().map(|one| one.id.clone()).collect();
    read_all(&custody, &[one, other], &documents).await;

    eventually("anchored", || {
        entries(&custody).iter().all(|(_, is_final)| *is_final)
    })
    .await;
    let entries: Vec<_> = entries(&custody)
        .into_iter()
        .map(|(entry, _)| entry)
        .collect();
    assert!(
        entries.len() < 20,
        "{} entries for 40 requests",
        entries.len()
    );
    let requests = entries.into_iter().flat_map(AccessDescriptor::each);
    let read: BTreeSet<_> = requests
        .map(|access| {
            let permitted = access.decision.unwrap().permitted;
            assert_eq!(permitted, std::slice::from_ref(&access.target));
            (access.principal, access.target)
        })
        .collect();
    assert_eq!(read.len(), 40, "every request of each user is in an entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_request_whose_sync_failed_is_not_answered() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let one = clinician("hospital");
    let changes = vec![update(patient("p"), None), create(observation("p", "x"))];
    let written = site.open().write(&one, changes).await.unwrap();
    let kind = written[1].resource_type;
    let custody = site.open_on(Failing::after(0, false));
    let reads = (0..8).map(|_| custody.read(&one, kind, &written[1].id));
    for outcome in futures::future::join_all(reads).await {
        assert!(outcome.is_err());
    }
    drop(custody);
    assert!(entries(&site.open()).is_empty());
}
