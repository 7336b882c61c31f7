//! FHIR R4.

pub mod audit;
pub mod bundle;
pub mod capability;
pub mod care_services;
pub mod compartment;
mod definitions;
pub mod disclosure;
pub mod etag;
pub mod fhirpath;
pub mod invariants;
mod json;
pub mod labels;
pub mod outcome;
pub mod patch;
mod path;
pub mod profile;
pub mod reference;
pub mod resource;
pub mod resource_type;
pub mod search;
pub mod spread;
mod structure;
pub mod subscription;
pub mod timespan;
pub mod transaction;
pub mod xml;

pub use outcome::{Details, Issue, IssueType, OperationOutcome, Severity};
pub use path::ElementPath;
pub use resource::{Checking, ParseLimits, Resource, ResourceError};
pub use resource_type::ResourceType;
pub use structure::{ElementProblem, ElementRule};
pub use timespan::TimeSpan;
