//! A wrapping key is rotated while records are read, written and erased; a stop at any point loses nothing.

use std::collections::BTreeSet;

use interop::fhir::ResourceType;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, SecretName};
use vault::keytable::WrappedEraseKey;

use super::*;
use crate::custody::store::Table;
use crate::rotation::{RotationError, retire_wrapping, rotate_wrapping};

const CHEAP: KdfCost = KdfCost {
    memory_kib: 8,
    iterations: 1,
    lanes: 1,
};
/// More than two steps of the rotation.
const MANY: usize = 600;

/// A site with a key store, as a node has one.
struct Keyed {
    site: Site,
    keys: FileKeyStore,
}

impl Keyed {
    fn new() -> Self {
        let ledger = Ledger::of(&["hospital"]);
        ledger.reach(false);
        let site = Site::at(&ledger, "hospital");
        let path = site.folder.path().join("keys.bin");
        let keys = FileKeyStore::create(&path, b"words", CHEAP).unwrap();
        keys.generate_wrapping_key(1).unwrap();
        Self { site, keys }
    }

    fn options(&self) -> CustodyOptions {
        let (root, wrapping) = crate::record_keys(&self.keys).unwrap();
        CustodyOptions {
            root,
            wrapping,
            ..self.site.options()
        }
    }

    fn open_on<P: Persist>(&self, persist: impl Fn() -> P) -> Custody {
        self.site.open_by(&self.options(), persist)
    }

    fn open(&self) -> Custody {
        self.open_on(|| Disk)
    }
}

fn observation_type() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}

fn numbered(number: usize) -> Change {
    let mut value = observation("p", &format!("text {number}"));
    value["id"] = format!("o{number}").into();
    update(value, None)
}

async fn fill(custody: &Custody, count: usize) {
    let by = clinician("hospital");
    let patient = vec![update(patient("p"), None)];
    custody.write(&by, patient).await.unwrap();
    for start in (0..count).step_by(100) {
        let some = (start..(start + 100).min(count)).map(numbered);
        custody.write(&by, some.collect()).await.unwrap();
    }
}

async fn text(custody: &Custody, number: usize) -> Option<String> {
    let by = clinician("hospital");
    let id = format!("o{number}");
    let opened = custody.read(&by, observation_type(), &id).await.ok()?;
    Some(opened.presented()["code"]["text"].as_str()?.to_owned())
}

async fn all_open(custody: &Custody, count: usize) {
    for number in 0..count {
        let expected = format!("text {number}");
        assert_eq!(text(custody, number).await, Some(expected));
    }
}

fn epochs(custody: &Custody) -> BTreeSet<u32> {
    let rows = custody.0.store.scan(Table::EraseKeys, &[]);
    let wrapped = rows.map(|row| WrappedEraseKey::from_bytes(&row.unwrap().1).unwrap());
    wrapped.map(|wrapped| wrapped.epoch).collect()
}

