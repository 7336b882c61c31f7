//! C-CDA documents (CDA R2, C-CDA R1.1 to R4): reading them, and what they become in FHIR R4.
//!
//! The mapping follows HL7's guide C-CDA on FHIR (<https://hl7.org/fhir/us/ccda/>, version 2.0.0). A document is XML from
//! outside: it is read within [`Limits`], without document types and entities, to a tree of the elements that CDA has.

mod codes;
mod document;
mod fault;
mod map;
mod names;
mod narrative;
mod read;
mod write;

pub use document::Document;
pub use fault::{Fault, Rule};
pub use map::{Mapped, Original, map};
pub use read::{Limits, read};
pub use write::{Record, ccd};
