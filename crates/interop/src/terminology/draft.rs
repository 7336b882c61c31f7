//! A code system that is being put together, from statements in any order.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::words::words;
use super::{About, Concept, Designation, Hierarchy, Kind, Property};

/// Longer values of properties are shown, and found by no filter.
const INDEXED_BYTES_MAX: usize = 100;
/// Between the name and the value of a property in the index.
pub(super) const BETWEEN: char = '\u{1f}';

/// A code system that is being put together.
#[derive(Debug, Default)]
pub struct Draft {
    concepts: BTreeMap<String, Drafted>,
}

#[derive(Debug, Default)]
struct Drafted {
    concept: Concept,
    /// Whether somebody said that it exists: links alone make no concept.
    is_said: bool,
    above: Vec<String>,
}

impl Draft {
    /// How many concepts there are.
    pub fn len(&self) -> usize {
        self.concepts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.concepts.is_empty()
    }

    /// The concept with a code, made if it is new.
    pub fn concept(&mut self, code: &str) -> &mut Concept {
        let drafted = self.of(code);
        drafted.is_said = true;
        &mut drafted.concept
    }

    /// Whether a concept was made.
    pub fn has(&self, code: &str) -> bool {
        self.concepts.get(code).is_some_and(|one| one.is_said)
    }

    /// Calls a concept something besides.
    pub fn designate(&mut self, code: &str, designation: Designation) {
        self.of(code).concept.designations.push(designation);
    }

    /// Says something about a concept; an empty value says nothing.
    pub fn say(&mut self, code: &str, name: &str, kind: Kind, value: &str) {
        if value.is_empty() {
            return;
        }
        let property = Property {
            name: name.to_owned(),
            kind,
            value: value.to_owned(),
        };
        self.of(code).concept.properties.push(property);
    }

    /// Whether something was said under this name.
    pub(super) fn says(&self, code: &str, name: &str) -> bool {
        let concept = self.concepts.get(code).map(|one| &one.concept);
        concept.is_some_and(|one| one.properties.iter().any(|property| property.name == name))
    }

    /// Puts one concept below another.
    pub fn link(&mut self, code: &str, above: &str) {
        let above = above.to_owned();
        self.of(code).above.push(above);
    }

    fn of(&mut self, code: &str) -> &mut Drafted {
        // Most statements are about codes that are there.
        if !self.concepts.contains_key(code) {
            let mut drafted = Drafted::default();
            code.clone_into(&mut drafted.concept.code);
            self.concepts.insert(code.to_owned(), drafted);
        }
        self.concepts.entry(code.to_owned()).or_default()
    }

    /// The code system, with its indexes. What was said about codes that are none is left out.
    pub fn finish(self, about: About) -> Catalogue {
        let mut concepts = Vec::with_capacity(self.concepts.len());
        let mut numbers = BTreeMap::new();
        let mut above = Vec::new();
        for (code, drafted) in self.concepts {
            let Some(number) = u32::try_from(concepts.len())
                .ok()
                .filter(|_| drafted.is_said)
            else {
                continue;
            };
            numbers.insert(code, number);
            above.extend(drafted.above.into_iter().map(|above| (number, above)));
            concepts.push(drafted.concept);
        }
        let links = above
            .into_iter()
            .filter_map(|(low, high)| Some((low, *numbers.get(&high)?)))
            .filter(|(low, high)| low != high);
        let hierarchy = Hierarchy::new(concepts.len(), links.collect());
        let mut indexed = Indexed::default();
        for (number, concept) in (0..).zip(&concepts) {
            indexed.take(number, concept);
        }
        Catalogue {
            about,
            concepts,
            numbers,
            hierarchy,
            words: indexed.words,
            properties: indexed.properties,
        }
    }
}

/// Numbers of concepts by what they are found by.
#[derive(Default)]
struct Indexed {
    words: BTreeMap<String, Vec<u32>>,
    properties: BTreeMap<String, Vec<u32>>,
}

impl Indexed {
    fn take(&mut self, number: u32, concept: &Concept) {
        let names = concept.designations.iter().map(|one| one.value.as_str());
        let names = names.chain(concept.display.as_deref());
        for word in names.chain([concept.code.as_str()]).flat_map(words) {
            put(&mut self.words, word, number);
        }
        for property in &concept.properties {
            if property.value.len() <= INDEXED_BYTES_MAX {
                let key = format!("{}{BETWEEN}{}", property.name, property.value);
                put(&mut self.properties, key, number);
            }
        }
        if concept.is_inactive {
            put(
                &mut self.properties,
                format!("inactive{BETWEEN}true"),
                number,
            );
        }
    }
}

/// Numbers come in their order.
fn put(index: &mut BTreeMap<String, Vec<u32>>, key: String, number: u32) {
    let numbers = index.entry(key).or_default();
    if numbers.last() != Some(&number) {
        numbers.push(number);
    }
}
