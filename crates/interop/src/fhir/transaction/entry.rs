//! One entry of a Bundle: its request and resource, checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Action, EntryProblem, EntryRequest, Expected, Method, PlannedCall, PlannedEntry, RefusedEntry,
};
use crate::fhir::etag;
use crate::fhir::resource::{Checking, is_id};
use crate::fhir::{Resource, ResourceError, ResourceType};

/// A planned entry with what is needed until references are resolved.
pub(super) struct Draft {
    pub(super) planned: PlannedEntry,
    pub(super) full_url: Option<String>,
}

/// What an entry is.
pub(super) enum Read {
    Change(Draft),
    Call(PlannedCall),
}

/// A resource as it was sent, and how it is checked.
type Given = (Option<Value>, Checking);

/// What is asked of a resource, before its entry is put together.
struct Change {
    action: Action,
    resource_type: ResourceType,
    id: Option<String>,
    resource: Option<Resource>,
}

pub(super) fn read(
    index: usize,
    (value, checking): (Value, Checking),
    new_id: &mut dyn FnMut() -> String,
) -> Result<Read, EntryProblem> {
    let Value::Object(mut entry) = value else {
        return Err(EntryProblem::NotAnObject);
    };
    let full_url = full_url(&entry)?;
    let resource = entry.get_mut("resource").map(Value::take);
    let Some(Value::Object(object)) = entry.get("request") else {
        return Err(EntryProblem::RequestMissing);
    };
    let request = EntryRequest::read(object)?;
    let if_match = match object.get("ifMatch") {
        None => None,
        Some(etag) => Some(
            etag.as_str()
                .and_then(etag::parse)
                .ok_or(EntryProblem::IfMatchMalformed)?,
        ),
    };
    let change = match request.method {
        Method::Get | Method::Head => {
            call(&request)?;
            None
        }
        Method::Post if request.path().contains('$') => {
            call(&request)?;
            let resource = resource.map(Resource::from_value).transpose();
            let resource = resource.map_err(EntryProblem::Resource)?;
            return Ok(Read::Call(PlannedCall {
                index,
                request,
                resource,
            }));
        }
        Method::Post => Some(create(object, &request, (resource, checking), new_id)?),
        Method::Put => {
            let expected = expected(object, if_match)?;
            Some(update(&request, expected, (resource, checking), new_id)?)
        }
        Method::Patch => Some(patch(&request, if_match, resource)?),
        Method::Delete => Some(delete(&request, if_match)?),
    };
    Ok(match change {
        None => Read::Call(PlannedCall {
            index,
            request,
            resource: None,
        }),
        Some(change) => {
            let planned = PlannedEntry {
                index,
                action: change.action,
                resource_type: change.resource_type,
                id: change.id,
                resource: change.resource,
                request,
            };
            Read::Change(Draft { planned, full_url })
        }
    })
}

/// Refuses the later of two entries with one `fullUrl`, and of two that write one resource.
pub(super) fn refuse_repeated(drafts: &mut Vec<Draft>, refused: &mut Vec<RefusedEntry>) {
    let mut by_url: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_target: BTreeMap<(ResourceType, String), usize> = BTreeMap::new();
    drafts.retain(|draft| {
        let index = draft.planned.index;
        let problem =
            repeated_url(draft, &mut by_url).or_else(|| repeated_target(draft, &mut by_target));
        let is_kept = problem.is_none();
        refused.extend(problem.map(|problem| RefusedEntry { index, problem }));
        is_kept
    });
}

fn repeated_url(draft: &Draft, by_url: &mut BTreeMap<String, usize>) -> Option<EntryProblem> {
    let index = draft.planned.index;
    let first = *by_url.entry(draft.full_url.clone()?).or_insert(index);
    (first != index).then_some(EntryProblem::FullUrlRepeated { first })
}

fn repeated_target(
    draft: &Draft,
    by_target: &mut BTreeMap<(ResourceType, String), usize>,
) -> Option<EntryProblem> {
    let entry = &draft.planned;
    let target = (entry.resource_type, entry.id.clone()?);
    let first = *by_target.entry(target).or_insert(entry.index);
    (first != entry.index).then_some(EntryProblem::TargetRepeated { first })
}

fn full_url(entry: &Map<String, Value>) -> Result<Option<String>, EntryProblem> {
    match entry.get("fullUrl") {
        None => Ok(None),
        Some(Value::String(url)) if has_scheme(url) => Ok(Some(url.clone())),
        Some(_) => Err(EntryProblem::FullUrlMalformed),
    }
}

fn has_scheme(url: &str) -> bool {
    ["urn:uuid:", "urn:oid:", "http://", "https://"]
        .iter()
        .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
}

