//! How common names are: that two people are called Smith says less than that both are called Winterbourne.

use std::collections::BTreeMap;
use std::fmt;

use super::blocking::{family_name, given_name};
use super::traits::Traits;

/// People who are thought to be there beside those who were counted: of a few records, shares say nothing.
const UNSEEN: f64 = 1_000.0;
/// The share of a name of those.
const AVERAGE: f64 = 0.005;

/// Shares of a population by name, from 0 to 1. They name people: Debug shows nothing.
#[derive(Clone, Default)]
pub struct Frequencies {
    families: BTreeMap<String, f64>,
    given: BTreeMap<String, f64>,
}

impl fmt::Debug for Frequencies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Frequencies(..)")
    }
}

impl Frequencies {
    /// Counts a population.
    pub fn of<'a>(people: impl Iterator<Item = &'a Traits>) -> Self {
        let (mut families, mut given) = (BTreeMap::new(), BTreeMap::new());
        let mut total = 0_u32;
        for one in people {
            total = total.saturating_add(1);
            for name in family_name(one) {
                *families.entry(name).or_insert(0_u32) += 1;
            }
            for name in given_name(one) {
                *given.entry(name).or_insert(0_u32) += 1;
            }
        }
        let share =
            |(name, count): (String, u32)| (name, f64::from(count) / f64::from(total.max(1)));
        Self {
            families: families.into_iter().map(share).collect(),
            given: given.into_iter().map(share).collect(),
        }
    }

    /// The names of one patient, of how many among `total` patients have the first family name and the first given name;
    /// `None` for a name that is too common to be counted.
    pub fn around(of: &Traits, (family, given, total): (Option<u64>, Option<u64>, u64)) -> Self {
        let small = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        let share = |count: u64| (small(count) + AVERAGE * UNSEEN) / (small(total) + UNSEEN);
        let named = |names: Vec<String>, count: Option<u64>| {
            let first = names.into_iter().next().zip(count);
            let share = first.map(|(name, count)| (name, share(count)));
            share.into_iter().collect()
        };
        Self {
            families: named(family_name(of), family),
            given: named(given_name(of), given),
        }
    }

    /// The share of those who have the family name that both have.
    pub(super) fn family(&self, one: &Traits, other: &Traits) -> Option<f64> {
        shared(&self.families, &family_name(one), &family_name(other))
    }

    /// The share of those who have the given name that both have.
    pub(super) fn given(&self, one: &Traits, other: &Traits) -> Option<f64> {
        shared(&self.given, &given_name(one), &given_name(other))
    }
}

fn shared(shares: &BTreeMap<String, f64>, one: &[String], other: &[String]) -> Option<f64> {
    let common = one.iter().filter(|name| other.contains(name));
    let shares = common.filter_map(|name| shares.get(name).copied());
    shares.reduce(f64::min)
}