async fn until_complete(custody: &Custody) {
    eventually("all erase keys are wrapped anew", || {
        custody.wrapping().is_complete
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_after_a_rotation_every_record_opens_and_older_copies_of_the_key_table_are_noise() {
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, MANY).await;
    assert_eq!(rotate_wrapping(&keyed.keys, &custody).await.unwrap(), 2);
    until_complete(&custody).await;
    let copy: Vec<_> = custody.0.store.scan(Table::EraseKeys, &[]).collect();
    assert_eq!(rotate_wrapping(&keyed.keys, &custody).await.unwrap(), 3);
    until_complete(&custody).await;
    assert_eq!(epochs(&custody), BTreeSet::from([3]));
    let second = keyed.keys.wrapping_key(2).unwrap();
    assert_eq!(retire_wrapping(&keyed.keys, &custody).unwrap(), [2]);
    assert!(!keyed.keys.contains(&SecretName::wrapping(2)));
    all_open(&custody, MANY).await;
    drop(custody);

    let custody = keyed.open();
    assert!(custody.wrapping().is_complete);
    all_open(&custody, MANY).await;
    // What the destroyed key would have opened, and no key that is left does.
    let (root, left) = crate::record_keys(&keyed.keys).unwrap();
    let (key, wrapped) = copy.into_iter().next().unwrap().unwrap();
    let wrapped = WrappedEraseKey::from_bytes(&wrapped).unwrap();
    assert!(second.unwrap(&key, &wrapped).is_ok());
    assert!(left.iter().all(|one| one.unwrap(&key, &wrapped).is_err()));
    let keys = crate::custody::keys::Keys::new(&root, &left);
    let place: &[u8; 24] = (&*key).try_into().unwrap();
    assert!(keys.rewrapped(place, &wrapped.to_bytes()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_and_erased_while_erase_keys_are_wrapped_anew() {
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, MANY).await;
    let by = clinician("hospital");
    rotate_wrapping(&keyed.keys, &custody).await.unwrap();
    for number in 0..20 {
        custody
            .write(&by, vec![numbered(MANY + number)])
            .await
            .unwrap();
        let id = format!("o{}", number * 7);
        let order = erasure_of(observation_type(), &id);
        custody.erase(&by, &order).await.unwrap();
    }
    until_complete(&custody).await;
    assert_eq!(epochs(&custody), BTreeSet::from([2]));
    for number in 0..20 {
        assert_eq!(
            text(&custody, number * 7).await,
            None,
            "erased stays erased"
        );
        let written = MANY + number;
        assert_eq!(
            text(&custody, written).await,
            Some(format!("text {written}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_rotation_that_is_stopped_after_any_batch_goes_on() {
    // One store for all stops: to fill one costs more than all that happens in it.
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, MANY).await;
    drop(custody);
    let stops = (0..6).flat_map(|batches| [(batches, false), (batches, true)]);
    for ((batches, writes_first), epoch) in stops.zip(2..) {
        let custody = keyed.open_on(|| Failing::after(batches, writes_first));
        // It may fail at the first batch already.
        let _begun = rotate_wrapping(&keyed.keys, &custody).await;
        let stopped = custody.stopped();
        tokio::select! {
            () = stopped => {}
            () = until_complete(&custody) => {}
        }
        // Nothing is destroyed before all of it is done.
        retire_wrapping(&keyed.keys, &custody).unwrap();
        drop(custody);
        let custody = keyed.open();
        until_complete(&custody).await;
        assert_eq!(custody.wrapping().epoch, epoch);
        assert_eq!(epochs(&custody), BTreeSet::from([epoch]));
        for number in [0, MANY / 2, MANY - 1] {
            assert_eq!(text(&custody, number).await, Some(format!("text {number}")));
        }
        entered(&custody).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_and_not_used_is_used_after_the_next_start() {
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, 5).await;
    drop(custody);
    keyed.keys.generate_wrapping_key(2).unwrap();
    let custody = keyed.open();
    until_complete(&custody).await;
    assert_eq!(epochs(&custody), BTreeSet::from([2]));
    all_open(&custody, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_do_not_open_without_the_wrapping_key_that_they_are_under() {
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, 5).await;
    rotate_wrapping(&keyed.keys, &custody).await.unwrap();
    until_complete(&custody).await;
    drop(custody);
    keyed.keys.destroy(&SecretName::wrapping(2)).unwrap();
    keyed.site.let_go();
    let anchor: Arc<dyn Anchor> = Arc::new(keyed.site.ledger.clone());
    let refused = Custody::open_on(keyed.options(), anchor, Disk).err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("wrapping key"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rotation_waits_for_the_first() {
    let keyed = Keyed::new();
    let custody = keyed.open();
    fill(&custody, MANY).await;
    rotate_wrapping(&keyed.keys, &custody).await.unwrap();
    match rotate_wrapping(&keyed.keys, &custody).await {
        Err(RotationError::StillRunning(2)) => {}
        // The first was done already.
        Ok(3) => {}
        other => panic!("{other:?}"),
    }
}
