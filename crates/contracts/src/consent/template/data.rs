//! Classes of data, as patients name them.

use serde_json::{Value, json};

use super::types;

/// A class of data, as patients name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataClass {
    /// Laboratory observations and reports.
    Laboratory,
    /// Prescriptions.
    Medications,
    /// Problems and diagnoses.
    Conditions,
    /// Allergies and intolerances.
    Allergies,
    /// Vaccinations.
    Immunizations,
    /// Everything.
    All,
}

impl DataClass {
    /// All of them.
    pub const EACH: [Self; 6] = [
        Self::Laboratory,
        Self::Medications,
        Self::Conditions,
        Self::Allergies,
        Self::Immunizations,
        Self::All,
    ];

    /// The class that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|one| one.word() == word)
    }

    /// The word for it, in answers and on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Laboratory => "laboratory",
            Self::Medications => "medications",
            Self::Conditions => "conditions",
            Self::Allergies => "allergies",
            Self::Immunizations => "immunizations",
            Self::All => "all",
        }
    }

    /// What people call it.
    pub(super) fn called(self) -> &'static str {
        match self {
            Self::Laboratory => "lab tests",
            Self::Medications => "medicines",
            Self::Conditions => "diagnoses",
            Self::Allergies => "allergies",
            Self::Immunizations => "vaccinations",
            Self::All => "all your records",
        }
    }

    /// The rules that permit it.
    pub(super) fn provisions(self) -> Vec<Value> {
        let permit = |names: &[&str]| json!({ "type": "permit", "class": types(names) });
        match self {
            Self::Laboratory => {
                let mut laboratory = permit(&["Observation", "DiagnosticReport"]);
                if let Some(provision) = laboratory.as_object_mut() {
                    provision.insert("code".to_owned(), json!([{ "coding": [
                        { "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" },
                        { "system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB" },
                    ] }]));
                }
                vec![laboratory]
            }
            Self::Medications => {
                vec![permit(&[
                    "MedicationRequest",
                    "MedicationStatement",
                    "Medication",
                    "MedicationDispense",
                ])]
            }
            Self::Conditions => vec![permit(&["Condition"])],
            Self::Allergies => vec![permit(&["AllergyIntolerance"])],
            Self::Immunizations => vec![permit(&["Immunization"])],
            Self::All => vec![json!({ "type": "permit" })],
        }
    }
}
