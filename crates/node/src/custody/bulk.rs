//! Bulk export: the records of one patient after the other, each decided and put on record as a read is. For bulk import,
//! which version of a document is the last.

use std::collections::BTreeSet;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::search::Query;

use super::audit::decided_of;
use super::read::is_recorded;
use super::request::{Opened, Requester};
use super::{Aim, Custody, CustodyError, Reached, labelling};

/// What of a patient's records is exported.
#[derive(Clone, Default)]
pub struct Selection {
    /// The types; all if there is none.
    pub types: BTreeSet<ResourceType>,
    /// What was recorded at this time or later, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Searches; of a type that some name, only what one of those finds.
    pub filters: Vec<Query>,
}

impl std::fmt::Debug for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selection")
            .field("types", &self.types.len())
            .finish_non_exhaustive()
    }
}

impl Selection {
    fn takes(&self, resource_type: ResourceType) -> bool {
        self.types.is_empty() || self.types.contains(&resource_type)
    }
}

impl Custody {
    /// The local ids of all patients.
    pub fn patients(&self) -> Result<Vec<String>, CustodyError> {
        let mut ids = Vec::new();
        for subject in self.0.subjects.all() {
            ids.extend(subject?.patient_id.clone());
        }
        Ok(ids)
    }

    /// The number of a document's last version, also if that deletes it; none if there was never one. Nothing is opened.
    pub fn last_version(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Option<u64>, CustodyError> {
        Ok(self.head(resource_type, id)?.map(|head| head.version))
    }

    /// What the requester may see of one patient's records, or of the member's directory without a patient; the access is
    /// on record when this returns. Nothing tells of what was withheld.
    pub async fn export_of(
        &self,
        by: &Requester,
        patient_id: Option<&str>,
        selection: &Selection,
    ) -> Result<Vec<Opened>, CustodyError> {
        let subject = match patient_id {
            Some(id) => self.0.subjects.of_patient(id)?,
            None => Some(self.0.subjects.directory()),
        };
        let subject = subject.ok_or(CustodyError::NotFound)?;
        let mut found = Vec::new();
        for resource_type in ResourceType::all().filter(|one| selection.takes(*one)) {
            let mut filters = selection.filters.iter();
            let filters: Vec<&Query> = filters
                .by_ref()
                .filter(|filter| filter.resource_type() == Some(resource_type))
                .collect();
            for (document, row) in self.current_of(resource_type, &subject.id).await? {
                let recorded_at = row.facts.recorded_at;
                let is_late = selection.since_ms.is_none_or(|since| recorded_at >= since);
                let at = i64::try_from(recorded_at).unwrap_or(i64::MAX);
                let is_found = filters.is_empty()
                    || filters
                        .iter()
                        .any(|filter| filter.matches(&row.terms, at, &row.id));
                let reached = Reached {
                    resource_type,
                    patient_id,
                    terms: &row.terms,
                    id: &row.id,
                };
                if is_late && is_found && by.reach.admits(Aim::Read, &reached) {
                    found.push((resource_type, document, row));
                }
            }
        }
        let facts: Vec<_> = found
            .iter()
            .map(|(_, _, row)| &row.facts.disclosure)
            .collect();
        let decision = self.decide(by, &subject, &facts).await?;
        let permitted: Vec<_> = found
            .iter()
            .zip(&decision.rulings)
            .filter(|(_, ruling)| ruling.permitted)
            .collect();
        if !found.is_empty() && is_recorded(&subject, ResourceType::BUNDLE) {
            let named = permitted.iter();
            let named = named.map(|((kind, _, row), _)| format!("{kind}/{}", row.id));
            let decided = decision.decided(named.collect());
            let versions = found.iter().map(|one| (one.1, one.2.version));
            let decided = decided_of(decided, versions);
            let decided = vec![(Arc::clone(&subject), decided)];
            self.record(by, "export", "$export".to_owned(), decided)
                .await?;
        }
        let mut opened = Vec::with_capacity(permitted.len());
        for ((_, document, row), ruling) in permitted {
            // Deleted or erased since it was found.
            let Some(loaded) = self.load(document, row.version)? else {
                continue;
            };
            let resource = self.open_content(&loaded).await?;
            opened.extend(resource.map(|resource| Opened {
                member: self.0.home.member.clone(),
                resource,
                id: row.id.clone(),
                version: row.version,
                last_updated_ms: row.facts.recorded_at,
                labels: labelling::shown(&loaded.row.facts.disclosure.labels),
                scope: ruling.scope.clone(),
            }));
        }
        Ok(opened)
    }
}
