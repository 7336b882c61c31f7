//! DICOM by reference: what is asked of DICOMweb services (PS3.18), and what an `ImagingStudy` answers.

mod qido;
mod wado;

#[cfg(test)]
mod tests;

pub use qido::{StudyQuery, StudyQueryError, instance_rows, series_rows, study_row};
pub use wado::{Retrieval, lists};

use std::fmt;

use serde_json::Value;

use crate::fhir::Resource;

/// The system of a study's identifier (R4 `ImagingStudy.identifier`).
pub const UID_SYSTEM: &str = "urn:dicom:uid";
const OID: &str = "urn:oid:";
/// Characters of a UID (PS3.5 §9.1).
const UID_MAX: usize = 64;

/// A DICOM unique identifier.
// UIDs lead to patients: Debug shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Uid(String);

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uid(..)")
    }
}

impl Uid {
    /// Reads numbers with dots between them, none of which starts with a zero that means nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = |part: &str| {
            let is_padded = part.len() > 1 && part.starts_with('0');
            !part.is_empty() && !is_padded && part.bytes().all(|one| one.is_ascii_digit())
        };
        let is_uid = text.len() <= UID_MAX && text.contains('.') && text.split('.').all(is_number);
        is_uid.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As FHIR has it in an identifier: `urn:oid:…`.
    pub fn urn(&self) -> String {
        format!("{OID}{}", self.0)
    }
}

/// The Study Instance UID of an `ImagingStudy`.
pub fn study_uid(study: &Resource) -> Option<Uid> {
    let identifiers = study.get("identifier")?.as_array()?;
    identifiers.iter().find_map(|one| {
        let is_uid = one.get("system")? == UID_SYSTEM;
        let value = one.get("value")?.as_str()?;
        let value = value.strip_prefix(OID).unwrap_or(value);
        is_uid.then(|| Uid::parse(value))?
    })
}

fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}
