//! The adversary's judgement: a logistic regression over the features, and how well it ranks.

use rand_chacha::ChaCha8Rng;

use super::features::{FEATURES, Features};
use super::sample::{self, Pair};

const ROUNDS: usize = 20;
const RATE: f64 = 0.05;
/// Keeps weights of features that are seldom seen near zero.
const DECAY: f64 = 1e-3;

pub(super) struct Model {
    weights: Vec<f64>,
}

impl Model {
    /// Learns by stochastic gradient descent.
    pub(super) fn train(pairs: &[Pair], random: &mut ChaCha8Rng) -> Self {
        let mut model = Self {
            weights: vec![0.0; FEATURES],
        };
        let mut order: Vec<&Pair> = pairs.iter().collect();
        for round in 1..=ROUNDS {
            sample::shuffle(&mut order, random);
            let rate = RATE / (round as f64).sqrt();
            for pair in &order {
                let likely = 1.0 / (1.0 + (-model.score(&pair.features)).exp());
                let error = f64::from(u8::from(pair.same)) - likely;
                for feature in &pair.features {
                    let weight = &mut model.weights[*feature];
                    *weight += rate * (error - DECAY * *weight);
                }
            }
        }
        model
    }

    /// The higher, the more likely of one subject.
    pub(super) fn score(&self, features: &Features) -> f64 {
        features.iter().map(|feature| self.weights[*feature]).sum()
    }
}

/// The probability that a pair of one subject scores above another pair, ties counting half.
pub(super) fn auc(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
    let (mut below, mut wins, mut same) = (0.0, 0.0, 0.0);
    for tied in scored.chunk_by(|(one, _), (other, _)| one == other) {
        let of_one = tied.iter().filter(|(_, same)| *same).count() as f64;
        let of_two = tied.len() as f64 - of_one;
        wins += of_one * (below + of_two / 2.0);
        below += of_two;
        same += of_one;
    }
    wins / (same * below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_that_of_the_definition() {
        assert_eq!(auc(vec![(1.0, false), (2.0, true)]), 1.0);
        assert_eq!(auc(vec![(2.0, false), (1.0, true)]), 0.0);
        assert_eq!(auc(vec![(1.0, false), (1.0, true)]), 0.5);
        assert_eq!(
            auc(vec![(1.0, false), (2.0, true), (3.0, false), (4.0, true)]),
            0.75
        );
    }
}
