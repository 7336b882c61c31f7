//! Identity: whether two Patient resources are of one person.
//!
//! [`Traits`] are what of a patient is compared, normalised, read from the index terms that a store keeps anyway.
//! [`blocking_keys`] choose candidates, [`Pattern`] says field by field how far two patients agree, [`Model`] weighs a
//! pattern by Fellegi and Sunter (its numbers are learned by expectation maximisation, [`learn`]), and [`judge`] grades.
//! Between members it is the same over an [`Encoding`], which only [`LinkageSecret`] makes ([`judge_encoded`]).
//!
//! # Invariants
//! - **I1** Rules go before weights: numbers of one authority that a person has one of, and that contradict each other,
//!   are of two people whatever else agrees.
//! - **I2** A pair without a common identifier whose given names, birth dates or genders differ is never graded certain,
//!   nor one where the first given name of one is a further one of the other: twins, and parents with their children, agree
//!   in everything else.
//! - **I3** Nothing here merges anything: a grade is shown to a person.

mod blocking;
mod compare;
mod encoding;
mod frequency;
mod grade;
mod learn;
pub mod links;
mod model;
mod names;
mod normal;
mod pairs;
mod traits;

pub use blocking::{BlockingKey, blocking_keys, family_key, given_key};
pub use compare::{FIELDS, Field, Pattern};
pub use encoding::{Bucket, Encoding, LinkageSecret, SECRET_BYTES, judge_encoded};
pub use frequency::Frequencies;
pub use grade::{Grade, Judgement, Reason, judge};
pub use learn::{Learned, learn};
pub use model::Model;
pub use pairs::candidate_pairs;
pub use traits::{Born, Traits};

#[cfg(test)]
mod tests;
