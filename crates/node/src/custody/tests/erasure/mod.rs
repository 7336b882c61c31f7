//! Erasure is real, leaves a gap that can be proven, and comes back after a restore.

mod memory;
mod restore;
mod rules;

use std::path::Path;
use std::sync::atomic::AtomicU64;

use contracts::erasure::{self, CertificateError, CertifiedErasure};
use interop::fhir::ResourceType;

use super::*;
use crate::custody::RemoteRequest;
use crate::custody::store::Table;

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
        settled(&self.custody).await;
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
    site.open_with(&options)
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

/// A result that the clinic was given, and how it asked for it.
async fn given(custody: &Custody, ledger: &Ledger) -> (String, RemoteRequest) {
    let (by, wallet) = (clinician("hospital"), Wallet::new(5));
    let network = Anchor::network(ledger);
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
        emergency: None,
    };
    assert_eq!(custody.answer(&request).await.unwrap().granted.len(), 1);
    (id, request)
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_every_holder_is_asked_and_who_does_not_answer_is_named() {
    let ledger = Ledger::of(&["clinic", "hospital", "payer"]);
    let site = Site::at(&ledger, "hospital");
    let now = Arc::new(AtomicU64::new(JUNE));
    let custody = opened(&site, &now, None);
    let elsewhere = Site::at(&ledger, "clinic");
    let clinic = elsewhere.open();
    let by = clinician("hospital");
    let (id, request) = given(&custody, &ledger).await;

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
    let said = clinic.acknowledge(&"hospital".parse().unwrap(), &due[0].notice, &descriptor, 0);
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

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
