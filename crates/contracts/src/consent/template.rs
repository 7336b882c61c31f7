//! Consents in the forms that patients usually give.

use serde_json::{Value, json};

use super::MEMBER_SYSTEM;

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
    /// The class that a word on a command line names.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "laboratory" => Self::Laboratory,
            "medications" => Self::Medications,
            "conditions" => Self::Conditions,
            "allergies" => Self::Allergies,
            "immunizations" => Self::Immunizations,
            "all" => Self::All,
            _ => return None,
        })
    }

    fn provisions(self) -> Vec<Value> {
        let types = |types: &[&str]| {
            let coding = |code: &&str| json!({ "system": "http://hl7.org/fhir/resource-types", "code": code });
            json!({ "type": "permit", "class": types.iter().map(coding).collect::<Vec<_>>() })
        };
        match self {
            Self::Laboratory => {
                let mut laboratory = types(&["Observation", "DiagnosticReport"]);
                if let Some(provision) = laboratory.as_object_mut() {
                    provision.insert("code".to_owned(), json!([{ "coding": [
                        { "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" },
                        { "system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB" },
                    ] }]));
                }
                vec![laboratory]
            }
            Self::Medications => {
                vec![types(&[
                    "MedicationRequest",
                    "MedicationStatement",
                    "Medication",
                    "MedicationDispense",
                ])]
            }
            Self::Conditions => vec![types(&["Condition"])],
            Self::Allergies => vec![types(&["AllergyIntolerance"])],
            Self::Immunizations => vec![types(&["Immunization"])],
            Self::All => vec![json!({ "type": "permit" })],
        }
    }
}

/// What a patient grants.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The patient's reference at the member through which the consent is filed.
    pub patient: &'a str,
    /// The member that is let in.
    pub grantee: &'a str,
    /// To what; sensitive documents are never included.
    pub data: &'a [DataClass],
    /// Purpose of use (v3-ActReason code).
    pub purpose: &'a str,
    /// From when, as a FHIR dateTime; also the consent's date.
    pub start: &'a str,
    /// Until when, as a FHIR dateTime.
    pub end: &'a str,
}

/// A consent that lets `grant.grantee` see some classes of data for one purpose and time.
pub fn access(grant: &Grant<'_>) -> Value {
    let provisions: Vec<Value> = grant
        .data
        .iter()
        .flat_map(|class| class.provisions())
        .collect();
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "patient": { "reference": grant.patient },
        "dateTime": grant.start,
        "policyRule": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN" }] },
        "provision": {
            "period": { "start": grant.start, "end": grant.end },
            "actor": [{
                "role": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP" }] },
                "reference": { "identifier": { "system": MEMBER_SYSTEM, "value": grant.grantee } },
            }],
            "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": grant.purpose }],
            "provision": provisions,
        },
    })
}
