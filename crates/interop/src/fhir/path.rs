//! Where in a resource something stands.

use std::fmt;
use std::sync::LazyLock;

use super::ResourceType;

/// A path like `Observation.result[2].reference`.
///
/// A name that R4 does not define prints as `*`: a sender may have put patient data into the
/// name of an element, and paths go into outcomes.
#[derive(Clone, PartialEq, Eq)]
pub struct ElementPath {
    root: ResourceType,
    steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Name(&'static str),
    Index(usize),
}

impl ElementPath {
    /// The resource itself.
    pub fn root(resource_type: ResourceType) -> Self {
        Self {
            root: resource_type,
            steps: Vec::new(),
        }
    }

    pub(crate) fn push_name(&mut self, name: &str) {
        let plain = name.strip_prefix('_').unwrap_or(name);
        self.steps
            .push(Step::Name(defined_name(plain).unwrap_or("*")));
    }

    /// A name out of the definitions.
    pub(super) fn push_defined(&mut self, name: &'static str) {
        self.steps.push(Step::Name(name));
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.steps.push(Step::Index(index));
    }

    pub(crate) fn pop(&mut self) {
        self.steps.pop();
    }
}

impl fmt::Display for ElementPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.root.as_str())?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(out, ".{name}")?,
                Step::Index(index) => write!(out, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ElementPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The name, if an element of R4 has it in JSON.
pub(super) fn defined_name(name: &str) -> Option<&'static str> {
    let index = NAMES.binary_search(&name).ok()?;
    NAMES.get(index).copied()
}

static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("data/element-names.txt").lines().collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_unknown_to_r4_is_not_shown() {
        let mut path = ElementPath::root(ResourceType::PATIENT);
        path.push_name("contact");
        path.push_index(3);
        path.push_name("Jane Roe");
        path.push_name("_birthDate");
        assert_eq!(path.to_string(), "Patient.contact[3].*.birthDate");
    }

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
        assert!(NAMES.len() > 1_000);
    }
}
