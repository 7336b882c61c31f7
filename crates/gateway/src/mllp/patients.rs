//! Whom of the patients on record a message speaks of; `interop::hl7v2` decides what becomes of them.

use interop::fhir::ResourceType;
use interop::hl7v2::{Fault, Mapped, OnRecord};
use uuid::Uuid;

use super::Desk;
use crate::fhir::Caller;
use crate::problem::Problem;

/// Patients that one identifier finds at most: with more it is refused anyway.
const FOUND_MAX: usize = 8;
/// Merges that are followed at most.
const FOLLOWED_MAX: usize = 64;

/// Why a message could not be put beside the patients on record.
pub(super) enum Unmet {
    Faults(Vec<Fault>),
    Problem(Problem),
}

impl From<Problem> for Unmet {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Desk {
    /// Looks up the patients of a message, and writes it for them.
    pub(super) async fn meet(&self, caller: &Caller, mapped: &mut Mapped) -> Result<(), Unmet> {
        let mut record = OnRecord::default();
        for identifier in mapped.patients() {
            let query = identifier.query();
            let found = self
                .bundles
                .find(caller, ResourceType::PATIENT, &query, FOUND_MAX);
            let mut ids = Vec::new();
            for one in found.await? {
                ids.push(one.id.clone());
                record.patient(&one.id, one.version, one.resource.into_value());
            }
            record.identified(identifier, ids);
        }
        for _ in 0..FOLLOWED_MAX {
            let Some(id) = record.missing().map(str::to_owned) else {
                break;
            };
            let one = self
                .bundles
                .read(caller, ResourceType::PATIENT, &id)
                .await?;
            record.patient(&id, one.version, one.resource.into_value());
        }
        self.find_absorbed(caller, &mut record).await?;
        for earlier in mapped.earlier(&record) {
            for patient in &earlier.patients {
                let (kind, query) = (earlier.resource_type, earlier.query(patient));
                let found = self.bundles.find(caller, kind, &query, 2).await?;
                if let [one] = found.as_slice() {
                    record.filed(&earlier, patient, (&one.id, one.version));
                }
                if !found.is_empty() {
                    break;
                }
            }
        }
        let mut fresh = || Uuid::new_v4().to_string();
        mapped.meet(record, &mut fresh).map_err(Unmet::Faults)
    }

    /// Looks up the patients whom those on record absorbed; one who is not there any more has nothing to be corrected.
    async fn find_absorbed(&self, caller: &Caller, record: &mut OnRecord) -> Result<(), Problem> {
        for _ in 0..FOLLOWED_MAX {
            let Some(id) = record.missing_absorbed().map(str::to_owned) else {
                break;
            };
            match self.bundles.read(caller, ResourceType::PATIENT, &id).await {
                Ok(one) => record.patient(&id, one.version, one.resource.into_value()),
                Err(problem) if matches!(problem.status().as_u16(), 403 | 404 | 410) => {
                    record.gone(id);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }
}
