//! Items with the truth about them, and the pairs drawn from them.

use std::collections::BTreeMap;

use ledger::ids::MemberName;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::Observed;
use super::features::{Features, Placed, features};

/// Pairs of each kind that are drawn from a sample.
const PAIRS: usize = 3_000;
/// Draws after which it is given up to find an item of somebody else at a member.
const DRAWS_MAX: usize = 64;

/// Two items as the adversary compares them, and whether they are of one subject.
pub(super) struct Pair {
    pub(super) features: Features,
    pub(super) same: bool,
}

/// Items of some subjects.
pub(super) struct Sample<'a> {
    items: Vec<Placed<'a>>,
    subjects: Vec<usize>,
    by_member: BTreeMap<&'a MemberName, Vec<usize>>,
}

/// Splits the items that have a subject into those of two random halves of the subjects.
pub(super) fn halves<'a, S: Ord>(
    observed: &'a [Observed],
    subject_of: impl Fn(&Observed) -> Option<S>,
    random: &mut ChaCha8Rng,
) -> Option<(Sample<'a>, Sample<'a>)> {
    let subjects: Vec<Option<S>> = observed.iter().map(subject_of).collect();
    let mut numbers: BTreeMap<&S, usize> = BTreeMap::new();
    for subject in subjects.iter().flatten() {
        let next = numbers.len();
        numbers.entry(subject).or_insert(next);
    }
    if numbers.len() < 4 {
        return None;
    }
    let mut half: Vec<bool> = (0..numbers.len()).map(|number| number % 2 == 0).collect();
    shuffle(&mut half, random);
    let mut orders: BTreeMap<&MemberName, u64> = BTreeMap::new();
    let (mut training, mut judged) = (Sample::empty(), Sample::empty());
    for ((order, one), subject) in (0..).zip(observed).zip(&subjects) {
        let member_order = orders.entry(&one.member).or_default();
        let placed = Placed {
            observed: one,
            order,
            member_order: *member_order,
        };
        *member_order += 1;
        let Some(number) = subject.as_ref().and_then(|subject| numbers.get(subject)) else {
            continue;
        };
        let into = if half[*number] {
            &mut training
        } else {
            &mut judged
        };
        into.push(placed, *number);
    }
    Some((training, judged))
}

impl<'a> Sample<'a> {
    fn empty() -> Self {
        Self {
            items: Vec::new(),
            subjects: Vec::new(),
            by_member: BTreeMap::new(),
        }
    }

    fn push(&mut self, placed: Placed<'a>, subject: usize) {
        let at = self.items.len();
        self.by_member
            .entry(&placed.observed.member)
            .or_default()
            .push(at);
        self.items.push(placed);
        self.subjects.push(subject);
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Draws pairs of one subject, and for each a pair of two subjects at the same members. `None` if there are none.
    pub(super) fn pairs(&self, random: &mut ChaCha8Rng) -> Option<Vec<Pair>> {
        let mut by_subject: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, subject) in self.subjects.iter().enumerate() {
            by_subject.entry(*subject).or_default().push(at);
        }
        let mut pairs = Vec::with_capacity(2 * PAIRS);
        for _ in 0..PAIRS {
            let one = below(self.items.len(), random)?;
            let own = by_subject.get(&self.subjects[one])?;
            let partner = own[below(own.len(), random)?];
            if partner == one {
                continue;
            }
            let there = self.by_member.get(&self.items[partner].observed.member)?;
            let is_other = |at: &usize| self.subjects[*at] != self.subjects[one];
            let draws = (0..DRAWS_MAX).filter_map(|_| Some(there[below(there.len(), random)?]));
            let Some(other) = draws.into_iter().find(is_other) else {
                continue;
            };
            for (second, same) in [(partner, true), (other, false)] {
                let features = features(self.items[one], self.items[second]);
                pairs.push(Pair { features, same });
            }
        }
        (!pairs.is_empty()).then_some(pairs)
    }

    /// Deals the subjects out anew among the items of each member.
    pub(super) fn shuffle(&mut self, random: &mut ChaCha8Rng) {
        for there in self.by_member.values() {
            let mut dealt: Vec<usize> = there.iter().map(|at| self.subjects[*at]).collect();
            shuffle(&mut dealt, random);
            for (at, subject) in there.iter().zip(dealt) {
                self.subjects[*at] = subject;
            }
        }
    }
}

pub(super) fn shuffle<T>(all: &mut [T], random: &mut ChaCha8Rng) {
    for at in (1..all.len()).rev() {
        if let Some(other) = below(at + 1, random) {
            all.swap(at, other);
        }
    }
}

/// A number below `bound`; the bias of the remainder is 2⁻³² at the sizes here.
fn below(bound: usize, random: &mut ChaCha8Rng) -> Option<usize> {
    let remainder = random.next_u64().checked_rem(bound as u64)?;
    usize::try_from(remainder).ok()
}
