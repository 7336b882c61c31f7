//! The audit log: whole, chained, held against the ledger; and decisions made again.

use std::collections::BTreeSet;

use contracts::access::DecisionRecord;
use contracts::descriptor::{Decided, Descriptor};
use interop::fhir::ResourceType;
use interop::fhir::audit::AuditOutcome;

use super::*;
use crate::custody::audit::gaps::{GapKind, GapReport, gaps};
use crate::custody::audit::replay::{ReplayRange, ReplayReport, replay_range};
use crate::custody::audit::{
    AuditRow, AuditWanted, Held, LogHead, RETAINED_MS, entry_key, event_digest,
};
use crate::custody::keys::Keys;
use crate::custody::rows::access_key;
use crate::custody::store::Table;

const ALWAYS: ReplayRange = ReplayRange::Times(0, u64::MAX);

fn observations() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

fn keys() -> Arc<Keys> {
    Keys::new(&RootKey::from_bytes([11; 32]), &[])
}

/// A patient with observations, each of which was read once, and one of which was refused for marketing.
async fn used(custody: &Custody, count: usize) -> Vec<String> {
    let by = clinician("hospital");
    let mut changes = vec![update(patient("p"), None)];
    changes.extend((0..count).map(|_| create(observation("p", "x"))));
    let written = custody.write(&by, changes).await.unwrap();
    let ids: Vec<String> = written.into_iter().skip(1).map(|one| one.id).collect();
    for id in &ids {
        custody.read(&by, observations(), id).await.unwrap();
    }
    let marketing = Requester {
        purpose: "HMARKT".to_owned(),
        ..by
    };
    let refused = custody.read(&marketing, observations(), &ids[0]).await;
    assert!(matches!(refused, Err(CustodyError::Denied { .. })));
    ids
}

/// What is missing once everything that is on its way has arrived.
pub(super) async fn missing(custody: &Custody) -> GapReport {
    until("everything is final", async || {
        let report = gaps(&custody.held().await.unwrap(), |_| {}).unwrap();
        (report.waiting == 0).then_some(report)
    })
    .await
}

fn at_rest(site: &Site) -> Held {
    when_free(|| {
        Held::at_rest(
            &site.records(),
            &site.blobs(),
            (
                &site.member.parse().unwrap(),
                &(RootKey::from_bytes([11; 32]), Vec::new()),
            ),
            Arc::new(site.ledger.clone()),
        )
    })
}

fn kinds(report: &GapReport) -> BTreeSet<GapKind> {
    report.gaps.iter().map(|gap| gap.kind).collect()
}

