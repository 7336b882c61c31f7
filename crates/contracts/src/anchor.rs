//! Anchor: a member uses a tag once.
//!
//! # Invariants
//! - **A1** No (member, tag) pair is accepted twice, whether across blocks, across statements or within one.
//! - **A2** A tag that another member copied is another pair: it harms nobody.
//! - **A3** A statement is accepted whole or not at all.

use std::collections::BTreeSet;

use ledger::ids::MemberName;
use ledger::item::Item;
use ledger::state::StateKey;

use crate::rejection::Rejection;

/// The places in the state that `items` of `member` take, two for each item.
pub fn keys<'a>(member: &'a MemberName, items: &'a [Item]) -> impl Iterator<Item = StateKey> + 'a {
    items
        .iter()
        .flat_map(move |item| item.tags.map(|tag| StateKey::of_tag(member, tag)))
}

/// What the state holds under `keys` once their statement is at `index` of the log: index and item's number, as
/// eight and two big-endian bytes.
pub fn entries(keys: &[StateKey], index: u64) -> impl Iterator<Item = (StateKey, Vec<u8>)> {
    (0_u16..).zip(keys.chunks(2)).flat_map(move |(item, pair)| {
        let value = [index.to_be_bytes().as_slice(), &item.to_be_bytes()].concat();
        pair.iter().map(move |key| (*key, value.clone()))
    })
}

/// Accepts the items whose places are `keys`, given which of them are `used`; adds them to `used` if all are free.
pub fn decide(keys: &[StateKey], used: &mut BTreeSet<StateKey>) -> Result<(), Rejection> {
    let mut fresh = BTreeSet::new();
    let mut at_fault = Vec::new();
    for (index, pair) in (0_u16..).zip(keys.chunks(2)) {
        let free = pair
            .iter()
            .all(|key| !used.contains(key) && fresh.insert(*key));
        if !free {
            at_fault.push(index);
        }
    }
    if !at_fault.is_empty() {
        return Err(Rejection::TagUsed { items: at_fault });
    }
    // Not `append`, which builds the whole set anew.
    used.extend(fresh);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::{Digest, Tag};
    use proptest::prelude::*;

    fn items(tags: &[(u8, u8)]) -> Vec<Item> {
        let item = |(first, second): &(u8, u8)| Item {
            tags: [Tag([*first; 16]), Tag([*second; 16])],
            commitment: Digest([0; 32]),
        };
        tags.iter().map(item).collect()
    }

    fn submit(
        member: &str,
        tags: &[(u8, u8)],
        used: &mut BTreeSet<StateKey>,
    ) -> Result<(), Rejection> {
        let member = member.parse().unwrap();
        decide(&keys(&member, &items(tags)).collect::<Vec<_>>(), used)
    }

    #[test]
    fn p4_a_tag_is_used_once_and_the_item_at_fault_is_named() {
        let mut used = BTreeSet::new();
        assert_eq!(submit("clinic", &[(1, 2), (3, 4)], &mut used), Ok(()));
        let second = submit("clinic", &[(5, 6), (7, 1), (8, 9)], &mut used);
        assert_eq!(second, Err(Rejection::TagUsed { items: vec![1] }));
        assert_eq!(
            submit("clinic", &[(5, 6), (8, 9)], &mut used),
            Ok(()),
            "nothing was taken (A3)"
        );
    }

    #[test]
    fn a_tag_twice_in_one_statement_is_refused() {
        let mut used = BTreeSet::new();
        assert_eq!(
            submit("clinic", &[(1, 1)], &mut used),
            Err(Rejection::TagUsed { items: vec![0] })
        );
        let twice = submit("clinic", &[(1, 2), (2, 3)], &mut used);
        assert_eq!(twice, Err(Rejection::TagUsed { items: vec![1] }));
    }

    #[test]
    fn another_members_tag_copied_harms_nobody() {
        let mut used = BTreeSet::new();
        assert_eq!(submit("payer", &[(1, 2)], &mut used), Ok(()));
        assert_eq!(submit("clinic", &[(1, 2)], &mut used), Ok(()));
    }

    proptest! {
        #[test]
        fn a1_accepted_tags_never_repeat(
            statements in prop::collection::vec(prop::collection::vec((0_u8..30, 0_u8..30), 1..4), 1..20),
        ) {
            let mut used = BTreeSet::new();
            let mut accepted = Vec::new();
            for tags in &statements {
                if submit("clinic", tags, &mut used).is_ok() {
                    accepted.extend(tags.iter().flat_map(|(first, second)| [*first, *second]));
                }
            }
            let distinct: BTreeSet<_> = accepted.iter().collect();
            prop_assert_eq!(distinct.len(), accepted.len());
            prop_assert_eq!(used.len(), accepted.len());
        }
    }
}
