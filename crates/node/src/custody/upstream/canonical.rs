//! The one form in which a content of the existing server is anchored, and what is compared of it.

use interop::fhir::{Checking, Resource, ResourceType};
use ledger::ids::Digest;
use serde_json::{Map, Value, json};

use super::TAG_SYSTEM;

const UNATTRIBUTED: &str = "unattributed";

/// Compact JSON with the names of every object in order, without the server's version and time, and decimals as they
/// were written; `None` if it is not this document.
pub(super) fn content(value: Value, resource_type: ResourceType, id: &str) -> Option<Vec<u8>> {
    let resource = Resource::from_value_noting(value, Checking::Stored).ok()?.0;
    if resource.resource_type() != resource_type || resource.id() != Some(id) {
        return None;
    }
    of(&resource, id)
}

/// The same of a resource that was parsed.
pub(super) fn of(resource: &Resource, id: &str) -> Option<Vec<u8>> {
    let stored = resource.stored(id).ok()?;
    let mut value: Value = serde_json::from_slice(&stored).ok()?;
    value.sort_all_objects();
    Some(value.to_string().into_bytes())
}

/// What the existing server is sent: without what only this node says of versions.
pub(super) fn outgoing(resource: &Resource, id: &str) -> Option<Value> {
    let stored = resource.stored(id).ok()?;
    let mut value: Value = serde_json::from_slice(&stored).ok()?;
    unmark(&mut value);
    Some(value)
}

/// What is left of a content when all is taken away that servers add or write in another way: `meta`, the narrative, and
/// zeros at the end of decimals. By it a version is known that was sent by this node.
pub(super) fn likeness(value: &Value) -> Digest {
    let mut value = value.clone();
    if let Value::Object(object) = &mut value {
        object.shift_remove("meta");
        object.shift_remove("text");
    }
    plain_numbers(&mut value);
    value.sort_all_objects();
    Digest::of(value.to_string().as_bytes())
}

/// The resource with the tag that says that nobody here knows who wrote it.
pub(crate) fn marked(resource: Resource) -> Option<Resource> {
    let mut value = resource.into_value();
    let object = value.as_object_mut()?;
    let meta = object
        .entry("meta")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()?;
    let tags = meta
        .entry("tag")
        .or_insert_with(|| Value::Array(Vec::new()))
        .as_array_mut()?;
    if !tags.iter().any(is_mark) {
        tags.push(json!({ "system": TAG_SYSTEM, "code": UNATTRIBUTED }));
    }
    let marked = Resource::from_value_noting(value, Checking::Stored).ok()?;
    Some(marked.0)
}

/// A client that writes back what it read says nothing about who wrote the version before.
fn unmark(value: &mut Value) {
    let Some(meta) = value.get_mut("meta").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(tags) = meta.get_mut("tag").and_then(Value::as_array_mut) {
        tags.retain(|tag| !is_mark(tag));
        if tags.is_empty() {
            meta.shift_remove("tag");
        }
    }
    if meta.is_empty()
        && let Some(object) = value.as_object_mut()
    {
        object.shift_remove("meta");
    }
}

fn is_mark(tag: &Value) -> bool {
    let is = |name: &str, text: &str| tag.get(name).and_then(Value::as_str) == Some(text);
    is("system", TAG_SYSTEM) && is("code", UNATTRIBUTED)
}

fn plain_numbers(value: &mut Value) {
    match value {
        Value::Object(object) => object.values_mut().for_each(plain_numbers),
        Value::Array(list) => list.iter_mut().for_each(plain_numbers),
        Value::Number(number) => {
            let text = number.to_string();
            if text.contains('.') && !text.contains(['e', 'E']) {
                let plain = text.trim_end_matches('0').trim_end_matches('.');
                *value = Value::String(plain.to_owned());
            } else {
                *value = Value::String(text);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn observation() -> ResourceType {
        ResourceType::parse("Observation").unwrap()
    }

    #[test]
    fn order_version_and_time_say_nothing_but_decimals_do() {
        let one = r#"{"resourceType":"Observation","id":"o","meta":{"versionId":"7","lastUpdated":"2026-01-01T00:00:00Z"},
            "valueQuantity":{"value":1.50,"unit":"g"}}"#;
        let other =
            r#"{"valueQuantity":{"unit":"g","value":1.50},"id":"o","resourceType":"Observation"}"#;
        let shorter = other.replace("1.50", "1.5");
        let form = |text: &str| content(parsed(text), observation(), "o").unwrap();
        assert_eq!(form(one), form(other));
        assert_ne!(form(one), form(&shorter));
        assert_eq!(likeness(&parsed(one)), likeness(&parsed(&shorter)));
        let changed = other.replace("1.50", "1.51");
        assert_ne!(likeness(&parsed(one)), likeness(&parsed(&changed)));
        assert_eq!(content(parsed(one), observation(), "p"), None);
    }

    #[test]
    fn the_mark_is_shown_and_never_sent() {
        let plain = parsed(r#"{"resourceType":"Observation","id":"o","status":"final"}"#);
        let resource = Resource::from_value_noting(plain.clone(), Checking::Stored)
            .unwrap()
            .0;
        let shown = marked(marked(resource).unwrap()).unwrap();
        let tags = shown.get("meta").unwrap()["tag"].as_array().unwrap();
        assert_eq!((tags.len(), &tags[0]["code"]), (1, &json!(UNATTRIBUTED)));
        assert_eq!(outgoing(&shown, "o").unwrap(), plain);
    }
}
