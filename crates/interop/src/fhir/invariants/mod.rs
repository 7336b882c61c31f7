//! The invariants of R4, from the table of definitions.
//!
//! A resource is walked once; at each element the invariants of its type and of its place are
//! evaluated. What holds for every element (ele-1), extension (ext-1) and contained resource
//! (dom-2 to dom-5) is checked without an expression. The rules of narrative (txt-1, txt-2) are
//! the structure's affair.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::fhirpath::Expression;
use super::{ElementPath, Issue, IssueType, Resource, Severity};

/// A rule of R4 or of a profile.
#[derive(Debug)]
pub(super) struct Invariant {
    /// Its key: `obs-6`.
    pub(super) key: String,
    /// What breaking it means.
    pub(super) weight: Weight,
    /// What it demands, in the words of the definition.
    pub(super) human: String,
    pub(super) expression: Expression,
}

/// What breaking an invariant means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The resource is wrong.
    Error,
    /// The resource is suspicious.
    Warning,
    /// The resource could be better.
    BestPractice,
}

/// An invariant that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key of the invariant.
    pub key: &'static str,
    /// What that means.
    pub weight: Weight,
    /// What it demands.
    pub human: &'static str,
    /// The element.
    pub path: ElementPath,
}

/// What does not hold of a resource and of all that it contains; the first hundred at most.
pub fn violations(resource: &Resource) -> Vec<Violation> {
    walk::violations(resource.resource_type(), resource.object())
}

impl Weight {
    /// The severity in an outcome.
    pub fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning | Self::BestPractice => Severity::Warning,
        }
    }
}

impl Violation {
    /// The issue of an outcome.
    pub fn issue(&self) -> Issue {
        let text = format!("{}: {}", self.key, self.human);
        Issue::error(IssueType::Invariant, text)
            .with_severity(self.weight.severity())
            .at(self.path.to_string())
    }
}

/// Invariants by type, and by path where an element has its own.
struct Table {
    by_place: BTreeMap<&'static str, Vec<Invariant>>,
    /// The types in which an element has invariants of its own.
    holders: BTreeSet<&'static str>,
}

/// Those that are checked without an expression, those of narrative, and those of Quantity that
/// hold for its profiles alone.
const NATIVE: [&str; 11] = [
    "ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "txt-1", "txt-2", "mqty-1",
    "sqty-1",
];

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut by_place: BTreeMap<&'static str, Vec<Invariant>> = BTreeMap::new();
    for line in include_str!("../data/invariants.txt").lines() {
        if let Some((place, invariant)) = read(line) {
            by_place.entry(place).or_default().push(invariant);
        }
    }
    let paths = by_place.keys();
    let holders = paths.filter_map(|path| path.rsplit_once('.').map(|(holder, _)| holder));
    Table {
        holders: holders.collect(),
        by_place,
    }
});

/// A line of the table. One that cannot be read would be found by a test.
fn read(line: &'static str) -> Option<(&'static str, Invariant)> {
    let mut columns = line.split('\t');
    let (place, key) = (columns.next()?, columns.next()?);
    let weight = match columns.next()? {
        "error" => Weight::Error,
        "warning" => Weight::Warning,
        _ => Weight::BestPractice,
    };
    let human = columns.next()?;
    let expression = columns.next()?;
    if NATIVE.contains(&key) {
        return None;
    }
    let invariant = Invariant {
        key: key.to_owned(),
        weight,
        human: human.to_owned(),
        expression: Expression::compile(expression).ok()?,
    };
    Some((place, invariant))
}

#[cfg(test)]
mod tests;
