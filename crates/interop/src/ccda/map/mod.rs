//! From a document to a transaction Bundle.
//!
//! Sections are walked in their order. An entry is known by its templates, wherever it stands; what has none that is mapped
//! is listed as unread. It stays in the section's text and in the document.

mod allergy;
mod care_team;
mod datatypes;
mod device;
mod draft;
mod encounter;
mod family;
mod goal;
mod header;
mod immunization;
mod medication;
mod note;
mod observation;
mod original;
mod people;
mod plan;
mod problem;
mod procedure;
mod section;
mod value;

use std::fmt;

use serde_json::Value;

use self::draft::Draft;
use super::document::Document;
use super::fault::{Fault, Rule};

pub use original::Original;

/// What a document became.
#[derive(Clone, PartialEq)]
pub struct Mapped {
    /// A transaction Bundle: conditional creates by identifier. What is there already stays as it is.
    pub bundle: Value,
    /// The identifier of the document (`ClinicalDocument.id`).
    pub identifier: Value,
    /// The `fullUrl` of the Patient.
    pub patient: String,
    /// Entries of which nothing was made, by path.
    pub unread: Vec<String>,
    /// Values that cannot be read and were left out, at most 500. Their resources have the tag `urn:careledger:ccda|incomplete`.
    pub misread: Vec<Fault>,
    /// Why the document does not tell whose it is: it may be filed for a patient who is there ([`Mapped::for_patient`]), and
    /// for nobody else.
    pub unclaimed: Option<Fault>,
    /// For the DocumentReference of the original.
    about: Value,
    /// References to the document's authors.
    authors: Vec<Value>,
    /// The label that the document asks for.
    confidentiality: Option<&'static str>,
}

impl fmt::Debug for Mapped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = (self.unread.len(), self.misread.len());
        write!(
            out,
            "Mapped(.., {} unread, {} misread)",
            left_out.0, left_out.1
        )
    }
}

/// Maps a document. `new_url` names an entry of the Bundle; it answers another URL each time.
///
/// # Errors
///
/// Why nothing of the document can be filed, all at once. A value that cannot be read is none of that: it is left out, and
/// listed in [`Mapped::misread`].
pub fn map(document: &Document, new_url: &mut dyn FnMut() -> String) -> Result<Mapped, Vec<Fault>> {
    let Some(root) = document.root() else {
        let path = "ClinicalDocument".to_owned();
        let rule = Rule::NotADocument;
        return Err(vec![Fault { path, rule }]);
    };
    let mut draft = Draft::new(root, new_url);
    draft.header(document.digest());
    draft.body();
    if document.is_overdrawn() {
        draft.fault(root, Rule::TooMuchReferred);
    }
    draft.finish()
}