async fn replayed(custody: &Custody) -> ReplayReport {
    let held = custody.held().await.unwrap();
    replay_range(&held, ALWAYS, |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_every_interaction_has_an_event_that_the_ledger_commits_to() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let ids = used(&custody, 3).await;
    let absent = custody
        .read(&clinician("hospital"), observations(), "nobody")
        .await;
    assert!(matches!(absent, Err(CustodyError::NotFound)));
    let entries = custody.audit_log(&AuditWanted::all(), 100).unwrap();
    let told: Vec<(&str, AuditOutcome)> = entries
        .iter()
        .rev()
        .map(|(_, entry)| (entry.interaction.as_str(), entry.outcome))
        .collect();
    let done = |interaction| (interaction, AuditOutcome::Done);
    assert_eq!(
        told,
        [
            done("update"),
            done("create"),
            done("create"),
            done("create"),
            done("read"),
            done("read"),
            done("read"),
            ("read", AuditOutcome::Denied),
            ("read", AuditOutcome::Failed),
        ]
    );
    let read = &entries
        .iter()
        .find(|(_, one)| one.interaction == "read" && one.is_entered);
    let (number, read) = read.unwrap();
    assert_eq!(read.patient.as_deref(), Some("p"));
    assert!(
        ids.iter()
            .any(|id| read.target == format!("Observation/{id}"))
    );
    assert!(custody.is_audited_of("p", *number).unwrap());
    custody.anchor_audit().await.unwrap();
    let report = missing(&custody).await;
    assert_eq!(report.gaps, []);
    assert_eq!(
        (report.events, report.covered, report.before_log),
        (9, 9, 0)
    );
    assert!(!custody.anchor_audit().await.unwrap(), "nothing is new");
    // By patient and by time.
    let of_patient = AuditWanted {
        patient: Some("p".to_owned()),
        ..AuditWanted::all()
    };
    assert_eq!(custody.audit_log(&of_patient, 100).unwrap().len(), 8);
    let later = AuditWanted {
        from_ms: JUNE + 1,
        ..AuditWanted::all()
    };
    assert!(custody.audit_log(&later, 100).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hipaa_6_without_a_log_nothing_is_read_and_nothing_is_written() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let ids = used(&site.open(), 1).await;
    // Its head does not open any more: an entry cannot be appended.
    site.store()
        .put_first(Table::Audit, b"h", b"rubbish")
        .unwrap();
    let custody = site.open();
    let by = clinician("hospital");
    let read = custody.read(&by, observations(), &ids[0]).await;
    assert!(matches!(read, Err(CustodyError::Storage(_))));
    let change = create(observation("p", "y"));
    assert!(custody.write(&by, vec![change]).await.is_err());
    drop(custody);
    let held = at_rest(&site);
    assert!(gaps(&held, |_| {}).is_err(), "it is not passed over");
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_1_an_event_or_an_entry_that_goes_is_named() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    used(&custody, 3).await;
    custody.anchor_audit().await.unwrap();
    assert_eq!(missing(&custody).await.gaps, []);
    drop(custody);

    // An event is deleted: the fifth is of the first read.
    let key = entry_key(5);
    let store = site.store();
    let row = store.get(Table::Audit, &key).unwrap().unwrap();
    remove(&store, Table::Audit, &key).await;
    drop(store);
    let report = gaps(&at_rest(&site), |_| {}).unwrap();
    assert_eq!(
        kinds(&report),
        BTreeSet::from([GapKind::EventMissing, GapKind::NumberMissing])
    );
    let gap = report
        .gaps
        .iter()
        .find(|gap| gap.kind == GapKind::EventMissing);
    assert_eq!(gap.unwrap().patient.as_deref(), Some("p"));

    // It is changed, and sealed again by whoever has the keys.
    let store = site.store();
    let mut opened: AuditRow = keys().open_row(Table::Audit, &key, &row).unwrap();
    let mut entry: interop::fhir::audit::AuditEntry = minicbor::decode(&opened.entry).unwrap();
    entry.agent.user = Some("Practitioner/other".to_owned());
    opened.entry = ::ledger::codec::encode(&entry);
    let sealed = keys().seal_row(Table::Audit, &key, &::ledger::codec::encode(&opened));
    store.put_first(Table::Audit, &key, &sealed).unwrap();
    drop(store);
    let found = kinds(&gaps(&at_rest(&site), |_| {}).unwrap());
    assert!(found.contains(&GapKind::ChainBroken) && found.contains(&GapKind::EventMissing));

    // It is put back, and an entry of the access stream goes.
    let store = site.store();
    store.put_first(Table::Audit, &key, &row).unwrap();
    let subject = store.scan(Table::Patients, &[]).next().unwrap().unwrap().1;
    let place = access_key(&subject.try_into().unwrap(), 1);
    remove(&store, Table::Accesses, &place).await;
    drop(store);
    let report = gaps(&at_rest(&site), |_| {}).unwrap();
    assert!(kinds(&report).contains(&GapKind::EntryMissing));
    let gap = report
        .gaps
        .iter()
        .find(|gap| gap.kind == GapKind::EntryMissing);
    assert_eq!(gap.unwrap().position, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_1_a_log_that_is_cut_short_with_its_head_is_found_out_by_the_ledger() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    used(&custody, 1).await;
    // The last event is of no access: nothing but the head commits to it.
    let absent = custody
        .read(&clinician("hospital"), observations(), "nobody")
        .await;
    assert!(absent.is_err());
    custody.anchor_audit().await.unwrap();
    assert_eq!(missing(&custody).await.covered, 5);
    drop(custody);
    let store = site.store();
    let row = store.get(Table::Audit, &entry_key(5)).unwrap().unwrap();
    let row: AuditRow = keys().open_row(Table::Audit, &entry_key(5), &row).unwrap();
    let cut = LogHead {
        number: 4,
        link: row.before,
        recorded: JUNE,
    };
    let sealed = keys().seal_row(Table::Audit, b"h", &::ledger::codec::encode(&cut));
    store.put_first(Table::Audit, b"h", &sealed).unwrap();
    remove(&store, Table::Audit, &entry_key(5)).await;
    drop(store);
    let report = gaps(&at_rest(&site), |_| {}).unwrap();
    assert_eq!(kinds(&report), BTreeSet::from([GapKind::HeadDiffers]));
}

async fn remove(store: &Store, table: Table, key: &[u8]) {
    let key = key.to_vec();
    let removed = store.transact(move |transaction| {
        transaction.remove(table, &key);
        Ok(())
    });
    removed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hipaa_6_nothing_of_the_log_goes_before_six_years() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    used(&site.open(), 1).await;
    let mut options = site.options();
    options.clock = Arc::new(|| JUNE + RETAINED_MS + 1_000);
    let later = site.open_with(&options);
    let refused = later.prune_audit(JUNE + 1_001).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    assert_eq!(later.audit_log(&AuditWanted::all(), 10).unwrap().len(), 4);
    assert_eq!(later.prune_audit(JUNE + 1).await.unwrap(), 4);
    assert!(later.audit_log(&AuditWanted::all(), 10).unwrap().is_empty());
    // The chain goes on from where it was cut.
    used_again(&later).await;
    let report = missing(&later).await;
    assert_eq!(
        (report.events, report.gaps.len()),
        (1, 0),
        "{:?}",
        report.gaps
    );
}

async fn used_again(custody: &Custody) {
    let change = create(observation("p", "z"));
    custody
        .write(&clinician("hospital"), vec![change])
        .await
        .unwrap();
}

fn deny_all() -> Value {
    json!({"resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/p"}, "dateTime": "2026-05-01",
        "provision": {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_every_recorded_decision_comes_out_the_same_and_what_is_erased_says_so() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let ids = used(&custody, 2).await;
    let by = clinician("hospital");
    custody.write(&by, vec![create(deny_all())]).await.unwrap();
    let denied = custody.read(&by, observations(), &ids[0]).await;
    assert!(matches!(denied, Err(CustodyError::Denied { .. })));
    custody.local_everything(&by, "p").await.unwrap();
    let report = replayed(&custody).await;
    assert_eq!((report.decisions, report.same), (5, 5));
    assert_eq!((report.diverged.len(), report.inputs_missing.len()), (0, 0));
    let order = erasure_of(observations(), &ids[1]);
    custody.erase(&by, &order).await.unwrap();
    let report = replayed(&custody).await;
    assert_eq!((report.same, report.erased), (3, 2));
    assert_eq!(report.diverged, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_node_that_records_what_it_should_not_have_permitted_is_found() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let ids = used(&custody, 1).await;
    let by = clinician("hospital");
    custody.write(&by, vec![create(deny_all())]).await.unwrap();
    assert!(custody.read(&by, observations(), &ids[0]).await.is_err());
    // It takes the record of the denial, makes a permit of it, and anchors that as any other.
    lie(&custody, |record, decided| {
        record.rulings[0].permitted = true;
        record.rulings[0].determining = vec!["network/own-care".to_owned()];
        decided.permitted = vec!["Observation/1".to_owned()];
        decided.withheld = 0;
    })
    .await;
    assert_eq!(missing(&custody).await.gaps, [], "nothing else tells");
    let report = replayed(&custody).await;
    assert_eq!(report.diverged.len(), 1);
    let found = &report.diverged[0];
    assert_eq!(found.patient.as_deref(), Some("p"));
    assert!(
        found.what.contains("permitted by [network/own-care]"),
        "{}",
        found.what
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_decision_that_leaves_out_a_consent_is_found() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let ids = used(&custody, 1).await;
    let by = clinician("hospital");
    custody.write(&by, vec![create(deny_all())]).await.unwrap();
    assert!(custody.read(&by, observations(), &ids[0]).await.is_err());
    lie(&custody, |record, decided| {
        record.heads.clear();
        record.request.now += 60_000;
        record.rulings[0].permitted = true;
        record.rulings[0].determining = vec!["network/own-care".to_owned()];
        decided.permitted = vec!["Observation/1".to_owned()];
        decided.withheld = 0;
    })
    .await;
    let report = replayed(&custody).await;
    assert_eq!(report.diverged.len(), 1);
    assert!(report.diverged[0].what.contains("was in force"));
}

/// Appends an access whose decision is the last one that was recorded, changed.
async fn lie(custody: &Custody, change: impl FnOnce(&mut DecisionRecord, &mut Decided)) {
    let patient = Requester {
        practitioner: None,
        patient: Some("p".to_owned()),
        ..clinician("hospital")
    };
    let history = custody.access_history(&patient).await.unwrap();
    let Ok(Descriptor::Access(access)) = Descriptor::decode(&history.last().unwrap().descriptor)
    else {
        panic!("an access")
    };
    let access = access.each().pop().unwrap();
    let mut decided = access.decision.unwrap();
    let mut record = DecisionRecord::decode(decided.record.as_deref().unwrap()).unwrap();
    change(&mut record, &mut decided);
    decided.record = Some(record.encode());
    let subject = custody.0.subjects.of_patient("p").unwrap().unwrap();
    custody
        .record(
            &clinician("hospital"),
            "read",
            access.target,
            vec![(subject, decided)],
        )
        .await
        .unwrap();
}

#[test]
fn an_events_digest_depends_on_all_of_it() {
    assert_ne!(event_digest(b"a"), event_digest(b"b"));
    assert_ne!(
        LogHead::EMPTY.after(b"a", 0).link,
        LogHead::EMPTY.after(b"b", 0).link
    );
    let twice = LogHead::EMPTY.after(b"a", 0).after(b"a", 0);
    assert_ne!(twice.link, LogHead::EMPTY.after(b"a", 0).link);
}
