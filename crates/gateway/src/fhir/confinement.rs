//! A patient's token touches that patient's records, and nothing else.
//!
//! Custody decides again, with consents; here a request is refused that no consent could allow.

use interop::fhir::compartment::{Belonging, PatientReference, belonging};
use interop::fhir::search::Query;
use interop::fhir::{Resource, ResourceType};

use super::caller::Caller;
use crate::problem::Problem;

impl Caller {
    /// The patient with this local id.
    pub(super) fn may_touch_patient(&self, id: &str) -> Result<(), Problem> {
        match self.patient() {
            Some(own) if own != id => Err(other_patient()),
            _ if self.is_confined_to_another(id) => Err(Problem::forbidden(
                "the token is for the records of another patient",
            )),
            _ => Ok(()),
        }
    }

    /// Whether it is for an emergency, or a delegation, of another patient.
    fn is_confined_to_another(&self, id: &str) -> bool {
        let token = self.token();
        let is_confined = token.emergency.is_some() || token.related.is_some();
        is_confined && token.context.as_deref() != Some(id)
    }

    /// What is addressed by type and id: for other types than Patient only the content tells.
    pub(super) fn may_address(&self, resource_type: ResourceType, id: &str) -> Result<(), Problem> {
        if resource_type == ResourceType::PATIENT {
            self.may_touch_patient(id)
        } else {
            Ok(())
        }
    }

    /// A resource that is written, or was opened.
    pub(crate) fn may_touch(&self, resource: &Resource) -> Result<(), Problem> {
        let Some(own) = self.patient() else {
            return Ok(());
        };
        match belonging(resource) {
            Belonging::Patient(PatientReference::Id(id)) if id == own => Ok(()),
            _ => Err(other_patient()),
        }
    }

    /// A search: it must name the patient.
    pub(crate) fn may_search(&self, query: &Query) -> Result<(), Problem> {
        let Some(own) = self.patient() else {
            return Ok(());
        };
        match query.patients() {
            Some(patients) if patients.iter().all(|id| *id == own) => Ok(()),
            _ => Err(Problem::forbidden(
                "a search with a patient's token must be confined to that patient",
            )),
        }
    }

    /// What only systems of the member do.
    pub(super) fn must_not_be_a_patient(&self) -> Result<(), Problem> {
        match self.patient() {
            None => Ok(()),
            Some(_) => Err(Problem::forbidden("a patient's token cannot do this")),
        }
    }

    /// What only the patient does.
    pub(super) fn must_be_patient(&self, id: &str) -> Result<(), Problem> {
        match self.patient() {
            Some(own) if own == id => Ok(()),
            _ => Err(Problem::forbidden("this takes the token of the patient")),
        }
    }
}

fn other_patient() -> Problem {
    Problem::forbidden("a patient's token is for that patient's records alone")
}
