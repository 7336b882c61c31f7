//! Before an existing server: written through, found again, attributed, and refused when it was tampered with.

use contracts::consent::template::{DataClass, Grant, access};
use contracts::descriptor::Descriptor;
use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, Query};

use super::existing::{Existing, Mood};
use super::*;
use crate::custody::upstream::{UNATTRIBUTED, UpstreamOptions};
use crate::custody::{CustodyError, Written};

const PRACTITIONER: &str = "Practitioner/p1";

fn open(site: &Site, existing: &Existing) -> Custody {
    open_on(site, existing, || Disk)
}

fn open_on<P: Persist>(site: &Site, existing: &Existing, disk: impl Fn() -> P) -> Custody {
    let mut options = site.options();
    options.upstream = Some(UpstreamOptions {
        server: Arc::new(existing.clone()),
        poll: Duration::from_millis(10),
    });
    site.open_by(&options, disk)
}

fn named(id: &str, text: &str) -> Value {
    let mut observation = observation("p", text);
    observation["id"] = id.into();
    observation
}

fn observations() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

/// Who wrote each version of an observation, by its number.
fn authors(custody: &Custody, id: &str) -> Vec<String> {
    let keys = &custody.0.home.keys;
    let document = keys.document("Observation", id);
    let Some(head) = custody.head(observations(), id).unwrap() else {
        return Vec::new();
    };
    (1..=head.version)
        .filter_map(|version| {
            let loaded = custody.load(&document, version).unwrap()?;
            match Descriptor::decode(&loaded.row.descriptor) {
                Ok(Descriptor::Record(record)) => Some(record.author),
                _ => panic!("no record"),
            }
        })
        .collect()
}

fn query(name: &str, value: &str) -> Query {
    let pairs = [(name.to_owned(), value.to_owned())];
    Query::parse(observations(), &pairs, Handling::Strict).unwrap()
}

fn text_of(opened: &crate::custody::Opened) -> String {
    let presented = opened.presented();
    presented["code"]["text"].as_str().unwrap().to_owned()
}

fn is_marked(opened: &crate::custody::Opened) -> bool {
    let presented = opened.presented();
    presented["meta"]["tag"][0]["code"] == "unattributed"
}

