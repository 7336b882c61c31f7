//! Candidates among many patients at once, as a measurement or a first pass over old records needs them.

use std::collections::BTreeMap;

use super::blocking::{BlockingKey, blocking_keys};
use super::traits::Traits;

/// Pairs of places in `patients` that have a blocking key in common, each once, the lower place first. Keys that more than
/// `most` patients share choose nothing.
pub fn candidate_pairs(patients: &[Traits], most: usize) -> Vec<(usize, usize)> {
    let mut blocks: BTreeMap<BlockingKey, Vec<usize>> = BTreeMap::new();
    for (place, patient) in patients.iter().enumerate() {
        for key in blocking_keys(patient) {
            blocks.entry(key).or_default().push(place);
        }
    }
    let mut pairs = Vec::new();
    for block in blocks.into_values().filter(|block| block.len() <= most) {
        for (at, one) in block.iter().enumerate() {
            let others = block.iter().skip(at.saturating_add(1));
            pairs.extend(others.map(|other| (*one, *other)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
