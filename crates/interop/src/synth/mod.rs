//! Synthetic patients: FHIR R4 transaction Bundles shaped like those of Synthea.
//!
//! Deterministic: a seed and an index give the same Bundle on every machine and with every
//! build. Practitioners and organisations depend on the seed alone, so that patients share them.
//! Two patients in six have a condition that restricts (`index % 6`: 1 opioid abuse,
//! 3 depression) and one an HIV test (5). Nothing here is a real person.

mod billing;
mod catalog;
mod draw;
mod findings;
mod labelled;
mod person;
mod record;
mod visit;

use serde_json::Value;

use draw::Draw;
use record::Record;

pub use labelled::{LabelledPatient, labelled_patients};

/// A transaction Bundle with one patient and the care given over some years.
pub fn patient_bundle(seed: u64, index: u64) -> Value {
    let mut record = Record::new(Draw::new(seed, index), person::Staff::of(seed));
    let patient = person::patient(&mut record, index);
    visit::life(&mut record, &patient, index);
    record.into_bundle()
}

#[cfg(test)]
mod tests;
