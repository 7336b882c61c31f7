use std::collections::BTreeMap;

use ledger::ids::Tag;
use ledger::item::Item;
use rand_chacha::rand_core::RngCore;

use super::*;
use crate::forge::Forge;

const MEMBERS: [&str; 3] = ["clinic", "hospital", "payer"];
const PATIENTS: u8 = 24;
const ITEMS_EACH: usize = 40;
const PER_STATEMENT: usize = 16;

fn item(random: &mut ChaCha8Rng) -> Item {
    let mut bytes = [0; ITEM_BYTES];
    random.fill_bytes(&mut bytes);
    Item::from_bytes(&bytes)
}

/// A ledger to which members submit the items of `order`, each given by its patient, and what the truth is.
fn recorded(
    order: &[u8],
    item_of: impl Fn(u8, &mut ChaCha8Rng) -> Item,
) -> (Vec<Observed>, BTreeMap<[u8; ITEM_BYTES], u8>) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut forge = Forge::found(&MEMBERS).unwrap();
    let mut truth = BTreeMap::new();
    let mut waiting: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for patient in order {
        let item = item_of(*patient, &mut random);
        truth.insert(item.to_bytes(), *patient);
        let member = MEMBERS[random.next_u32() as usize % MEMBERS.len()];
        let outbox = waiting.entry(member).or_default();
        outbox.push(item);
        if outbox.len() == PER_STATEMENT {
            let mut items = std::mem::take(outbox);
            sample::shuffle(&mut items, &mut random);
            let statement = forge.statement(member, items).unwrap();
            forge.append(&[statement]).unwrap();
        }
    }
    (observe(&forge.dump(|_| true)).unwrap(), truth)
}

fn measured(order: &[u8], item_of: impl Fn(u8, &mut ChaCha8Rng) -> Item) -> Advantage {
    let (observed, truth) = recorded(order, item_of);
    advantage(&observed, |one| truth.get(&one.item).copied(), 1).unwrap()
}

/// Patients one after another, `at_once` of them at a time.
fn order(at_once: usize) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let patients: Vec<u8> = (0..PATIENTS).collect();
    let group = |group: &[u8]| {
        let mut items = group.repeat(ITEMS_EACH);
        sample::shuffle(&mut items, &mut random);
        items
    };
    patients.chunks(at_once).flat_map(group).collect()
}

#[test]
fn p1_interleaved_patients_are_not_told_apart() {
    let measured = measured(&order(PATIENTS.into()), |_, random| item(random));
    assert!(measured.is_within_noise(), "{measured:?}");
    assert!(measured.noise < 0.15, "{measured:?}");
}

#[test]
fn patients_one_after_another_are_told_apart() {
    let alone = measured(&order(1), |_, random| item(random));
    assert!(
        alone.advantage > 0.9 && !alone.is_within_noise(),
        "{alone:?}"
    );
    let few = measured(&order(6), |_, random| item(random));
    assert!(few.advantage > 2.0 * few.noise, "{few:?}");
    assert!(few.advantage < alone.advantage);
}

#[test]
fn a_value_that_repeats_in_a_patients_items_gives_the_patient_away() {
    let marked = |patient, random: &mut ChaCha8Rng| {
        let mut item = item(random);
        item.tags[1] = Tag([patient; 16]);
        item
    };
    let measured = measured(&order(PATIENTS.into()), marked);
    assert!(measured.advantage > 0.9, "{measured:?}");
}

#[test]
fn too_little_says_nothing() {
    let (observed, truth) = recorded(&[1; 64], |_, random| item(random));
    assert_eq!(
        advantage(&observed, |one| truth.get(&one.item).copied(), 1),
        None
    );
    assert_eq!(advantage::<u8>(&observed, |_| None, 1), None);
    assert_eq!(advantage::<u8>(&[], |_| None, 1), None);
}

#[test]
fn a_dump_shows_items_in_the_order_of_the_log() {
    let (observed, _) = recorded(&order(PATIENTS.into()), |_, random| item(random));
    let places: Vec<_> = observed
        .iter()
        .map(|one| (one.height, one.statement, one.position))
        .collect();
    assert!(places.is_sorted());
    assert!(
        observed
            .iter()
            .all(|one| one.statement_items == PER_STATEMENT)
    );
    assert!(matches!(observe(&[0]), Err(ObserveError::Dump(_))));
}
