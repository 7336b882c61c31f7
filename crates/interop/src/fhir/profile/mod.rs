//! Profiles: StructureDefinitions with a snapshot, and what resources owe them.
//!
//! Checked: cardinality, fixed values and patterns, types of choices, slices by value, pattern,
//! existence or type, required bindings to value sets that list their codes, and invariants. A
//! slice that another discriminator decides is passed over; so is a binding that needs a
//! terminology server.

mod check;
mod read;
mod value_set;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::fhirpath::Expression;
use super::{Issue, Resource, Severity};

/// Profiles and value sets, by their canonical URLs.
#[derive(Default)]
pub struct Profiles {
    profiles: BTreeMap<String, Profile>,
    value_sets: BTreeMap<String, Codes>,
}

/// The codes of a value set, by system.
type Codes = BTreeMap<String, BTreeSet<String>>;

struct Profile {
    kind: String,
    root: Node,
}

/// What a profile says of one element, or of one slice of it.
#[derive(Default)]
struct Node {
    /// The name; of a choice without the type.
    name: String,
    slice: Option<String>,
    min: usize,
    max: Option<usize>,
    /// The types that are allowed, and the profiles of each.
    types: Vec<(String, Vec<String>)>,
    fixed: Option<Value>,
    pattern: Option<Value>,
    /// The value set of a required binding.
    binding: Option<String>,
    rules: Vec<Rule>,
    slicing: Vec<Discriminator>,
    /// Whether items outside all slices are refused.
    is_closed: bool,
    children: Vec<Self>,
}

struct Rule {
    key: String,
    human: String,
    severity: Severity,
    expression: Expression,
}

struct Discriminator {
    kind: String,
    path: String,
}

impl Profiles {
    /// Profiles from the resources of a package; what is neither a profile with a snapshot, nor a
    /// ValueSet or CodeSystem, is passed over.
    pub fn of(resources: &[Value]) -> Self {
        let profiles = resources.iter().filter_map(read::profile).collect();
        Self {
            profiles,
            value_sets: value_set::all(resources),
        }
    }

    /// The URLs of the profiles on resources of this type.
    pub fn on(&self, kind: &str) -> impl Iterator<Item = &str> {
        let profiles = self.profiles.iter();
        profiles
            .filter(move |(_, profile)| profile.kind == kind)
            .map(|(url, _)| url.as_str())
    }

    /// What the resource lacks; nothing if the profile is not here, or is one of another type.
    pub fn validate(&self, url: &str, resource: &Resource) -> Option<Vec<Issue>> {
        let url = url.split('|').next().unwrap_or_default();
        let profile = self.profiles.get(url)?;
        (profile.kind == resource.resource_type().as_str())
            .then(|| check::issues(self, profile, resource))
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Profiles({})", self.profiles.len())
    }
}

#[cfg(test)]
mod tests;
