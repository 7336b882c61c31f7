//! Value sets that an element requires.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// The codes of a value set.
pub(in crate::fhir) struct ValueSet {
    name: &'static str,
    systems: Vec<(&'static str, Codes)>,
}

enum Codes {
    /// Sorted.
    Listed(Vec<&'static str>),
    /// R4 does not enumerate them.
    All,
}

impl fmt::Debug for ValueSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ValueSet({})", self.name)
    }
}

impl ValueSet {
    /// The set with this name in the table of elements.
    pub(in crate::fhir) fn named(name: &str) -> Option<&'static Self> {
        SETS.get(name)
    }

    /// Whether a `code` element may have this code; its system is implied.
    pub(in crate::fhir) fn has_code(&self, code: &str) -> bool {
        self.systems.iter().any(|(_, codes)| codes.has(code))
    }

    /// Whether a Coding is of the set.
    pub(in crate::fhir) fn has(&self, system: &str, code: &str) -> bool {
        let mut systems = self.systems.iter();
        systems.any(|(name, codes)| *name == system && codes.has(code))
    }
}

impl Codes {
    fn has(&self, code: &str) -> bool {
        match self {
            Self::Listed(codes) => codes.binary_search(&code).is_ok(),
            Self::All => true,
        }
    }
}

static SETS: LazyLock<BTreeMap<&'static str, ValueSet>> = LazyLock::new(|| {
    let lines = include_str!("../data/value-sets.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(read)
        .collect()
});

fn read(line: &'static str) -> (&'static str, ValueSet) {
    let mut parts = line.split('\t');
    let name = parts.next().unwrap_or_default();
    let systems = parts.map(|part| {
        let (system, codes) = part.split_once(' ').unwrap_or((part, ""));
        if codes == "*" {
            return (system, Codes::All);
        }
        let mut codes: Vec<&str> = codes.split(' ').collect();
        codes.sort_unstable();
        (system, Codes::Listed(codes))
    });
    let set = ValueSet {
        name,
        systems: systems.collect(),
    };
    (name, set)
}
