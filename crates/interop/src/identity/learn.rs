//! Expectation maximisation: the numbers of a model from patterns of pairs, without knowing which are of one person.

use std::collections::BTreeMap;

use super::compare::{FIELDS, LEVELS, MISSING, Pattern};
use super::model::Model;

/// Added to each count, so that what was never seen is rare and not impossible.
const SMOOTHING: f64 = 0.5;

/// What was learned.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The model.
    pub model: Model,
    /// The share of pairs of one person among those that were looked at.
    pub share: f64,
    /// Rounds until nothing moved any more.
    pub rounds: usize,
}

/// Learns how often fields agree in pairs of one person from the patterns of `candidates` (pairs that blocking chose, of
/// one person and of two), and in pairs of strangers from those of pairs taken `at_random`. Ends after `rounds_max` rounds at the latest.
pub fn learn(
    candidates: &BTreeMap<Pattern, u64>,
    at_random: &BTreeMap<Pattern, u64>,
    start: &Model,
    rounds_max: usize,
) -> Learned {
    let mut model = start.clone();
    let mut share = 0.1;
    let mut rounds = 0;
    while rounds < rounds_max {
        rounds += 1;
        let (mut matched, mut total) = (0.0, 0.0);
        let weighed = candidates.iter().map(|(pattern, count)| {
            let odds = model.bits(*pattern).exp2() * share / (1.0 - share);
            let count = number(*count);
            let weight = count * odds / (1.0 + odds);
            matched += weight;
            total += count;
            (*pattern, weight, count - weight)
        });
        let weighed: Vec<(Pattern, f64, f64)> = weighed.collect();
        let same = probabilities(weighed.iter().map(|(pattern, one, _)| (*pattern, *one)));
        let apart = probabilities(weighed.iter().map(|(pattern, _, two)| (*pattern, *two)));
        let moved = largest_move(&model.same, &same).max(largest_move(&model.apart, &apart));
        model = Model { same, apart };
        share = (matched / f64::max(total, 1.0)).clamp(1e-6, 1.0 - 1e-6);
        if moved < 1e-6 {
            break;
        }
    }
    // Candidates that are two people live together or share a name; strangers, against whom weights are held, do not.
    let strangers = at_random.iter();
    model.apart = probabilities(strangers.map(|(pattern, count)| (*pattern, number(*count))));
    Learned {
        model,
        share,
        rounds,
    }
}

/// How often each level is, by field, among the pairs that have the field at all.
fn probabilities(pairs: impl Iterator<Item = (Pattern, f64)>) -> [[f64; LEVELS]; FIELDS] {
    let mut counts = [[0.0; LEVELS]; FIELDS];
    for (pattern, weight) in pairs {
        for (field, level) in counts.iter_mut().zip(pattern.0) {
            if level != MISSING
                && let Some(count) = field.get_mut(usize::from(level))
            {
                *count += weight;
            }
        }
    }
    for field in &mut counts {
        let total: f64 = field.iter().skip(1).map(|count| count + SMOOTHING).sum();
        for count in field.iter_mut().skip(1) {
            *count = (*count + SMOOTHING) / total;
        }
    }
    counts
}

fn largest_move(one: &[[f64; LEVELS]; FIELDS], other: &[[f64; LEVELS]; FIELDS]) -> f64 {
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
