//! What R4 defines, from the tables under `data/`: types, their elements, value sets.

mod primitive;
mod table;
mod value_set;

pub(super) use primitive::Primitive;
pub(super) use value_set::ValueSet;

use super::ResourceType;

/// A type, or the elements below a backbone element.
#[derive(Debug)]
pub(super) struct Definition {
    /// In their order.
    pub(super) elements: Vec<Element>,
    /// One bit for each required element.
    pub(super) required: u128,
    /// The names in JSON, sorted, and what each stands for.
    names: Vec<(&'static str, Place)>,
}

/// An element of a type.
#[derive(Debug)]
pub(super) struct Element {
    /// The name; of a choice without the type.
    pub(super) name: &'static str,
    /// Whether XML has it as an attribute.
    pub(super) is_attribute: bool,
    pub(super) is_choice: bool,
    pub(super) is_repeating: bool,
    /// One, or the kinds of a choice.
    pub(super) kinds: Vec<Kind>,
    /// The codes that it must be of.
    pub(super) codes: Option<&'static ValueSet>,
}

/// What an element, or one alternative of a choice, is made of.
#[derive(Debug)]
pub(super) struct Kind {
    /// The name of the element in JSON.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The types to which a Reference may refer; empty for all.
    pub(super) targets: Vec<ResourceType>,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Primitive(Primitive),
    Complex(DefinitionId),
    Resource,
}

/// A definition, by its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DefinitionId(u16);

/// Where a name in JSON leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) element: u8,
    pub(super) kind: u8,
}

impl Definition {
    /// The elements of a resource type.
    pub(super) fn of_resource(resource_type: ResourceType) -> &'static Self {
        table::of_resource(resource_type)
    }

    /// Where a name in JSON leads.
    pub(super) fn find(&self, name: &str) -> Option<Place> {
        let index = self
            .names
            .binary_search_by_key(&name, |(name, _)| name)
            .ok()?;
        self.names.get(index).map(|(_, place)| *place)
    }

    /// The element and its kind.
    pub(super) fn at(&self, place: Place) -> Option<(&Element, &Kind)> {
        let element = self.elements.get(usize::from(place.element))?;
        Some((element, element.kinds.get(usize::from(place.kind))?))
    }
}

impl DefinitionId {
    /// The elements.
    pub(super) fn get(self) -> &'static Definition {
        table::get(self)
    }

    /// `CodeableConcept`.
    pub(super) fn codeable_concept() -> Self {
        table::R4.codeable_concept
    }

    /// `Reference`.
    pub(super) fn reference() -> Self {
        table::R4.reference
    }

    /// What a primitive has beside its value.
    pub(super) fn element() -> Self {
        table::R4.element
    }
}

#[cfg(test)]
mod tests;
