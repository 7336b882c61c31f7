//! Access entries that several requests share.

use std::collections::BTreeSet;

use contracts::descriptor::{AccessDescriptor, Descriptor};
use interop::fhir::ResourceType;

use super::*;

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
async fn entries(custody: &Custody) -> Vec<(AccessDescriptor, bool)> {
    let by = Requester {
        practitioner: None,
        patient: Some("p".to_owned()),
        ..clinician("hospital")
    };
    let entries = custody.access_history(&by).await.unwrap();
    let entry = |entry: crate::custody::AccessEntry| {
        let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
            panic!("an access history holds accesses")
        };
        (access, entry.receipt.is_some())
    };
    entries.into_iter().map(entry).collect()
}

/// Records in which requests gather until somebody asks for the history.
fn gathering(site: &Site) -> Custody {
    let mut options = site.options();
    options.outbox.gather = Duration::from_hours(1);
    let anchor: Arc<dyn Anchor> = Arc::new(site.ledger.clone());
    Custody::open(options, anchor).unwrap()
}

async fn filled(custody: &Custody, count: usize) -> Vec<String> {
    let mut changes = vec![update(patient("p"), None)];
    changes.extend((0..count).map(|_| create(observation("p", "x"))));
    let written = custody.write(&clinician("hospital"), changes).await;
    let written = written.unwrap().into_iter().skip(1);
    written.map(|one| one.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_requests_that_come_together_share_an_entry_and_each_is_in_it() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = gathering(&site);
    let one = clinician("hospital");
    let colleague = Requester {
        practitioner: Some("Practitioner/p2".to_owned()),
        ..one.clone()
    };
    let payment = Requester {
        role: Some("clerk".to_owned()),
        ..one.clone()
    };
    let documents = filled(&custody, 20).await;
    let who = [one, colleague, payment];
    read_all(&custody, &who, &documents).await;

    let found = entries(&custody).await;
    assert_eq!(found.len(), who.len(), "one for each user and role");
    let requests = found.into_iter().flat_map(|(entry, _)| entry.each());
    let read: BTreeSet<_> = requests
        .map(|access| {
            let permitted = access.decision.unwrap().permitted;
            assert_eq!(permitted, std::slice::from_ref(&access.target));
            (access.principal, access.role, access.target)
        })
        .collect();
    assert_eq!(read.len(), 60, "every request of each user is in an entry");

    until("the entries are final", async || {
        let found = entries(&custody).await;
        found.iter().all(|(_, is_final)| *is_final)
    })
    .await;
    assert_eq!(entries(&custody).await.len(), 3, "they are entered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_requests_that_a_stop_left_are_entered_by_the_next_start() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = gathering(&site);
    let documents = filled(&custody, 3).await;
    read_all(&custody, &[clinician("hospital")], &documents).await;
    assert_eq!(custody.last_access("p").unwrap(), 0, "not entered yet");
    drop(custody);

    let custody = site.open();
    eventually("entered", || custody.last_access("p").unwrap() == 1).await;
    let (entry, _) = entries(&custody).await.remove(0);
    let targets: BTreeSet<_> = entry.each().into_iter().map(|one| one.target).collect();
    let expected = documents.iter().map(|id| format!("Observation/{id}"));
    assert_eq!(targets, expected.collect());
    drop(custody);
    assert_eq!(entries(&site.open()).await.len(), 1, "entered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_request_that_is_not_on_record_is_not_answered() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let documents = filled(&site.open(), 1).await;
    let custody = site.open_on(&Failing::after(0, false));
    let (one, kind) = (
        clinician("hospital"),
        ResourceType::parse("Observation").unwrap(),
    );
    let reads = (0..8).map(|_| custody.read(&one, kind, &documents[0]));
    for outcome in futures::future::join_all(reads).await {
        assert!(outcome.is_err());
    }
    drop(custody);
    assert!(entries(&site.open()).await.is_empty());
}
