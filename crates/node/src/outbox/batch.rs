//! What a statement carries: the items of several subjects, mixed, with dummies up to one of five sizes.

use ledger::ids::{Digest, Tag};
use ledger::item::Item;
use ledger::limits::STATEMENT_ITEMS_MAX;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore};

/// The numbers of items that a statement of an outbox can have.
pub const SIZES: [usize; 5] = [1, 16, 64, 256, STATEMENT_ITEMS_MAX];

/// From how many items on a statement is filled without dummies.
const FULL_MIN: usize = 64;

/// How many of `waiting` items the next statement takes: where there are many it is full, and the rest waits for the one
/// after it.
pub(super) fn taken(waiting: usize) -> usize {
    let full = SIZES.into_iter().rev().find(|size| *size <= waiting);
    full.filter(|size| *size >= FULL_MIN).unwrap_or(waiting)
}

/// `items` and as many dummies as the next size needs, in a random order.
pub(super) fn mix(mut items: Vec<Item>, random: &mut impl Rng) -> Vec<Item> {
    let size = SIZES.into_iter().find(|size| *size >= items.len());
    while items.len() < size.unwrap_or(STATEMENT_ITEMS_MAX) {
        items.push(dummy(random));
    }
    items.shuffle(random);
    items
}

/// An item that commits to nothing: like any other to whoever lacks a key.
fn dummy(random: &mut impl RngCore) -> Item {
    let mut item = Item {
        tags: [Tag([0; 16]); 2],
        commitment: Digest([0; 32]),
    };
    let [first, second] = &mut item.tags;
    random.fill_bytes(&mut first.0);
    random.fill_bytes(&mut second.0);
    random.fill_bytes(&mut item.commitment.0);
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn p1_a_statement_has_one_of_five_sizes_and_every_item_once(
            count in 1_usize..=STATEMENT_ITEMS_MAX, seed in any::<u64>(),
        ) {
            let mut random = StdRng::seed_from_u64(seed);
            let items: Vec<_> = (0..count).map(|_| dummy(&mut random)).collect();
            let mixed = mix(items.clone(), &mut random);
            prop_assert!(SIZES.contains(&mixed.len()));
            prop_assert!(mixed.len() == 1 || mixed.len() / 16 < count.max(16), "the next size up");
            let set: BTreeSet<_> = mixed.iter().collect();
            prop_assert_eq!(set.len(), mixed.len());
            prop_assert!(items.iter().all(|item| set.contains(item)));
        }

        #[test]
        fn few_of_the_items_of_a_beat_are_dummies(count in 0_usize..5_000) {
            let (mut waiting, mut sent) = (count, 0);
            while waiting > 0 {
                let taken = taken(waiting.min(STATEMENT_ITEMS_MAX));
                prop_assert!((1..=waiting).contains(&taken));
                waiting -= taken;
                sent += mix((0..taken).map(|_| dummy(&mut rand::rng())).collect(), &mut rand::rng()).len();
            }
            prop_assert!(sent < count + 64);
        }

        #[test]
        fn p1_the_order_of_arrival_is_lost(seed in any::<u64>()) {
            let mut random = StdRng::seed_from_u64(seed);
            let items: Vec<_> = (0..64).map(|_| dummy(&mut random)).collect();
            prop_assert_ne!(mix(items.clone(), &mut random), items);
        }
    }
}
