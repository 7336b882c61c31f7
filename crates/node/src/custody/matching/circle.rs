//! Merges that lead back: a Patient that was merged into another, which was merged into the first.

use std::collections::BTreeMap;

use interop::fhir::{Issue, IssueType, Resource, ResourceType};
use interop::identity::links::replaced_by;

use crate::custody::write::Named;
use crate::custody::{Custody, CustodyError};

/// Merges that follow each other at most.
const MERGES_MAX: usize = 64;

impl Custody {
    /// Refuses changes by which a patient would be merged into themselves, over whatever others.
    pub(in crate::custody) async fn refuse_circles(
        &self,
        changes: &[Named],
    ) -> Result<(), CustodyError> {
        let patients = changes
            .iter()
            .filter(|change| change.resource_type == ResourceType::PATIENT);
        let written: BTreeMap<&str, &Resource> = patients
            .filter_map(|change| Some((change.id.as_str(), change.resource.as_ref()?)))
            .collect();
        for (first, resource) in &written {
            let mut next = target_of(resource);
            for _ in 0..MERGES_MAX {
                let Some(id) = next else { break };
                if id == *first {
                    let issue = Issue::error(
                        IssueType::BusinessRule,
                        "a patient that is replaced by another does not replace it, also not over others",
                    );
                    return Err(CustodyError::Invalid(issue.at("Patient.link")));
                }
                next = match written.get(id.as_str()) {
                    Some(resource) => target_of(resource),
                    None => self.stored_target(&id).await?,
                };
            }
        }
        Ok(())
    }

    /// Into whom a stored Patient was merged.
    async fn stored_target(&self, id: &str) -> Result<Option<String>, CustodyError> {
        let Some(head) = self.head(ResourceType::PATIENT, id)? else {
            return Ok(None);
        };
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let Some(loaded) = self.load(&document, head.version)? else {
            return Ok(None);
        };
        let content = self.open_content(&loaded).await?;
        Ok(content.as_ref().and_then(target_of))
    }
}

fn target_of(resource: &Resource) -> Option<String> {
    // Nearly no Patient has links.
    resource.get("link")?;
    replaced_by(&resource.clone().into_value()).map(str::to_owned)
}
