//! What is compared between two items: each comparison falls into one bucket, which is a feature.

use super::Observed;

/// Buckets of one comparison.
const BUCKETS: usize = 32;
const COMPARISONS: usize = 10;

/// Features that there are.
pub(super) const FEATURES: usize = BUCKETS * COMPARISONS;

/// The features that a pair has, one of each comparison that applies to it.
pub(super) type Features = Vec<usize>;

/// An item with its places in the whole log and in its member's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) observed: &'a Observed,
    pub(super) order: u64,
    pub(super) member_order: u64,
}

/// Compares two items.
pub(super) fn features(one: Placed<'_>, other: Placed<'_>) -> Features {
    let (a, b) = (one.observed, other.observed);
    let same_member = a.member == b.member;
    let same_statement = a.statement == b.statement;
    let order = one.order.abs_diff(other.order);
    let size = |observed: &Observed| observed.statement_items as u64;
    let (small, large) = (size(a).min(size(b)), size(a).max(size(b)));
    let equal_bytes = a.item.iter().zip(&b.item).filter(|(a, b)| a == b).count();
    let compared = [
        same_member.then(|| magnitude(one.member_order.abs_diff(other.member_order))),
        same_member.then(|| magnitude(order)),
        (!same_member).then(|| magnitude(order)),
        Some(magnitude(a.height.0.abs_diff(b.height.0))),
        Some(magnitude(a.time.0.abs_diff(b.time.0))),
        same_statement.then(|| a.position.abs_diff(b.position)),
        Some(magnitude(small)),
        Some(magnitude(large)),
        Some(equal_bytes),
        Some(usize::from(same_statement) + 2 * usize::from(a.position == b.position)),
    ];
    let bucket = |(at, bucket): (usize, Option<usize>)| {
        bucket.map(|bucket| at * BUCKETS + bucket.min(BUCKETS - 1))
    };
    compared
        .into_iter()
        .enumerate()
        .filter_map(bucket)
        .collect()
}

/// Bits of a number: 0 for 0, 1 for 1, 2 for 2 and 3, and so on.
fn magnitude(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}
