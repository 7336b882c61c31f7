//! What questions are asked of.

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use thiserror::Error;

use super::{About, Canonical, Concept, Hierarchy, ValueSet};

/// What holds the concepts cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a vocabulary cannot be read")]
pub struct Unavailable;

/// The concepts of one version of a code system, numbered from 0 in the order of their codes.
pub trait Concepts: Send + Sync {
    /// Which code system it is.
    fn about(&self) -> &About;

    /// Which concept is above which. It knows the number of concepts too.
    fn hierarchy(&self) -> &Hierarchy;

    /// The number of a code; `None` if there is no such code.
    fn number(&self, code: &str) -> Result<Option<u32>, Unavailable>;

    /// The concept with a number.
    fn concept(&self, number: u32) -> Result<Option<Concept>, Unavailable>;

    /// The concepts that have a word that begins so; the beginning is folded.
    fn with_prefix(&self, prefix: &str) -> Result<FixedBitSet, Unavailable>;

    /// The concepts of which a property says this.
    fn with_property(&self, name: &str, value: &str) -> Result<Vec<u32>, Unavailable>;

    /// Each value of a property, with the concepts that have it.
    fn each_value(
        &self,
        name: &str,
        visit: &mut dyn FnMut(&str, &[u32]),
    ) -> Result<(), Unavailable>;

    /// Whether codes are made by a grammar, and cannot be listed.
    fn is_grammar(&self) -> bool {
        false
    }

    /// The concept with a code.
    fn of_code(&self, code: &str) -> Result<Option<Concept>, Unavailable> {
        match self.number(code)? {
            Some(number) => self.concept(number),
            None => Ok(None),
        }
    }
}

/// The code systems and value sets that are at hand.
pub trait Library: Send + Sync {
    /// A code system; without a version, the one whose version comes last.
    fn code_system(&self, wanted: &Canonical) -> Option<Arc<dyn Concepts>>;

    /// A value set; without a version, the one whose version comes last.
    fn value_set(&self, wanted: &Canonical) -> Option<Arc<ValueSet>>;
}
