//! Branch keys are rotated: what there was stays good, and whoever has only the former keys sees nothing new.

mod root;
mod whole;

use std::collections::BTreeSet;

use ::ledger::ids::{Digest, Tag};
use ::ledger::item::Item;
use contracts::descriptor::Descriptor;
use contracts::export::{self, Export, ExportError};
use interop::fhir::ResourceType;

use super::*;
use crate::custody::AccessEntry;
use crate::custody::audit::gaps::gaps;
use crate::custody::request::{ReceiptState, Written};

/// A patient with a wallet at the hospital.
struct Moving {
    ledger: Ledger,
    site: Site,
    custody: Custody,
    wallet: Wallet,
    patient: String,
}

fn observation_type() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

impl Moving {
    async fn new() -> Self {
        let ledger = Ledger::of(&["clinic", "hospital"]);
        let site = Site::at(&ledger, "hospital");
        let custody = site.open();
        let wallet = Wallet::new(5);
        let enrolment = wallet.enrolment(ledger.network(), "hospital", &["clinic"]);
        let patient = custody.enroll(&clinician("hospital"), enrolment).await;
        Self {
            patient: patient.unwrap(),
            ledger,
            site,
            custody,
            wallet,
        }
    }

    async fn write(&self, text: &str, of: Option<&Written>) -> Written {
        let mut document = observation(&self.patient, text);
        let change = match of {
            None => create(document),
            Some(of) => {
                document["id"] = of.id.as_str().into();
                update(document, Some(of.version))
            }
        };
        let by = clinician("hospital");
        let written = self.custody.write(&by, vec![change]).await;
        written.unwrap().remove(0)
    }

    async fn bring(&self, granted: Vec<GrantedBranch>) -> Result<String, CustodyError> {
        let enrolment = Enrolment {
            wallet_key: self.wallet.public(),
            branches: granted,
            patient_id: Some(self.patient.clone()),
        };
        self.custody.enroll(&clinician("hospital"), enrolment).await
    }

    fn granted(&self, branch: &str, epoch: KeyEpoch) -> GrantedBranch {
        let branch = branch.parse().unwrap();
        self.wallet.grant(self.ledger.network(), branch, epoch)
    }

    async fn rotate(&self, branch: &str, epoch: KeyEpoch) {
        self.bring(vec![self.granted(branch, epoch)]).await.unwrap();
    }

    async fn export(&self, of: &Written) -> Export {
        exported(&self.custody, of).await
    }

    async fn history(&self) -> Vec<AccessEntry> {
        let by = Requester {
            patient: Some(self.patient.clone()),
            practitioner: None,
            purpose: "PATRQT".to_owned(),
            ..clinician("hospital")
        };
        self.custody.access_history(&by).await.unwrap()
    }

    /// Tags that are on the ledger among those that the keys yield for entries and for a document.
    fn seen(&self, granted: &GrantedBranch, document: &Written) -> BTreeSet<Tag> {
        let document = granted.key.document("Observation", &document.id);
        let entries = granted.key.entries();
        let tags = (0..20).flat_map(|n| [entries.tag(n), document.tag(n)]);
        let member = "hospital".parse().unwrap();
        let is_used = |tag: &Tag| {
            Anchor::locate(&self.ledger, &member, *tag)
                .unwrap()
                .is_some()
        };
        tags.filter(is_used).collect()
    }

