//! Weights by Fellegi and Sunter (1969): how much likelier a pattern is for one person than for two.

use super::compare::{FIELDS, Field, LEVELS, MISSING, Pattern};

/// For each field and level, how often it is found in pairs of one person and in pairs of two.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) same: [[f64; LEVELS]; FIELDS],
    pub(super) apart: [[f64; LEVELS]; FIELDS],
}

impl Model {
    /// Guesses from which learning starts: of pairs of one person, and of the other pairs that blocking chooses.
    pub const START: Self = Self {
        same: [
            [0.0, 0.05, 0.05, 0.10, 0.80],
            [0.0, 0.10, 0.05, 0.85, 0.0],
            [0.0, 0.05, 0.05, 0.02, 0.88],
            [0.0, 0.02, 0.98, 0.0, 0.0],
            [0.0, 0.20, 0.10, 0.70, 0.0],
            [0.0, 0.20, 0.80, 0.0, 0.0],
            [0.0, 0.40, 0.60, 0.0, 0.0],
            [0.0, 0.02, 0.04, 0.94, 0.0],
        ],
        apart: [
            [0.0, 0.90, 0.03, 0.03, 0.04],
            [0.0, 0.40, 0.05, 0.55, 0.0],
            [0.0, 0.90, 0.05, 0.01, 0.04],
            [0.0, 0.50, 0.50, 0.0, 0.0],
            [0.0, 0.30, 0.05, 0.65, 0.0],
            [0.0, 0.30, 0.70, 0.0, 0.0],
            [0.0, 0.30, 0.70, 0.0, 0.0],
            [0.0, 0.98, 0.01, 0.01, 0.0],
        ],
    };

    /// The weight of a level of a field, in bits.
    pub fn weight(&self, field: Field, level: u8) -> f64 {
        if level == MISSING {
            return 0.0;
        }
        let rows = Field::ALL
            .into_iter()
            .zip(self.same.iter().zip(&self.apart));
        let row = rows.into_iter().find(|(one, _)| *one == field);
        row.and_then(|(_, (same, apart))| {
            let level = usize::from(level);
            Some((same.get(level)? / apart.get(level)?).log2())
        })
        .unwrap_or_default()
    }

    /// How often a level is in pairs of one person.
    pub(super) fn same(&self, field: Field, level: u8) -> f64 {
        let rows = Field::ALL.into_iter().zip(&self.same);
        let mut rows = rows.filter(|(one, _)| *one == field);
        let row = rows.next().map(|(_, row)| row);
        row.and_then(|row| row.get(usize::from(level)).copied())
            .unwrap_or_default()
    }

    /// The weight of a pattern, in bits: the sum of the weights of its fields, as if they were independent.
    pub fn bits(&self, pattern: Pattern) -> f64 {
        let fields = Field::ALL.into_iter().zip(pattern.0);
        fields.map(|(field, level)| self.weight(field, level)).sum()
    }

    /// The numbers as they stand in [`Model::default`], to be put there when they are learned anew.
    pub fn rows(&self) -> impl Iterator<Item = (Field, &[f64; LEVELS], &[f64; LEVELS])> {
        let rows = Field::ALL
            .into_iter()
            .zip(self.same.iter().zip(&self.apart));
        rows.map(|(field, (same, apart))| (field, same, apart))
    }
}

impl Default for Model {
    /// As [`super::learn`] finds them in 2,000 generated people, of whom half have a second record; for what no pair of
    /// strangers had, and for what those have who live together, the share that chance gives.
    fn default() -> Self {
        Self {
            same: [
                [0.0, 0.006, 0.039, 0.086, 0.869],
                [0.0, 0.011, 0.041, 0.948, 0.0],
                [0.0, 0.013, 0.018, 0.010, 0.959],
                [0.0, 0.001, 0.999, 0.0, 0.0],
                [0.0, 0.142, 0.001, 0.857, 0.0],
                [0.0, 0.141, 0.859, 0.0, 0.0],
                [0.0, 0.202, 0.798, 0.0, 0.0],
                [0.0, 0.002, 0.016, 0.982, 0.0],
            ],
            apart: [
                [0.0, 0.983, 0.0005, 0.007, 0.010],
                [0.0, 0.991, 0.002, 0.007, 0.0],
                [0.0, 0.9988, 0.001, 0.0001, 0.0001],
                [0.0, 0.50, 0.50, 0.0, 0.0],
                [0.0, 0.9991, 0.0002, 0.0007, 0.0],
                [0.0, 0.9967, 0.0033, 0.0, 0.0],
                [0.0, 0.9998, 0.0002, 0.0, 0.0],
                [0.0, 0.9998, 0.0001, 0.0001, 0.0],
            ],
        }
    }
}
