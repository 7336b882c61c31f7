//! Erasure is real, leaves a gap that can be proven, and comes back after a restore.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use contracts::erasure::{self, CertificateError, CertifiedErasure};
use interop::fhir::ResourceType;

use super::*;
use crate::custody::store::Table;
use crate::custody::{
    Hold, HoldOrder, HoldScope, RemoteRequest, ReplayState, RetentionRule, RetentionSchedule,
};

const DAY_MS: u64 = 86_400_000;

fn observations() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

/// A member's records with a clock that a test turns.
struct Clinic {
    custody: Custody,
    ledger: Ledger,
    site: Site,
    now: Arc<AtomicU64>,
}

impl Clinic {
    fn new(ledger: &Ledger) -> Self {
        let site = Site::at(ledger, "hospital");
        let now = Arc::new(AtomicU64::new(JUNE));
        let custody = opened(&site, &now, None);
        Self {
            custody,
            ledger: ledger.clone(),
            site,
            now,
        }
    }

    /// A document with `versions` versions; its id.
    async fn document(&self, versions: usize) -> String {
        let by = clinician("hospital");
        let one = create(observation("p", "version 1"));
        let changes = vec![update(patient("p"), None), one];
        let written = self.custody.write(&by, changes).await.unwrap();
        let id = written[1].id.clone();
        for number in 2..=versions {
            let mut next = observation("p", &format!("version {number}"));
            next["id"] = json!(id);
            let written = self.custody.write(&by, vec![update(next, None)]).await;
            written.unwrap();
        }
        id
    }

    async fn settled(&self) {
        eventually("anchored", || {
            let outbox = self.custody.outbox();
            outbox.in_flight == 0
                && self
                    .custody
                    .0
                    .store
                    .scan(Table::Outbox, &[])
                    .next()
                    .is_none()
        })
        .await;
    }

    fn order(&self, what: ToErase, basis: Basis) -> ErasureOrder {
        ErasureOrder {
            what,
            basis,
            authority: "District Court 12 C 34/26".to_owned(),
            justification: "Plantedjustification".to_owned(),
            is_redaction: false,
        }
    }
}