    async fn settled(&self) {
        settled(&self.custody).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_receipts_from_before_a_rotation_stay_good_and_new_ones_lead_over_it() {
    let moving = Moving::new().await;
    let first = moving.write("one", None).await;
    let before = moving.export(&first).await;
    moving.rotate("index/hospital", 1).await;
    moving.rotate("index/hospital", 2).await;
    let trust = moving.ledger.trust();
    let verified = export::verify(&before, &trust).unwrap();
    assert!(verified.latest, "it was, at its height");
    let after = moving.export(&first).await;
    assert_eq!(after.moves.as_ref().map(Vec::len), Some(2));
    let verified = export::verify(&after, &trust).unwrap();
    assert!(verified.latest && verified.version == 1);
    let decoded = Export::decode(&after.encode()).unwrap();
    assert!(decoded == after);

    let second = moving.write("two", Some(&first)).await;
    assert_eq!(second.version, 2);
    let old = export::verify(&moving.export(&first).await, &trust).unwrap();
    let new = export::verify(&moving.export(&second).await, &trust).unwrap();
    assert!(!old.latest && new.latest);
    let third = moving.write("three", Some(&second)).await;
    assert_eq!(third.version, 3);
    let by = clinician("hospital");
    let history = moving.custody.history(&by, observation_type(), &first.id);
    let versions: Vec<u64> = history
        .await
        .unwrap()
        .iter()
        .map(|one| one.version)
        .collect();
    assert_eq!(versions, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_move_that_is_left_out_or_leads_elsewhere_is_refused() {
    let moving = Moving::new().await;
    let (one, other) = (
        moving.write("one", None).await,
        moving.write("b", None).await,
    );
    moving.rotate("index/hospital", 1).await;
    let (export, foreign) = (moving.export(&one).await, moving.export(&other).await);
    let trust = moving.ledger.trust();
    let refused = |moves| {
        let changed = Export {
            moves,
            ..export.clone()
        };
        export::verify(&changed, &trust).unwrap_err()
    };
    assert_eq!(refused(None), ExportError::AbsenceOfAnother);
    assert_eq!(refused(foreign.moves), ExportError::OtherMove);
    let mut moves = export.moves.clone().unwrap();
    moves[0].successor.tag = Tag([9; 16]);
    assert_eq!(refused(Some(moves)), ExportError::OtherMove);
    let mut moves = export.moves.clone().unwrap();
    moves[0].opening = ::ledger::item::Opening([9; 32]);
    assert_eq!(refused(Some(moves)), ExportError::OtherMove);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_of_the_former_key_sees_nothing_new() {
    let moving = Moving::new().await;
    let first = moving.write("one", None).await;
    let former = moving.granted("index/hospital", 0);
    moving.rotate("index/hospital", 1).await;
    moving.settled().await;
    let seen = moving.seen(&former, &first);
    // Version, entry, and two closing items with two tags each.
    assert_eq!(seen.len(), 6);
    moving.write("two", Some(&first)).await;
    moving.write("another", None).await;
    moving.settled().await;
    assert_eq!(moving.seen(&former, &first), seen);
    let newest = moving.granted("index/hospital", 1);
    assert_eq!(moving.seen(&newest, &first).len(), 3);
    let closing = former.key.entries().tag(2);
    let sealed = moving.custody.descriptors(&[closing]).unwrap().remove(0);
    let (member, network) = ("hospital".parse().unwrap(), moving.ledger.network());
    let open = |granted: &GrantedBranch| {
        let sealed = sealed.as_ref().unwrap();
        crate::custody::open_descriptor(network, &member, &granted.key, sealed)
    };
    let shown = open(&former).unwrap();
    assert!(matches!(
        Descriptor::decode(&shown.descriptor),
        Ok(Descriptor::Moved(_))
    ));
    let next = newest.key.entries().tag(1).0;
    let bytes = [shown.descriptor.as_slice(), &shown.opening.0].concat();
    assert!(!bytes.windows(16).any(|window| window == next));
    let of_new = moving.custody.descriptors(&[newest.key.entries().tag(1)]);
    let of_new = of_new.unwrap().remove(0).unwrap();
    assert!(crate::custody::open_descriptor(network, &member, &former.key, &of_new).is_err());
    crate::custody::open_descriptor(network, &member, &newest.key, &of_new).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_former_key_does_not_fork_a_stream() {
    let moving = Moving::new().await;
    let clinic = Site::at(&moving.ledger, "clinic");
    let clinic = clinic.open();
    let index = moving.granted("index/hospital", 0);
    let mut enrolment = moving
        .wallet
        .enrolment(moving.ledger.network(), "clinic", &[]);
    enrolment.branches.push(index.clone());
    let there = clinic
        .enroll(&clinician("clinic"), enrolment)
        .await
        .unwrap();
    let first = moving.write("one", None).await;
    moving.rotate("index/hospital", 1).await;
    moving.settled().await;
    let taken = [
        index.key.document("Observation", &first.id).tag(2),
        index.key.document("Observation", &first.id).closing(),
        index.key.entries().tag(2),
        index.key.entries().closing(),
    ];
    let member = "hospital".parse().unwrap();
    for tag in taken {
        let place = Anchor::locate(&moving.ledger, &member, tag).unwrap();
        assert!(place.is_some(), "a tag is used once, and this one is used");
    }
    let behind = Item {
        tags: [index.key.entries().tag(3), Tag([8; 16])],
        commitment: Digest([7; 32]),
    };
    moving.ledger.record("hospital", vec![behind]);
    let positions = clinic.foreign_positions(&there).unwrap();
    assert_eq!(
        positions["index/hospital"], 1,
        "what stands behind the end is nothing"
    );
    moving.write("two", Some(&first)).await;
    moving.settled().await;
    assert_eq!(
        clinic.foreign_positions(&there).unwrap()["index/hospital"],
        1
    );
    let given = Enrolment {
        wallet_key: moving.wallet.public(),
        branches: vec![moving.granted("index/hospital", 1)],
        patient_id: Some(there.clone()),
    };
    clinic.enroll(&clinician("clinic"), given).await.unwrap();
    assert_eq!(
        clinic.foreign_positions(&there).unwrap()["index/hospital"],
        2
    );
    let known = [("index/hospital".to_owned(), 0)].into();
    let entries = clinic.foreign_entries(&there, &known).unwrap();
    let positions: Vec<u64> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_branch_keys_are_refused_and_nothing_changes() {
    let moving = Moving::new().await;
    moving.rotate("index/hospital", 2).await;
    let refused = |granted| {
        let moving = &moving;
        async move {
            match moving.bring(vec![granted]).await {
                Err(CustodyError::Invalid(issue)) => issue.diagnostics,
                other => panic!("{other:?}"),
            }
        }
    };
    let stale = refused(moving.granted("index/hospital", 1)).await;
    assert!(stale.starts_with("stale branch keys"), "{stale}");
    let mut other = moving.granted("index/hospital", 2);
    other.key = BranchKey::from_bytes([9; 32]);
    let other = refused(other).await;
    assert!(other.contains("another key"), "{other}");
    moving.rotate("consent/clinic", 1).await;
    let stale = refused(GrantedBranch {
        epoch: 0,
        key: BranchKey::from_bytes([9; 32]),
        ..moving.granted("consent/clinic", 1)
    });
    assert!(stale.await.contains("another key"));
    let view = moving.custody.subject_view(&moving.patient).unwrap();
    assert_eq!(view.branches.len(), 7);
    moving.rotate("index/hospital", 2).await;
    let view = moving.custody.subject_view(&moving.patient).unwrap();
    assert_eq!(view.branches.len(), 7, "the same key again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_the_access_history_is_whole_over_a_rotation() {
    let moving = Moving::new().await;
    let first = moving.write("one", None).await;
    let by = clinician("hospital");
    let read = || moving.custody.read(&by, observation_type(), &first.id);
    read().await.unwrap();
    assert_eq!(moving.history().await.len(), 1);
    moving.rotate("access/hospital", 1).await;
    moving.rotate("access/hospital", 2).await;
    read().await.unwrap();
    let history = moving.history().await;
    let numbers: Vec<u64> = history.iter().map(|entry| entry.position).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let streams = [0, 1, 2].map(|epoch| moving.granted("access/hospital", epoch).key.entries());
    let tags: Vec<Tag> = history.iter().map(|entry| entry.tag).collect();
    let due = [
        streams[0].tag(1),
        streams[0].tag(2),
        streams[1].tag(1),
        streams[2].tag(1),
    ];
    assert_eq!(tags, due);
    for (at, next) in [(1, 2), (2, 3)] {
        let Ok(Descriptor::Moved(moved)) = Descriptor::decode(&history[at].descriptor) else {
            panic!("the stream was closed");
        };
        let step = history[at].successor.unwrap();
        assert!(moved.leads_to(&step) && step.tag == tags[next]);
    }
    moving.settled().await;
    let report = gaps(&moving.custody.held().await.unwrap(), |_| ()).unwrap();
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);
    assert!(
        moving
            .history()
            .await
            .iter()
            .all(|entry| entry.receipt.is_some())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_left_out_of_the_consents_discloses_nothing_any_more() {
    let moving = Moving::new().await;
    let clinic = Site::at(&moving.ledger, "clinic");
    let clinic = clinic.open();
    let enrolment = moving
        .wallet
        .enrolment(moving.ledger.network(), "clinic", &["hospital"]);
    let there = clinic
        .enroll(&clinician("clinic"), enrolment)
        .await
        .unwrap();
    let change = create(observation(&there, "at the clinic"));
    clinic
        .write(&clinician("clinic"), vec![change])
        .await
        .unwrap();
    let tag = moving.granted("index/clinic", 0).key.entries().tag(1);
    assert!(clinic.knows_consents(&[tag]).unwrap());
    moving.rotate("consent/hospital", 1).await;
    moving.settled().await;
    assert!(!clinic.knows_consents(&[tag]).unwrap());
    assert!(
        clinic.missing_consents(&there).unwrap().is_empty(),
        "nothing can be fetched"
    );
    let given = Enrolment {
        wallet_key: moving.wallet.public(),
        branches: vec![moving.granted("consent/hospital", 1)],
        patient_id: Some(there.clone()),
    };
    clinic.enroll(&clinician("clinic"), given).await.unwrap();
    assert!(clinic.knows_consents(&[tag]).unwrap());
    let consent = contracts::consent::template::access(&contracts::consent::template::Grant {
        patient: &format!("Patient/{}", moving.patient),
        grantee: "clinic",
        data: &[contracts::consent::template::DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    let signed = moving.wallet.sign(&consent);
    let by = clinician("hospital");
    moving
        .custody
        .write(&by, vec![Change::File(signed)])
        .await
        .unwrap();
    moving.settled().await;
    let next = moving.granted("consent/hospital", 1).key.entries().tag(1);
    let missing = clinic.missing_consents(&there).unwrap();
    assert_eq!(
        (missing.len(), missing[0].position, missing[0].tag),
        (1, 1, next)
    );
    let hospital = "hospital".parse().unwrap();
    assert_eq!(
        clinic.expects(&hospital, next).unwrap(),
        Some(there.clone())
    );
    let sealed = moving
        .custody
        .consents(&[next])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let adopted = clinic.adopt_consent(&there, &hospital, &sealed).await;
    // It is of another patient's id here, but it is the entry that the key opens.
    assert!(adopted.is_ok(), "{adopted:?}");
    assert!(clinic.knows_consents(&[tag]).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escrow_rotates_for_a_patient_without_a_wallet_and_for_no_other() {
    let moving = Moving::new().await;
    let by = clinician("hospital");
    let written = vec![update(patient("p"), None), create(observation("p", "one"))];
    let written = moving.custody.write(&by, written).await.unwrap();
    moving.custody.rotate_escrowed(&by, "p").await.unwrap();
    let view = moving.custody.subject_view("p").unwrap();
    assert_eq!(view.branches.len(), 8);
    let mut next = observation("p", "two");
    next["id"] = written[1].id.as_str().into();
    let next = moving
        .custody
        .write(&by, vec![update(next, Some(1))])
        .await
        .unwrap();
    assert_eq!(next[0].version, 2);
    let refused = moving.custody.rotate_escrowed(&by, &moving.patient).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
}
