//! The compartments of R4: which parameters put a resource into one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::filter::Filter;
use super::parameter::parameter;
use crate::fhir::ResourceType;

/// A compartment: all that belongs to one patient, encounter, practitioner, person or device.
#[derive(Clone, PartialEq, Eq)]
pub struct Compartment {
    /// One of the five types that have compartments.
    pub resource_type: ResourceType,
    /// Whose it is.
    pub id: String,
}

impl std::fmt::Debug for Compartment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Compartment({}/..)", self.resource_type)
    }
}

impl Compartment {
    /// Whether R4 defines compartments of this type.
    pub fn is_defined(resource_type: ResourceType) -> bool {
        TABLE.contains_key(resource_type.as_str())
    }

    /// The types that can be in the compartment.
    pub fn types(&self) -> Vec<ResourceType> {
        let types = TABLE.get(self.resource_type.as_str());
        types.into_iter().flatten().map(|(name, _)| *name).collect()
    }

    /// What puts a resource of the type into the compartment; `None` if nothing does.
    pub(super) fn filter(&self, resource_type: ResourceType) -> Option<Filter> {
        let parameters = TABLE
            .get(self.resource_type.as_str())?
            .get(&resource_type)?;
        if parameters.contains(&ITSELF) {
            return Some(Filter::id_is(&self.id));
        }
        let parameters: Vec<&'static str> = parameters
            .iter()
            .filter_map(|name| Some(parameter(resource_type, name)?.name))
            .collect();
        Some(Filter::refers_to(parameters, self.resource_type, &self.id))
    }
}

/// The resource that the compartment is named after.
const ITSELF: &str = "{def}";

type Members = BTreeMap<ResourceType, Vec<&'static str>>;

static TABLE: LazyLock<BTreeMap<&'static str, Members>> = LazyLock::new(|| {
    let mut table: BTreeMap<&'static str, Members> = BTreeMap::new();
    let lines = include_str!("../data/compartments.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(compartment), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        if let Some(resource_type) = ResourceType::parse(name) {
            table
                .entry(compartment)
                .or_default()
                .insert(resource_type, words.collect());
        }
    }
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_types_have_compartments_by_parameters_of_the_table() {
        let names: Vec<&str> = TABLE.keys().copied().collect();
        let five = [
            "Device",
            "Encounter",
            "Patient",
            "Practitioner",
            "RelatedPerson",
        ];
        assert_eq!(names, five);
        for (compartment, members) in TABLE.iter() {
            assert!(ResourceType::parse(compartment).is_some());
            for (resource_type, parameters) in members {
                for name in parameters.iter().filter(|name| **name != ITSELF) {
                    let found = parameter(*resource_type, name);
                    assert!(found.is_some(), "{compartment} {resource_type} {name}");
                }
            }
        }
        assert_eq!(TABLE["Patient"].len(), 66);
    }
}
