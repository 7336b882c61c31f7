//! A code system in memory: what is to be written to a disk, and what is small enough to stay.

use std::collections::BTreeMap;
use std::fmt;

use fixedbitset::FixedBitSet;

use super::draft::BETWEEN;
use super::{About, Concept, Concepts, Hierarchy, Unavailable};

/// A code system in memory, with the indexes by which it is asked.
pub struct Catalogue {
    pub(super) about: About,
    pub(super) concepts: Vec<Concept>,
    pub(super) numbers: BTreeMap<String, u32>,
    pub(super) hierarchy: Hierarchy,
    pub(super) words: BTreeMap<String, Vec<u32>>,
    pub(super) properties: BTreeMap<String, Vec<u32>>,
}

impl Catalogue {
    /// The concepts in the order of their numbers.
    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    /// Folded words, each with the numbers of the concepts that have it.
    pub fn words(&self) -> &BTreeMap<String, Vec<u32>> {
        &self.words
    }

    /// Values of properties by [`property_key`], each with the numbers of the concepts that have it.
    pub fn properties(&self) -> &BTreeMap<String, Vec<u32>> {
        &self.properties
    }
}

/// The key of a property's value in the index; that of the empty value begins all values of the property.
pub fn property_key(name: &str, value: &str) -> String {
    format!("{name}{BETWEEN}{value}")
}

/// The rows whose keys begin so.
fn beginning<'a>(
    index: &'a BTreeMap<String, Vec<u32>>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a [u32])> {
    let rows = index.range(prefix.to_owned()..);
    rows.take_while(move |(key, _)| key.starts_with(prefix))
        .map(|(key, numbers)| (key.as_str(), numbers.as_slice()))
}

impl Concepts for Catalogue {
    fn about(&self) -> &About {
        &self.about
    }

    fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    fn number(&self, code: &str) -> Result<Option<u32>, Unavailable> {
        Ok(self.numbers.get(code).copied())
    }

    fn concept(&self, number: u32) -> Result<Option<Concept>, Unavailable> {
        let at = usize::try_from(number).ok();
        Ok(at.and_then(|at| self.concepts.get(at)).cloned())
    }

    fn with_prefix(&self, prefix: &str) -> Result<FixedBitSet, Unavailable> {
        let mut found = FixedBitSet::with_capacity(self.concepts.len());
        for (_, numbers) in beginning(&self.words, prefix) {
            found.extend(numbers.iter().filter_map(|it| usize::try_from(*it).ok()));
        }
        Ok(found)
    }

    fn with_property(&self, name: &str, value: &str) -> Result<Vec<u32>, Unavailable> {
        let found = self.properties.get(&property_key(name, value));
        Ok(found.cloned().unwrap_or_default())
    }

    fn each_value(
        &self,
        name: &str,
        visit: &mut dyn FnMut(&str, &[u32]),
    ) -> Result<(), Unavailable> {
        let prefix = property_key(name, "");
        for (key, numbers) in beginning(&self.properties, &prefix) {
            visit(key.strip_prefix(&prefix).unwrap_or_default(), numbers);
        }
        Ok(())
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, version) = (&self.about.url, &self.about.version);
        write!(
            out,
            "Catalogue({url}|{version}, {} concepts)",
            self.concepts.len()
        )
    }
}
