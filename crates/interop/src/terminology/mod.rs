//! Vocabularies: code systems with their versions side by side, value sets and concept maps
//! (<https://hl7.org/fhir/R4/terminology-module.html>).
//!
//! Nothing here reads a file: formats take records that somebody else has read, and questions are asked of whatever
//! implements [`Concepts`] and [`Library`].

mod about;
mod catalogue;
mod concept;
mod concept_map;
mod concepts;
mod draft;
mod expansion;
pub mod format;
mod hierarchy;
mod lookup;
mod map_on_write;
mod parameters;
mod problem;
mod resource;
mod search;
mod selection;
#[cfg(test)]
mod tests;
mod translate;
mod ucum;
mod validate;
mod value_set;
mod words;

pub use about::{About, Canonical, by_version};
pub use catalogue::{Catalogue, property_key};
pub use concept::{Concept, Designation, Kind, Property};
pub use concept_map::{ConceptMap, Relation};
pub use concepts::{Concepts, Library, Unavailable};
pub use draft::Draft;
pub use expansion::{EXPANDED_MAX, Expand, expand};
pub use hierarchy::Hierarchy;
pub use lookup::{lookup, subsumes};
pub use map_on_write::{Coded, MAPPED, mapped};
pub use problem::TerminologyProblem;
pub use resource::code_system;
pub use search::Searched;
pub use translate::{Translate, translate};
pub use ucum::Ucum;
pub use validate::{Asked, validated, validated_in};
pub use value_set::ValueSet;
pub use words::words;
