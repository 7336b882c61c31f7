//! Imaging studies by their DICOM UID.

use interop::dicom::{UID_SYSTEM, Uid};
use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, NoValueSets, Query, Scope};

use super::request::{Opened, Requester};
use super::{Custody, CustodyError};

impl Custody {
    /// Reads every ImagingStudy of this Study Instance UID, of whichever patient: whoever may see one of them only would see the
    /// images of all. [`CustodyError::NotFound`] if there is none, or one of them may not be read.
    pub async fn read_imaging_study(
        &self,
        by: &Requester,
        study: &Uid,
    ) -> Result<Vec<Opened>, CustodyError> {
        let kind = ResourceType::parse("ImagingStudy").ok_or(CustodyError::NotFound)?;
        let identifier = format!("{UID_SYSTEM}|{}", study.urn());
        let pairs = [("identifier".to_owned(), identifier)];
        let scope = Scope::Type(kind);
        let query = Query::read(&scope, &pairs, Handling::Strict, &NoValueSets);
        let query = query.map_err(|error| CustodyError::Storage(error.to_string()))?;
        // Nothing is shown of what is looked up here: each is read as whoever asks.
        let anybody = Requester {
            patient: None,
            ..by.clone()
        };
        let found = self.candidates(&anybody, &query.parts).await?;
        let mut studies = Vec::with_capacity(found.len());
        for one in found {
            match self.read(by, kind, &one.row.id).await {
                Ok(opened) => studies.push(opened),
                Err(
                    CustodyError::Denied { .. }
                    | CustodyError::NotFound
                    | CustodyError::Gone
                    | CustodyError::Deleted { .. },
                ) => return Err(CustodyError::NotFound),
                Err(error) => return Err(error),
            }
        }
        if studies.is_empty() {
            return Err(CustodyError::NotFound);
        }
        Ok(studies)
    }
}
