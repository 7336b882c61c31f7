//! One entry: the change that it asks for, and the response to it.

use interop::fhir::Issue;
use interop::fhir::transaction::{Action, EntryResponse, Expected, PlannedEntry};
use node::custody::{Change, Opened, Written};

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
        Action::Update { expected } => Some(match *expected {
            Expected::Nothing => Change::CreateAs {
                resource: resource()?,
            },
            Expected::Anything => Change::Update {
                resource: resource()?,
                if_match: None,
            },
            Expected::Version(version) => Change::Update {
                resource: resource()?,
                if_match: Some(version),
            },
        }),
        Action::Delete { if_match } => Some(Change::Delete {
            resource_type: entry.resource_type,
            id: entry.id.clone()?,
            if_match: *if_match,
        }),
        Action::Exists
        | Action::Absent
        | Action::UpdateWhere { .. }
        | Action::DeleteWhere { .. }
        | Action::Patch { .. }
        | Action::PatchWhere { .. } => None,
    }
}

pub(super) fn written(
    entry: &PlannedEntry,
    written: &Written,
    (answer, remarks): (Option<Return>, Vec<Issue>),
) -> EntryResponse {
    let status = match entry.action {
        Action::Delete { .. } => "204 No Content",
        _ if written.created => "201 Created",
        _ => "200 OK",
    };
    if written.version == 0 {
        return absent(entry);
    }
    let target = (written.resource_type, written.id.as_str(), written.version);
    let time = i64::try_from(written.last_updated_ms).unwrap_or(i64::MAX);
    let mut response = EntryResponse::written(entry.index, status, target, time);
    let content = entry.resource.as_ref();
    match answer {
        Some(Return::Representation) => {
            response.resource = content.and_then(|content| answer::presented(content, written));
        }
        Some(Return::OperationOutcome) => {
            response.outcome = Some(answer::done("the change is written and durable", remarks));
        }
        Some(Return::Minimal) | None => {}
    }
    response
}

/// A deletion of what is not there.
pub(super) fn absent(entry: &PlannedEntry) -> EntryResponse {
    EntryResponse {
        index: entry.index,
        status: "204 No Content".to_owned(),
        location: None,
        etag: None,
        last_modified_ms: None,
        resource: None,
        outcome: None,
    }
}

/// A conditional create that found its resource.
pub(super) fn existing(entry: &PlannedEntry, found: &Opened) -> EntryResponse {
    let target = (entry.resource_type, found.id.as_str(), found.version);
    let time = i64::try_from(found.last_updated_ms).unwrap_or(i64::MAX);
    EntryResponse::written(entry.index, "200 OK", target, time)
}
