//! One entry: the change that it asks for, and the response to it.

use interop::fhir::transaction::{Action, EntryResponse, PlannedEntry};
use node::custody::{Change, Opened, Written};
use serde_json::Value;

use super::wants_content;
use crate::fhir::answer;
use crate::fhir::preferences::Return;

/// The change, unless the entry changes nothing.
pub(super) fn change(entry: &PlannedEntry) -> Option<Change> {
    let resource = || entry.resource.clone();
    match &entry.action {
        Action::Create { .. } => Some(Change::Create {
            resource: resource()?,
            id: entry.id.clone(),
        }),
        Action::Update { if_match } => Some(Change::Update {
            resource: resource()?,
            if_match: *if_match,
        }),
        Action::Delete => Some(Change::Delete {
            resource_type: entry.resource_type,
            id: entry.id.clone()?,
            if_match: None,
        }),
        Action::Exists | Action::Read(_) => None,
    }
}

pub(super) fn written(
    entry: &PlannedEntry,
    written: &Written,
    answer: Option<Return>,
) -> EntryResponse {
    let status = match entry.action {
        Action::Delete => "204 No Content",
        _ if written.created => "201 Created",
        _ => "200 OK",
    };
    let target = (written.resource_type, written.id.as_str(), written.version);
    let time = i64::try_from(written.last_updated_ms).unwrap_or(i64::MAX);
    let mut response = EntryResponse::written(entry.index, status, target, time);
    if wants_content(answer) {
        let content = entry.resource.as_ref();
        response.resource = content.and_then(|content| answer::presented(content, written));
    }
    response
}

/// A conditional create that found its resource.
pub(super) fn existing(entry: &PlannedEntry, found: &Opened) -> EntryResponse {
    let target = (entry.resource_type, found.id.as_str(), found.version);
    let time = i64::try_from(found.last_updated_ms).unwrap_or(i64::MAX);
    EntryResponse::written(entry.index, "200 OK", target, time)
}

pub(super) fn read(entry: &PlannedEntry, resource: Value) -> EntryResponse {
    EntryResponse {
        index: entry.index,
        status: "200 OK".to_owned(),
        written: None,
        last_modified_ms: None,
        resource: Some(resource),
        outcome: None,
    }
}
