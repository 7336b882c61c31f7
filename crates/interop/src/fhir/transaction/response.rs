//! The answer to a transaction or batch.

use serde_json::{Map, Value};

use super::BundleKind;
use crate::fhir::etag;
use crate::fhir::timespan::format_instant;
use crate::fhir::{OperationOutcome, ResourceType};

/// What became of one entry.
#[derive(Clone, PartialEq)]
pub struct EntryResponse {
    /// The place of the entry in the request.
    pub index: usize,
    /// HTTP status, with or without a reason: `201 Created`.
    pub status: String,
    /// Where the version is: `Type/id/_history/version`.
    pub location: Option<String>,
    /// The version's ETag.
    pub etag: Option<String>,
    /// The time of the version.
    pub last_modified_ms: Option<i64>,
    /// The resource, for reads.
    pub resource: Option<Value>,
    /// Errors and hints.
    pub outcome: Option<Value>,
}

impl std::fmt::Debug for EntryResponse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "EntryResponse({}, {})", self.index, self.status)
    }
}

impl EntryResponse {
    /// The response for a version that was written.
    pub fn written(
        index: usize,
        status: &str,
        target: (ResourceType, &str, u64),
        last_modified_ms: i64,
    ) -> Self {
        let (resource_type, id, version) = target;
        Self {
            index,
            status: status.to_owned(),
            location: Some(format!("{resource_type}/{id}/_history/{version}")),
            etag: Some(etag::format(version)),
            last_modified_ms: Some(last_modified_ms),
            resource: None,
            outcome: None,
        }
    }

    /// The response for an entry that failed.
    pub fn failed(index: usize, status: &str, outcome: &OperationOutcome) -> Self {
        Self {
            index,
            status: status.to_owned(),
            location: None,
            etag: None,
            last_modified_ms: None,
            resource: None,
            outcome: Some(outcome.to_value()),
        }
    }

    fn into_value(self) -> Value {
        let mut response = Map::new();
        response.insert("status".to_owned(), self.status.into());
        if let Some(location) = self.location {
            response.insert("location".to_owned(), location.into());
        }
        if let Some(etag) = self.etag {
            response.insert("etag".to_owned(), etag.into());
        }
        if let Some(unix_ms) = self.last_modified_ms {
            response.insert("lastModified".to_owned(), format_instant(unix_ms).into());
        }
        if let Some(outcome) = self.outcome {
            response.insert("outcome".to_owned(), outcome);
        }
        let mut entry = Map::new();
        if let Some(resource) = self.resource {
            entry.insert("resource".to_owned(), resource);
        }
        entry.insert("response".to_owned(), response.into());
        entry.into()
    }
}

/// The response Bundle, its entries in the order of the request.
pub fn response_bundle(kind: BundleKind, mut responses: Vec<EntryResponse>) -> Value {
    responses.sort_by_key(|response| response.index);
    let kind = match kind {
        BundleKind::Transaction => "transaction-response",
        BundleKind::Batch => "batch-response",
    };
    let mut bundle = Map::new();
    bundle.insert("resourceType".to_owned(), "Bundle".into());
    bundle.insert("type".to_owned(), kind.into());
    let entries: Vec<Value> = responses
        .into_iter()
        .map(EntryResponse::into_value)
        .collect();
    if !entries.is_empty() {
        bundle.insert("entry".to_owned(), entries.into());
    }
    bundle.into()
}
