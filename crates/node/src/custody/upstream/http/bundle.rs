//! Bundles of the existing server: what they say of versions.

use interop::fhir::resource::is_id;
use interop::fhir::{ResourceType, TimeSpan};
use serde_json::{Map, Value, json};

use super::version_of_etag;
use crate::custody::upstream::server::{Content, Found, Outgoing, Page, Stored};

/// A page of a history; `None` if it is no Bundle.
pub(super) fn page_of(bundle: &Value) -> Option<Page> {
    page(bundle, of_history)
}

/// A page of a search; `None` if it is no Bundle.
pub(super) fn current_of(bundle: &Value) -> Option<Page> {
    page(bundle, of_search)
}

/// Changes as a transaction.
pub(super) fn transaction_of(changes: &[Outgoing]) -> Value {
    let entries: Vec<Value> = changes.iter().map(entry_of).collect();
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

/// What became of the changes of a transaction; `None` if the answer does not say it of each.
pub(super) fn versions_of(changes: &[Outgoing], bundle: &Value) -> Option<Vec<Stored>> {
    let entries = bundle.get("entry")?.as_array()?;
    if entries.len() != changes.len() {
        return None;
    }
    changes
        .iter()
        .zip(entries)
        .map(|(change, entry)| {
            let response = entry.get("response")?;
            let status = response.get("status")?.as_str()?;
            // What was to be deleted may be gone already.
            let is_gone = change.content.is_none() && status.starts_with('4');
            if !(is_gone || status.starts_with('2')) {
                return None;
            }
            let content = entry.get("resource").filter(|it| is_of(it, change));
            if let (Some(_), Some(content)) = (&change.content, content) {
                return stored_of(content.clone());
            }
            let text = |name| response.get(name).and_then(Value::as_str);
            let located = text("location").and_then(|location| location.rsplit_once("/_history/"));
            let located = located.map(|(_, version_id)| version_id.to_owned());
            Some(Stored {
                version_id: text("etag").and_then(version_of_etag).or(located),
                at_ms: text("lastModified").and_then(instant_ms).unwrap_or(0),
                content: None,
            })
        })
        .collect()
}

/// A version as the server shows it; `None` if it says neither its name nor its time.
pub(super) fn stored_of(content: Value) -> Option<Stored> {
    let (version_id, at_ms) = version_in(&content)?;
    Some(Stored {
        version_id: Some(version_id),
        at_ms,
        content: Some(content),
    })
}

/// A FHIR `instant` in milliseconds since 1970.
pub(super) fn instant_ms(text: &str) -> Option<u64> {
    let span = TimeSpan::parse(text)?;
    u64::try_from(span.start_ms).ok()
}

fn page(bundle: &Value, version: fn(&Value) -> Option<Found>) -> Option<Page> {
    if bundle.get("resourceType")?.as_str()? != "Bundle" {
        return None;
    }
    let mut page = Page {
        next: next_of(bundle),
        ..Page::default()
    };
    let entries = bundle.get("entry").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        if entry.pointer("/search/mode").and_then(Value::as_str) == Some("outcome") {
            continue;
        }
        match version(entry) {
            Some(found) => page.found.push(found),
            None => page.unreadable = page.unreadable.saturating_add(1),
        }
    }
    Some(page)
}

fn next_of(bundle: &Value) -> Option<String> {
    let links = bundle.get("link")?.as_array()?;
    let mut next = links
        .iter()
        .filter(|link| link.get("relation").and_then(Value::as_str) == Some("next"));
    Some(next.next()?.get("url")?.as_str()?.to_owned())
}

fn of_search(entry: &Value) -> Option<Found> {
    let resource = entry.get("resource")?;
    let (resource_type, id) = place_in(resource)?;
    let (version_id, at_ms) = version_in(resource)?;
    Some(Found {
        resource_type,
        id,
        version_id,
        at_ms,
        content: Content::Is(resource.clone()),
    })
}

fn of_history(entry: &Value) -> Option<Found> {
    let text = |path| entry.pointer(path).and_then(Value::as_str);
    if text("/request/method") != Some("DELETE") {
        return of_search(entry).or_else(|| unloaded(entry));
    }
    let (resource_type, id) = place_of_entry(entry)?;
    let at = text("/response/lastModified");
    let at = at.or_else(|| text("/resource/meta/lastUpdated"))?;
    let named = text("/response/etag").and_then(version_of_etag);
    let named = named.or_else(|| Some(text("/resource/meta/versionId")?.to_owned()));
    Some(Found {
        resource_type,
        id,
        // A deletion without a name is known by its time.
        version_id: named.unwrap_or_else(|| format!("deleted/{at}")),
        at_ms: instant_ms(at)?,
        content: Content::Deleted,
    })
}

/// An entry of a history that shows no content.
fn unloaded(entry: &Value) -> Option<Found> {
    let text = |path| entry.pointer(path).and_then(Value::as_str);
    let (resource_type, id) = place_of_entry(entry)?;
    Some(Found {
        resource_type,
        id,
        version_id: text("/response/etag").and_then(version_of_etag)?,
        at_ms: text("/response/lastModified").and_then(instant_ms)?,
        content: Content::NotLoaded,
    })
}

/// Type and id, by the request's URL or the full one.
fn place_of_entry(entry: &Value) -> Option<(ResourceType, String)> {
    let text = |path| entry.pointer(path).and_then(Value::as_str);
    let urls = [text("/request/url"), text("/fullUrl")];
    urls.into_iter().flatten().find_map(|url| {
        let url = url
            .split_once("/_history")
            .map_or(url, |(before, _)| before);
        let (rest, id) = url.rsplit_once('/')?;
        let name = rest.rsplit_once('/').map_or(rest, |(_, name)| name);
        let resource_type = ResourceType::parse(name)?;
        is_id(id).then(|| (resource_type, id.to_owned()))
    })
}

fn place_in(resource: &Value) -> Option<(ResourceType, String)> {
    let resource_type = ResourceType::parse(resource.get("resourceType")?.as_str()?)?;
    let id = resource.get("id")?.as_str()?;
    is_id(id).then(|| (resource_type, id.to_owned()))
}

fn version_in(resource: &Value) -> Option<(String, u64)> {
    let meta = resource.get("meta")?;
    let version_id = meta.get("versionId")?.as_str()?;
    let at_ms = instant_ms(meta.get("lastUpdated")?.as_str()?)?;
    is_id(version_id).then(|| (version_id.to_owned(), at_ms))
}

fn is_of(resource: &Value, change: &Outgoing) -> bool {
    place_in(resource)
        .is_some_and(|(resource_type, id)| resource_type == change.resource_type && id == change.id)
}

fn entry_of(change: &Outgoing) -> Value {
    let url = format!("{}/{}", change.resource_type, change.id);
    let mut request = Map::new();
    let method = match change.content {
        Some(_) => "PUT",
        None => "DELETE",
    };
    request.insert("method".to_owned(), method.into());
    request.insert("url".to_owned(), url.into());
    if let Some(version_id) = &change.if_match {
        let etag = format!("W/\"{version_id}\"");
        request.insert("ifMatch".to_owned(), etag.into());
    }
    match &change.content {
        Some(content) => json!({ "resource": content, "request": request }),
        None => json!({ "request": request }),
    }
}
