//! One entry of a Bundle: its request and resource, checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Action, EntryProblem, PlannedEntry, RefusedEntry};
use crate::fhir::etag;
use crate::fhir::resource::is_id;
use crate::fhir::{Resource, ResourceError, ResourceType};

/// A planned entry with what is needed until references are resolved.
pub(super) struct Draft {
    pub(super) planned: PlannedEntry,
    pub(super) full_url: Option<String>,
}

pub(super) fn read(
    index: usize,
    value: Value,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Draft, EntryProblem> {
    let Value::Object(mut entry) = value else {
        return Err(EntryProblem::NotAnObject);
    };
    let full_url = full_url(&entry)?;
    let resource = entry.get_mut("resource").map(Value::take);
    let Some(Value::Object(request)) = entry.get("request") else {
        return Err(EntryProblem::RequestMissing);
    };
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let url = match request.get("url").and_then(Value::as_str) {
        Some(url) if !url.is_empty() => url,
        _ => return Err(EntryProblem::UrlMissing),
    };
    let planned = match method {
        "POST" => create(index, request, url, resource, new_id),
        "PUT" => update(index, request, url, resource),
        "DELETE" => {
            let (resource_type, id) = instance(url)?;
            let id = Some(id.to_owned());
            Ok(PlannedEntry {
                index,
                action: Action::Delete,
                resource_type,
                id,
                resource: None,
            })
        }
        "GET" => read_request(index, url),
        "PATCH" | "HEAD" => Err(EntryProblem::MethodUnsupported),
        _ => Err(EntryProblem::MethodUnknown),
    }?;
    Ok(Draft { planned, full_url })
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
    if matches!(entry.action, Action::Read(_)) {
        return None;
    }
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
    index: usize,
    request: &Map<String, Value>,
    url: &str,
    resource: Option<Value>,
    new_id: &mut dyn FnMut() -> String,
) -> Result<PlannedEntry, EntryProblem> {
    let resource_type = type_named(url)?;
    let if_none_exist = if_none_exist(request)?;
    let resource = resource_of(resource_type, resource)?;
    let id = new_id();
    if !is_id(&id) {
        return Err(EntryProblem::IdUnusable);
    }
    let action = Action::Create { if_none_exist };
    Ok(PlannedEntry {
        index,
        action,
        resource_type,
        id: Some(id),
        resource: Some(resource),
    })
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

fn update(
    index: usize,
    request: &Map<String, Value>,
    url: &str,
    resource: Option<Value>,
) -> Result<PlannedEntry, EntryProblem> {
    let (resource_type, id) = instance(url)?;
    let if_match = match request.get("ifMatch") {
        None => None,
        Some(etag) => Some(
            etag.as_str()
                .and_then(etag::parse)
                .ok_or(EntryProblem::IfMatchMalformed)?,
        ),
    };
    let resource = resource_of(resource_type, resource)?;
    if resource.id() != Some(id) {
        return Err(EntryProblem::IdMismatch);
    }
    let (action, id) = (Action::Update { if_match }, Some(id.to_owned()));
    Ok(PlannedEntry {
        index,
        action,
        resource_type,
        id,
        resource: Some(resource),
    })
}

fn read_request(index: usize, url: &str) -> Result<PlannedEntry, EntryProblem> {
    let (path, query) = url
        .split_once('?')
        .map_or((url, None), |(path, query)| (path, Some(query)));
    let mut parts = path.split('/');
    let resource_type = type_named(parts.next().unwrap_or_default())?;
    let id = match (parts.next(), query) {
        (None, _) => None,
        (Some(id), _) if is_id(id) => Some(id.to_owned()),
        _ => return Err(EntryProblem::UrlMalformed),
    };
    let action = Action::Read(url.to_owned());
    Ok(PlannedEntry {
        index,
        action,
        resource_type,
        id,
        resource: None,
    })
}

fn resource_of(expected: ResourceType, value: Option<Value>) -> Result<Resource, EntryProblem> {
    let resource = Resource::from_value(value.ok_or(EntryProblem::ResourceMissing)?)
        .map_err(EntryProblem::Resource)?;
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

fn instance(url: &str) -> Result<(ResourceType, &str), EntryProblem> {
    if let Some((name, _)) = url.split_once('?') {
        type_named(name)?;
        return Err(EntryProblem::ConditionalUnsupported);
    }
    let (name, id) = url.split_once('/').ok_or(EntryProblem::UrlMalformed)?;
    let resource_type = type_named(name)?;
    if is_id(id) {
        Ok((resource_type, id))
    } else {
        Err(EntryProblem::UrlMalformed)
    }
}
