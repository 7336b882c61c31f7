//! What is found in a resource, what it takes to find it, and the labels that it comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::Label;

/// What a decision on labels needs beside the resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// When the patient was born.
    pub birth_date: bool,
    /// The labels of these resources, as `Type/id`.
    pub sources: BTreeSet<String>,
}

/// What was loaded for it.
#[derive(Clone, Default)]
pub struct Context {
    /// When the patient was born; without it no rule on age holds.
    pub birth_date: Option<String>,
    /// When the resource was recorded: what is not dated happened then.
    pub recorded_ms: i64,
    /// Labels of resources that this one refers to, by `Type/id`.
    pub inherited: BTreeMap<String, BTreeSet<Label>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context(..)")
    }
}

/// A reason for a label. Debug shows neither code nor reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// The label.
    pub label: Label,
    /// Where it was found, as a path.
    pub path: String,
    /// What it was found by.
    pub cause: Cause,
    /// Whether a person has to look: until then the resource is restricted.
    pub possible: bool,
}

/// What a label was found by.
#[derive(Clone, PartialEq, Eq)]
pub enum Cause {
    /// A rule.
    Rule {
        /// The version of its set.
        set: String,
        /// Its name there.
        id: String,
        /// The system of the code that it met, if it was a code.
        system: Option<String>,
        /// The code, reference or word that it met.
        met: String,
    },
    /// A security label in the resource.
    Security {
        /// Its system.
        system: String,
        /// Its code.
        code: String,
    },
    /// A resource that this one refers to.
    Inherited {
        /// `Type/id`.
        from: String,
    },
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finding(..)")
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cause(..)")
    }
}

/// The labels that findings come to, with those that cover them, and confidentiality.
pub fn labels_in<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> BTreeSet<Label> {
    let mut labels = BTreeSet::new();
    for finding in findings {
        if !finding.possible {
            labels.insert(finding.label);
            labels.extend(finding.label.broader());
        }
        labels.insert(Label::Restricted);
    }
    labels
}