fn opened(site: &Site, now: &Arc<AtomicU64>, restored: Option<PathBuf>) -> Custody {
    let clock = Arc::clone(now);
    let options = CustodyOptions {
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        restored,
        ..site.options()
    };
    for _ in 0..500 {
        let anchor: Arc<dyn Anchor> = Arc::new(site.ledger.clone());
        if let Ok(custody) = Custody::open(options.clone(), anchor) {
            return custody;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let anchor: Arc<dyn Anchor> = Arc::new(site.ledger.clone());
    Custody::open(options, anchor).unwrap()
}

/// Wrapped erase keys of a document, as they stand in the key table.
fn wrapped(custody: &Custody, id: &str, versions: u64) -> Vec<Vec<u8>> {
    let document = custody.0.home.keys.document("Observation", id);
    let key = |version| crate::custody::rows::version_key(&document, version);
    let row = |version| {
        custody
            .0
            .store
            .get(Table::EraseKeys, &key(version))
            .unwrap()
    };
    (1..=versions).filter_map(row).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_no_file_of_the_store_holds_a_key_that_was_erased() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(3).await;
    let keys = wrapped(&clinic.custody, &id, 3);
    assert_eq!(keys.len(), 3);
    let folder = clinic.site.folder.path();
    if matches!(clinic.site.records(), RecordsConfig::Postgresql(_)) {
        return;
    }
    assert!(
        unseen::holds(folder, &keys[0]),
        "the test finds what is there"
    );
    let by = clinician("hospital");
    let started = std::time::Instant::now();
    let erased = erase_whole(&clinic.custody, &by, observations(), &id).await;
    println!("an erasure took {:?}", started.elapsed());
    assert_eq!(erased.unwrap()[0].versions, [1, 2, 3]);
    for key in &keys {
        assert!(!unseen::holds(folder, key), "the journal, too");
    }
    // The store goes on, and after a start, too.
    let other = clinic.document(1).await;
    clinic.settled().await;
    let Clinic {
        custody, site, now, ..
    } = clinic;
    drop(custody);
    let again = opened(&site, &now, None);
    again.read(&by, observations(), &other).await.unwrap();
    let gone = again.vread(&by, observations(), &id, 1).await;
    assert!(matches!(gone, Err(CustodyError::Gone)));
    assert!(
        keys.iter()
            .all(|key| !unseen::holds(site.folder.path(), key))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_the_certificate_proves_range_gap_and_who_and_nothing_in_it_can_be_changed() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let clinic = Clinic::new(&ledger);
    let id = clinic.document(2).await;
    clinic.settled().await;
    let by = clinician("hospital");
    let early = clinic
        .custody
        .receipt(&by, observations(), &id, 1)
        .await
        .unwrap();
    erase_whole(&clinic.custody, &by, observations(), &id)
        .await
        .unwrap();
    clinic.settled().await;
    let place = ("Observation", id.as_str());
    let certificate = clinic.custody.erasure_certificate(place, true);
    let certificate = certificate.unwrap().unwrap();
    let one = &certificate.erasures[0];
    let verified = erasure::verify(one, &ledger.trust()).unwrap();
    assert_eq!((verified.erased, verified.has_tombstone), (2, true));
    assert!(verified.missing.is_empty() && !verified.is_redaction);
    assert_eq!(verified.acknowledged[0].holder.as_str(), "hospital");
    let grounds = verified.grounds.unwrap();
    assert_eq!(
        (grounds.basis.as_str(), grounds.id.as_str()),
        ("gdpr-17", id.as_str())
    );

    // What was proven before the erasure is proven still, and the content of an export was its holder's.
    let super::super::ReceiptState::Final(export) = early else {
        panic!("it was final")
    };
    contracts::export::verify(&export, &ledger.trust()).unwrap();

    let bare = clinic
        .custody
        .erasure_certificate(place, false)
        .unwrap()
        .unwrap();
    let verified = erasure::verify(&bare.erasures[0], &ledger.trust()).unwrap();
    assert!(
        verified.grounds.is_none(),
        "nobody is told why who is not to know"
    );
    assert!(!contains(&bare.encode(), b"Plantedjustification"));
    assert!(!contains(&bare.encode(), id.as_bytes()));

    let broken = |change: &dyn Fn(&mut CertifiedErasure)| {
        let mut one = one.clone();
        change(&mut one);
        erasure::verify(&one, &ledger.trust()).unwrap_err()
    };
    let fault = broken(&|one| one.erased.swap(0, 1));
    assert_eq!(fault, CertificateError::OtherItems);
    let fault = broken(&|one| drop(one.erased.pop()));
    assert_eq!(fault, CertificateError::OtherItems);
    let fault = broken(&|one| one.tombstone = None);
    assert_eq!(fault, CertificateError::OtherTombstone);
    let fault = broken(&|one| one.descriptor[5] ^= 1);
    assert_eq!(fault, CertificateError::OtherDescriptor);
    let fault = broken(&|one| one.acknowledgements[0].signature[3] ^= 1);
    assert!(matches!(fault, CertificateError::NotSigned(_)));
    let fault = broken(&|one| {
        let twice = one.acknowledgements[0].clone();
        one.acknowledgements.push(twice);
    });
    assert!(matches!(fault, CertificateError::NotAHolder(_)));
    let fault = broken(&|one| {
        let grounds = one.grounds.as_mut().unwrap();
        let last = grounds.len() - 1;
        grounds[last] ^= 1;
    });
    assert_eq!(fault, CertificateError::OtherGrounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_every_holder_is_asked_and_who_does_not_answer_is_named() {
    let ledger = Ledger::of(&["clinic", "hospital", "payer"]);
    let site = Site::at(&ledger, "hospital");
    let now = Arc::new(AtomicU64::new(JUNE));
    let custody = opened(&site, &now, None);
    let clinic = Site::at(&ledger, "clinic").open();
    let (by, wallet) = (clinician("hospital"), Wallet::new(5));
    let network = Anchor::network(&ledger);
    let enrolment = wallet.enrolment(network, "hospital", &["clinic"]);
    let patient = custody.enroll(&by, enrolment).await.unwrap();
    let written = custody
        .write(&by, vec![create(observation(&patient, "result"))])
        .await;
    let id = written.unwrap()[0].id.clone();
    let consent = contracts::consent::template::access(&contracts::consent::template::Grant {
        patient: &format!("Patient/{patient}"),
        grantee: "clinic",
        data: &[contracts::consent::template::DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    custody
        .write(&by, vec![Change::File(wallet.sign(&consent))])
        .await
        .unwrap();
    let index = wallet.branch(network, &Branch::Index("hospital".parse().unwrap()));
    let request = RemoteRequest {
        requester: clinician("clinic"),
        interaction: "everything".to_owned(),
        target: "Patient/there/$everything".to_owned(),
        documents: vec![index.entries().tag(1)],
        request: ::ledger::ids::Digest([3; 32]),
        recipient: vec![4; 32],
    };
    assert_eq!(custody.answer(&request).await.unwrap().granted.len(), 1);

    let erased = erase_whole(&custody, &by, observations(), &id)
        .await
        .unwrap();
    let names: Vec<_> = erased[0]
        .holders
        .iter()
        .map(|one| one.member.as_str())
        .collect();
    assert_eq!(names, ["hospital", "clinic"], "the payer never had a key");
    assert!(erased[0].holders[0].acknowledged_ms.is_some());
    eventually("anchored", || {
        custody.erasures_of("Observation", &id).unwrap()[0].is_final
    })
    .await;

    let due = custody.due_erasures().await.unwrap();
    assert_eq!((due.len(), due[0].holder.as_str()), (1, "clinic"));
    custody
        .holder_said(&due[0], Err("the member does not answer".to_owned()))
        .await
        .unwrap();
    assert!(
        custody.due_erasures().await.unwrap().is_empty(),
        "it waits before it asks again"
    );
    custody.count_erasures().unwrap();
    let standing = custody.erasure_standing();
    assert_eq!(
        (standing.open, standing.missing[0].0.as_str()),
        (1, "clinic")
    );
    let certificate = custody
        .erasure_certificate(("Observation", &id), false)
        .unwrap()
        .unwrap();
    let verified = erasure::verify(&certificate.erasures[0], &ledger.trust()).unwrap();
    assert_eq!(verified.missing, ["clinic".parse().unwrap()]);

    // After a stop it goes on, when the wait is over.
    drop(custody);
    now.fetch_add(5_000, Ordering::SeqCst);
    let custody = opened(&site, &now, None);
    let due = custody.due_erasures().await.unwrap();
    let descriptor = crate::custody::erasure_in(&due[0].notice.descriptor).unwrap();
    let said = clinic.acknowledge(&"hospital".parse().unwrap(), &due[0].notice, &descriptor);
    custody
        .holder_said(&due[0], Ok(clinic.signed(&said).unwrap()))
        .await
        .unwrap();
    let certificate = custody
        .erasure_certificate(("Observation", &id), false)
        .unwrap()
        .unwrap();
    let verified = erasure::verify(&certificate.erasures[0], &ledger.trust()).unwrap();
    assert!(verified.missing.is_empty());
    assert_eq!(verified.acknowledged.len(), 2);
    let none = custody.answer(&request).await.unwrap();
    assert_eq!(
        (none.granted.len(), none.withheld[0].reason.as_str()),
        (0, "erased")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gdpr_1_neither_identifier_nor_grounds_are_on_the_ledger() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(2).await;
    let by = clinician("hospital");
    erase_whole(&clinic.custody, &by, observations(), &id)
        .await
        .unwrap();
    clinic.settled().await;
    let submitted = clinic.ledger.submitted().concat();
    let planted = [
        "Plantedfamily",
        "Plantedjustification",
        "the patient",
        "gdpr-17",
        "Observation",
        &id,
    ];
    for planted in planted {
        let hash = ::ledger::ids::Digest::of(planted.as_bytes()).0;
        assert!(!contains(&submitted, planted.as_bytes()) && !contains(&submitted, &hash));
    }
}

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
    drop(site.store());
    copy(site.folder.path(), backup.path());

    let custody = opened(&site, &now, None);
    erase_whole(&custody, &by, observations(), &id)
        .await
        .unwrap();
    let erased = |custody: &Custody| custody.erasures_of("Observation", &id).unwrap()[0].is_final;
    eventually("anchored", || {
        erased(&custody) && custody.outbox().in_flight == 0
    })
    .await;
    drop(custody);
    drop(site.store());
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
    tokio::time::timeout(Duration::from_secs(20), custody.until_serving())
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
    drop(site.store());
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
    drop(site.store());
    let later = TempDir::new().unwrap();
    copy(&site.folder.path().join("records"), later.path());
    let later = crate::custody::take_keys(later.path()).unwrap();
    assert!(!contains(&later, &keys[0]));

    let records = site.folder.path().join("records");
    std::fs::remove_dir_all(&records).unwrap();
    copy(backup.path(), &records);
    crate::custody::put_keys(&records, &later).unwrap();
    let custody = opened(&site, &now, None);
    tokio::time::timeout(Duration::from_secs(20), custody.until_serving())
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
    drop(site.store());
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
    drop(site.store());
    std::fs::remove_dir_all(site.folder.path().join("records")).unwrap();
    copy(
        &backup.path().join("records"),
        &site.folder.path().join("records"),
    );
    let custody = opened(&site, &now, None);
    tokio::time::timeout(Duration::from_secs(20), custody.until_serving())
        .await
        .unwrap();
    let gone = custody.read(&by, observations(), &id).await;
    assert!(matches!(gone, Err(CustodyError::Deleted { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_whole_patient_goes_but_for_what_a_hold_is_on() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(2).await;
    let by = clinician("hospital");
    let hold = HoldOrder {
        scope: HoldScope::Document(observations(), id.clone()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: Some(JUNE + DAY_MS),
    };
    let hold = clinic.custody.place_hold(&by, hold).await.unwrap();
    let order = clinic.order(ToErase::Patient("p".to_owned()), Basis::Gdpr17);
    let refused = clinic.custody.erase(&by, &order).await;
    assert!(
        matches!(refused, Err(CustodyError::Held { hold: named, .. }) if named == hold),
        "the whole is refused, and the hold is named"
    );
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let in_force = |holds: Vec<Hold>| holds.iter().filter(|one| one.is_in_force).count();
    assert_eq!(in_force(clinic.custody.holds().unwrap()), 1);
    clinic.custody.release_hold(&by, &hold).await.unwrap();
    assert_eq!(in_force(clinic.custody.holds().unwrap()), 0);
    let erased = clinic.custody.erase(&by, &order).await.unwrap();
    assert_eq!(erased.len(), 2, "the patient's own resource, too");
    clinic.settled().await;
    let certificate = clinic.custody.erasure_certificate(("Patient", "p"), false);
    let certificate = certificate.unwrap().unwrap();
    assert_eq!(certificate.erasures.len(), 2);
    for one in &certificate.erasures {
        erasure::verify(one, &clinic.ledger.trust()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_hold_on_a_patient_ends_at_its_time() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    let hold = HoldOrder {
        scope: HoldScope::Patient("p".to_owned()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: Some(JUNE + DAY_MS),
    };
    clinic.custody.place_hold(&by, hold).await.unwrap();
    let erase = || erase_whole(&clinic.custody, &by, observations(), &id);
    assert!(matches!(erase().await, Err(CustodyError::Held { .. })));
    clinic.now.fetch_add(DAY_MS, Ordering::SeqCst);
    erase().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hipaa_6_nothing_goes_before_the_schedule_unless_a_basis_overrides_it() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    clinic.custody.keep_by(RetentionSchedule {
        rules: vec![RetentionRule {
            name: "HIPAA 164.316(b)(2)".to_owned(),
            jurisdiction: "US".to_owned(),
            types: vec!["Observation".to_owned()],
            keep_days: 6 * 365,
            erase_after_days: Some(10 * 365),
            overridden_by: vec!["court-order".to_owned()],
        }],
    });
    let what = || ToErase::Document(observations(), id.clone());
    for basis in [Basis::Gdpr17, Basis::RetentionExpired] {
        let refused = clinic
            .custody
            .erase(&by, &clinic.order(what(), basis))
            .await;
        assert!(
            matches!(refused, Err(CustodyError::Retained { .. })),
            "{basis:?}"
        );
    }
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    assert!(clinic.custody.retention_due(10).unwrap().is_empty());
    clinic.now.fetch_add(9 * 365 * DAY_MS, Ordering::SeqCst);
    assert!(
        clinic.custody.retention_due(10).unwrap().is_empty(),
        "kept, but not due"
    );
    clinic.now.fetch_add(365 * DAY_MS, Ordering::SeqCst);
    let hold = HoldOrder {
        scope: HoldScope::Patient("p".to_owned()),
        authority: "Public Prosecutor".to_owned(),
        reason: "inquiry".to_owned(),
        until_ms: None,
    };
    let hold = clinic.custody.place_hold(&by, hold).await.unwrap();
    assert!(
        clinic.custody.retention_due(10).unwrap().is_empty(),
        "a hold is respected"
    );
    clinic.custody.release_hold(&by, &hold).await.unwrap();
    assert_eq!(
        clinic.custody.retention_due(10).unwrap(),
        [(observations(), id.clone())]
    );
    let erased = clinic
        .custody
        .erase_expired(&by, 10, "records office")
        .await;
    assert_eq!(erased.unwrap()[0].basis, "retention-expired");

    let early = clinic.document(1).await;
    let what = ToErase::Document(observations(), early);
    clinic
        .custody
        .erase(&by, &clinic.order(what, Basis::CourtOrder))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_1_a_redaction_leaves_a_tombstone_and_a_reason_and_both_verify() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(3).await;
    let by = clinician("hospital");
    let redaction = |versions| ErasureOrder {
        is_redaction: true,
        ..clinic.order(
            ToErase::Versions(observations(), id.clone(), versions),
            Basis::WrongPatient,
        )
    };
    let one = clinic
        .custody
        .erase(&by, &redaction(vec![2]))
        .await
        .unwrap();
    assert_eq!((one[0].tombstone, one[0].is_redaction), (None, true));
    let read = async |version| {
        clinic
            .custody
            .vread(&by, observations(), &id, version)
            .await
    };
    assert!(matches!(read(2).await, Err(CustodyError::Gone)));
    read(1).await.unwrap();
    read(3).await.unwrap();
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let two = clinic
        .custody
        .erase(&by, &redaction(vec![3]))
        .await
        .unwrap();
    assert_eq!(two[0].tombstone, Some(4), "the current version went");
    read(1).await.unwrap();
    clinic.settled().await;
    let certificate = clinic
        .custody
        .erasure_certificate(("Observation", &id), true);
    let certificate = certificate.unwrap().unwrap();
    let verified: Vec<_> = certificate
        .erasures
        .iter()
        .map(|one| erasure::verify(one, &clinic.ledger.trust()).unwrap())
        .collect();
    assert!(
        verified
            .iter()
            .all(|one| one.is_redaction && one.erased == 1)
    );
    assert_eq!(
        [false, true],
        [verified[0].has_tombstone, verified[1].has_tombstone]
    );
    let reasons = verified.into_iter().map(|one| one.grounds.unwrap());
    assert!(
        reasons
            .into_iter()
            .all(|one| one.basis == "wrong-patient" && !one.justification.is_empty())
    );
    let refused = clinic.custody.erase(&by, &redaction(vec![9])).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
}

/// Whether the memory of this process that can be written holds `masked`, of which each byte is inverted here.
#[cfg(target_os = "linux")]
fn memory_holds(masked: &[u8; 32]) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};

    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let first = !masked[0];
    maps.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        if !access.starts_with("rw") || line.contains("[v") {
            return false;
        }
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let length = u64::from_str_radix(end, 16).unwrap() - start;
        let mut bytes =
            zeroize::Zeroizing::new(vec![0; usize::try_from(length.min(512 << 20)).unwrap()]);
        if memory.seek(SeekFrom::Start(start)).is_err() || memory.read_exact(&mut bytes).is_err() {
            return false;
        }
        let is_it = |window: &[u8]| {
            window
                .iter()
                .zip(masked)
                .all(|(one, other)| *one == !*other)
        };
        bytes
            .windows(32)
            .any(|window| window[0] == first && is_it(window))
    })
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn p6_the_process_holds_no_erase_key_after_the_erasure() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let keys = &clinic.custody.0.home.keys;
    let document = keys.document("Observation", &id);
    let key = keys
        .erase_key(&clinic.custody.0.store, &document, 1)
        .unwrap()
        .unwrap();
    let masked = key.masked();
    assert!(memory_holds(&masked), "the test finds what is there");
    drop(key);
    erase_whole(&clinic.custody, &by, observations(), &id)
        .await
        .unwrap();
    clinic.settled().await;
    assert!(!memory_holds(&masked));
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