fn create(
    object: &Map<String, Value>,
    request: &EntryRequest,
    resource: Given,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Change, EntryProblem> {
    let resource_type = type_named(&request.url)?;
    let if_none_exist = if_none_exist(object)?;
    let resource = resource_of(resource_type, resource)?;
    Ok(Change {
        action: Action::Create { if_none_exist },
        resource_type,
        id: Some(assigned(new_id)?),
        resource: Some(resource),
    })
}

fn assigned(new_id: &mut dyn FnMut() -> String) -> Result<String, EntryProblem> {
    let id = new_id();
    is_id(&id).then_some(id).ok_or(EntryProblem::IdUnusable)
}

fn if_none_exist(request: &Map<String, Value>) -> Result<Option<String>, EntryProblem> {
    let Some(value) = request.get("ifNoneExist") else {
        return Ok(None);
    };
    let text = value.as_str().ok_or(EntryProblem::IfNoneExistMalformed)?;
    // Some senders write the whole search URL.
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    if query.contains('=') {
        Ok(Some(query.to_owned()))
    } else {
        Err(EntryProblem::IfNoneExistMalformed)
    }
}

fn expected(object: &Map<String, Value>, if_match: Option<u64>) -> Result<Expected, EntryProblem> {
    match (object.get("ifNoneMatch").map(Value::as_str), if_match) {
        (None, None) => Ok(Expected::Anything),
        (None, Some(version)) => Ok(Expected::Version(version)),
        (Some(Some("*")), None) => Ok(Expected::Nothing),
        _ => Err(EntryProblem::IfNoneMatchMalformed),
    }
}

fn update(
    request: &EntryRequest,
    expected: Expected,
    resource: Given,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Change, EntryProblem> {
    let (resource_type, target) = target(&request.url)?;
    let resource = resource_of(resource_type, resource)?;
    let (action, id) = match target {
        Target::Instance(id) => {
            if resource.id() != Some(id) {
                return Err(EntryProblem::IdMismatch);
            }
            (Action::Update { expected }, id.to_owned())
        }
        Target::Query(query) => {
            let query = query.to_owned();
            let id = match resource.id() {
                Some(id) => id.to_owned(),
                None => assigned(new_id)?,
            };
            (Action::UpdateWhere { query, expected }, id)
        }
    };
    Ok(Change {
        action,
        resource_type,
        id: Some(id),
        resource: Some(resource),
    })
}

fn patch(
    request: &EntryRequest,
    if_match: Option<u64>,
    resource: Option<Value>,
) -> Result<Change, EntryProblem> {
    let (resource_type, target) = target(&request.url)?;
    let patch = Resource::from_value(resource.ok_or(EntryProblem::ResourceMissing)?)
        .map_err(EntryProblem::Resource)?;
    if !["Binary", "Parameters"].contains(&patch.resource_type().as_str()) {
        return Err(EntryProblem::NotAPatch);
    }
    let (action, id) = match target {
        Target::Instance(id) => (Action::Patch { if_match }, Some(id.to_owned())),
        Target::Query(query) => {
            let query = query.to_owned();
            (Action::PatchWhere { query, if_match }, None)
        }
    };
    Ok(Change {
        action,
        resource_type,
        id,
        resource: Some(patch),
    })
}

fn delete(request: &EntryRequest, if_match: Option<u64>) -> Result<Change, EntryProblem> {
    let (resource_type, target) = target(&request.url)?;
    let (action, id) = match target {
        Target::Instance(id) => (Action::Delete { if_match }, Some(id.to_owned())),
        Target::Query(query) => {
            let query = query.to_owned();
            (Action::DeleteWhere { query, if_match }, None)
        }
    };
    Ok(Change {
        action,
        resource_type,
        id,
        resource: None,
    })
}

/// Checks that the URL of a call can be one; what it means is the server's affair.
fn call(request: &EntryRequest) -> Result<(), EntryProblem> {
    let is_plain = request
        .url
        .bytes()
        .all(|byte| (b'!'..=b'~').contains(&byte));
    if !is_plain || request.url.contains("://") && !request.url.contains('?') {
        return Err(EntryProblem::UrlMalformed);
    }
    let first = request.path().split('/').next().unwrap_or_default();
    match first {
        "" | "metadata" | "_history" => Ok(()),
        name if name.starts_with('$') => Ok(()),
        name => type_named(name).map(|_| ()),
    }
}

fn resource_of(expected: ResourceType, (value, checking): Given) -> Result<Resource, EntryProblem> {
    let value = value.ok_or(EntryProblem::ResourceMissing)?;
    let read = Resource::from_value_noting(value, checking);
    let (resource, _) = read.map_err(EntryProblem::Resource)?;
    if resource.resource_type() == expected {
        Ok(resource)
    } else {
        Err(EntryProblem::Resource(ResourceError::TypeMismatch {
            expected,
        }))
    }
}

fn type_named(name: &str) -> Result<ResourceType, EntryProblem> {
    match ResourceType::parse(name) {
        Some(resource_type) => Ok(resource_type),
        None if name.contains(['/', '?', ':']) => Err(EntryProblem::UrlMalformed),
        None => Err(EntryProblem::TypeUnknown),
    }
}

/// What the URL of a change names.
enum Target<'a> {
    Instance(&'a str),
    Query(&'a str),
}

fn target(url: &str) -> Result<(ResourceType, Target<'_>), EntryProblem> {
    if let Some((name, query)) = url.split_once('?') {
        let resource_type = type_named(name)?;
        return if query.contains('=') {
            Ok((resource_type, Target::Query(query)))
        } else {
            Err(EntryProblem::UrlMalformed)
        };
    }
    let (name, id) = url.split_once('/').ok_or(EntryProblem::UrlMalformed)?;
    let resource_type = type_named(name)?;
    if is_id(id) {
        Ok((resource_type, Target::Instance(id)))
    } else {
        Err(EntryProblem::UrlMalformed)
    }
}