async fn with_patient(custody: &Custody) -> Vec<Written> {
    let changes = vec![
        update(patient("p"), None),
        update(named("o", "first"), None),
    ];
    custody
        .write(&clinician("hospital"), changes)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_there_and_is_read_searched_and_deleted_here() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    let written = with_patient(&custody).await;
    assert_eq!(written[1].version, 1);
    let stored = written[1].stored.as_ref().unwrap();
    assert_eq!(stored.get("meta").unwrap()["source"], "urn:existing");
    assert!(existing.newest("Observation", "o").is_some());
    let read = custody.read(&by, observations(), "o").await.unwrap();
    assert_eq!(text_of(&read), "first");
    // It is what the server made of it.
    assert_eq!(read.presented()["meta"]["source"], "urn:existing");
    assert!(!is_marked(&read));
    custody
        .write(&by, vec![update(named("o", "second"), Some(1))])
        .await
        .unwrap();
    let older = custody.vread(&by, observations(), "o", 1).await.unwrap();
    assert_eq!(text_of(&older), "first");
    let query = query("subject", "Patient/p");
    let page = custody.search(&by, &query).await.unwrap();
    assert_eq!(text_of(&page.matches[0]), "second");
    let deletion = Change::Delete {
        resource_type: observations(),
        id: "o".to_owned(),
        if_match: None,
    };
    custody.write(&by, vec![deletion]).await.unwrap();
    assert!(existing.newest("Observation", "o").is_none());
    let gone = custody.read(&by, observations(), "o").await;
    assert!(matches!(gone, Err(CustodyError::Deleted { .. })));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(authors(&custody, "o"), [PRACTITIONER; 3]);
    assert_eq!(custody.upstream().unwrap().unattributed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_behind_the_node_arrives_without_an_author() {
    for existing in [Existing::new(), Existing::new().without_history()] {
        let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
        let custody = open(&site, &existing);
        let by = clinician("hospital");
        with_patient(&custody).await;
        let before = custody.newest_change();
        existing.put(named("o", "changed"));
        eventually("it arrives", || authors(&custody, "o").len() == 2).await;
        assert_eq!(authors(&custody, "o"), [PRACTITIONER, UNATTRIBUTED]);
        let read = custody.read(&by, observations(), "o").await.unwrap();
        assert_eq!(
            (text_of(&read).as_str(), is_marked(&read)),
            ("changed", true)
        );
        assert_eq!(custody.changes(before, 10).unwrap().len(), 1);
        let query = query("_tag", "urn:careledger:tag|unattributed");
        let page = custody.search(&by, &query).await.unwrap();
        assert_eq!(page.matches.len(), 1);
        // Whoever writes back what was read takes it over, and the tag goes nowhere.
        let mut taken_over = read.presented();
        taken_over["code"]["text"] = "taken over".into();
        custody
            .write(&by, vec![update(taken_over, None)])
            .await
            .unwrap();
        let sent = existing.newest("Observation", "o").unwrap();
        assert_eq!(sent["meta"].get("tag"), None);
        let read = custody.read(&by, observations(), "o").await.unwrap();
        assert!(!is_marked(&read));
        eventually("it is counted", || {
            custody.upstream().unwrap().unattributed == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_behind_the_node_is_deleted_here() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    with_patient(&custody).await;
    existing.delete("Observation", "o");
    eventually("it arrives", || authors(&custody, "o").len() == 2).await;
    let by = clinician("hospital");
    let gone = custody.read(&by, observations(), "o").await;
    assert!(matches!(
        gone,
        Err(CustodyError::Deleted { version: 2, .. })
    ));
    assert_eq!(authors(&custody, "o"), [PRACTITIONER, UNATTRIBUTED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_content_that_was_changed_under_its_version_is_refused() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    existing.tamper("Observation", "o", |content| {
        content["code"]["text"] = "tampered".into();
    });
    let refused = custody.read(&by, observations(), "o").await;
    assert!(matches!(refused, Err(CustodyError::Diverged)));
    assert!(custody.upstream().unwrap().diverged > 0);
    existing.tamper("Observation", "o", |content| {
        content["code"]["text"] = "first".into();
    });
    custody.read(&by, observations(), "o").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_nothing_is_half_written() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    let change = || {
        vec![
            update(named("o", "second"), None),
            create(observation("p", "x")),
        ]
    };
    existing.is(Mood::Down);
    let refused = custody.write(&by, change()).await;
    assert!(matches!(refused, Err(CustodyError::Unavailable { .. })));
    let unread = custody.read(&by, observations(), "o").await;
    assert!(matches!(unread, Err(CustodyError::Unavailable { .. })));
    eventually("it is noticed", || {
        !custody.upstream().unwrap().is_reachable
    })
    .await;
    existing.is(Mood::Refuses(422));
    let refused = custody.write(&by, change()).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    existing.is(Mood::Refuses(403));
    let refused = custody.write(&by, change()).await;
    let expected = CustodyError::RefusedUpstream { status: 403 };
    assert_eq!(
        refused.err().map(|error| error.to_string()),
        Some(expected.to_string())
    );
    existing.is(Mood::Works);
    assert_eq!(authors(&custody, "o").len(), 1);
    assert_eq!(existing.versions("Observation", "o"), 1);
    custody.write(&by, change()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_found_and_is_its_authors() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    existing.is(Mood::LosesAnswers);
    let lost = custody
        .write(&by, vec![update(named("o", "second"), None)])
        .await;
    assert!(matches!(lost, Err(CustodyError::Unavailable { .. })));
    existing.is(Mood::Works);
    eventually("it is found", || authors(&custody, "o").len() == 2).await;
    assert_eq!(authors(&custody, "o"), [PRACTITIONER; 2]);
    let read = custody.read(&by, observations(), "o").await.unwrap();
    assert!(!is_marked(&read));
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_after_a_crash_between_the_two_writes_the_version_is_its_authors() {
    // The batches of a write are its intent and its version; the outbox has some of its own, at times of its own.
    let mut cut_between = 0;
    for (round, batches) in (0..6).cycle().take(60).enumerate() {
        if round >= 6 && cut_between > 0 {
            break;
        }
        let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
        let existing = Existing::new();
        let custody = open(&site, &existing);
        with_patient(&custody).await;
        eventually("all is seen", || !custody.upstream().unwrap().is_taking_in).await;
        settled(&custody).await;
        drop(custody);
        let custody = open_on(&site, &existing, || Failing::after(batches, false));
        let by = clinician("hospital");
        let change = vec![update(named("o", "second"), None)];
        let answer = custody.write(&by, change).await;
        drop(custody);
        let custody = open(&site, &existing);
        let there = existing.versions("Observation", "o");
        cut_between += usize::from(there == 2 && answer.is_err());
        eventually("both agree", || authors(&custody, "o").len() == there).await;
        assert_eq!(authors(&custody, "o"), vec![PRACTITIONER; there]);
        assert!(there == 2 || answer.is_err());
    }
    assert!(cut_between > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_taken_in_before_it_could_be_written_over() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    existing.put(patient("p"));
    existing.put(named("old", "stood there"));
    let mut options = site.options();
    options.upstream = Some(UpstreamOptions {
        server: Arc::new(existing.clone()),
        // Nothing is asked for but what a write needs.
        poll: Duration::from_secs(3_600),
    });
    let anchor: Arc<dyn Anchor> = Arc::new(site.ledger.clone());
    let custody = Custody::open_on(options, anchor, Disk).unwrap();
    let by = clinician("hospital");
    eventually("it is taken in", || authors(&custody, "old").len() == 1).await;
    existing.put(named("old", "newer"));
    let stale = vec![update(named("old", "mine"), Some(1))];
    let stale = custody.write(&by, stale).await;
    assert!(matches!(
        stale,
        Err(CustodyError::VersionConflict { current: 2 })
    ));
    existing.put(named("old", "newest"));
    let mine = vec![update(named("old", "mine"), None)];
    let written = custody.write(&by, mine).await.unwrap();
    assert_eq!(written[0].version, 4);
    existing.put(named("new", "unseen"));
    let mine = vec![update(named("new", "mine"), None)];
    custody.write(&by, mine).await.unwrap();
    assert_eq!(authors(&custody, "new"), [UNATTRIBUTED, PRACTITIONER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stood_there_is_taken_in_and_what_breaks_a_rule_waits() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    for number in 0..7 {
        existing.put(named(&format!("o{number}"), "stood there"));
    }
    let mut orphan = named("orphan", "of nobody known");
    orphan["subject"]["reference"] = "Patient/q".into();
    existing.put(orphan);
    existing.put(
        json!({"resourceType": "Observation", "id": "broken", "status": 7,
        "subject": {"reference": "Patient/p"}}),
    );
    existing.put(patient("p"));
    let custody = open(&site, &existing);
    eventually("it is taken in", || {
        let status = custody.upstream().unwrap();
        !status.is_taking_in && status.unattributed == 8 && status.set_aside == 2
    })
    .await;
    let aside = custody.set_aside_versions().unwrap();
    let ids: Vec<&str> = aside.iter().map(|one| one.id.as_str()).collect();
    assert!(ids.contains(&"orphan") && ids.contains(&"broken"));
    existing.put(patient("q"));
    eventually("the orphan has a patient", || {
        custody.upstream().unwrap().set_aside == 1 && authors(&custody, "orphan").len() == 1
    })
    .await;
    drop(custody);
    let custody = open(&site, &existing);
    eventually("it is counted again", || {
        custody.upstream().unwrap().set_aside == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(authors(&custody, "o3").len(), 1);
    assert_eq!(custody.upstream().unwrap().unattributed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_decisions_do_not_wait_for_the_server() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    let mut consent = access(&Grant {
        patient: "Patient/p",
        grantee: "clinic",
        data: &[DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    consent["id"] = "c".into();
    custody
        .write(&by, vec![update(consent, None)])
        .await
        .unwrap();
    assert!(existing.newest("Consent", "c").is_some());
    existing.is(Mood::Down);
    custody.read(&by, ResourceType::CONSENT, "c").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn x7_what_a_patient_forbids_to_collect_is_not_sent_there() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    let keeping = writing::keeping("collect", "active", &json!({}));
    custody.write(&by, vec![keeping]).await.unwrap();
    let refused = custody.write(&by, vec![update(named("new", "x"), None)]);
    assert!(matches!(refused.await, Err(CustodyError::Denied { .. })));
    assert!(existing.newest("Observation", "new").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_what_is_erased_is_deleted_there() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let existing = Existing::new();
    let custody = open(&site, &existing);
    let by = clinician("hospital");
    with_patient(&custody).await;
    erase_whole(&custody, &by, observations(), "o")
        .await
        .unwrap();
    assert!(existing.newest("Observation", "o").is_none());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let erased = custody.vread(&by, observations(), "o", 1).await;
    assert!(matches!(erased, Err(CustodyError::Gone)));
    assert_eq!(custody.upstream().unwrap().unattributed, 0);
}
