//! From an element to its children.

use serde_json::{Map, Value};

use super::item::{Content, Element, Item, Items};
use super::types;
use crate::fhir::ResourceType;

/// The children with this name, put at the end of `found`.
pub(super) fn member<'a>(element: Element<'a>, name: &str, found: &mut Items<'a>) {
    let Some(object) = object_of(element) else {
        return;
    };
    let declared = types::child(element.kind, name);
    // The alternatives of a choice go by the name of the choice alone.
    if declared.is_none_or(|declared| !declared.is_choice)
        && collect(object, name, declared.map_or("", |it| it.kind), found)
    {
        return;
    }
    if declared.is_some() || types::is_primitive(element.kind) {
        return;
    }
    for full in object.keys() {
        let plain = full.strip_prefix('_').unwrap_or(full);
        if let Some(kind) = plain.strip_prefix(name).and_then(types::choice)
            && types::child(element.kind, plain).is_none_or(|declared| declared.is_choice)
        {
            collect(object, plain, kind, found);
            return;
        }
    }
}

/// All children of an element, in their order.
pub(super) fn children<'a>(element: Element<'a>, found: &mut Items<'a>) {
    let Some(object) = object_of(element) else {
        return;
    };
    for name in object.keys() {
        let plain = match name.strip_prefix('_') {
            Some(plain) if object.contains_key(plain) => continue,
            Some(plain) => plain,
            None if name == "resourceType" => continue,
            None => name,
        };
        let kind = types::child(element.kind, plain).map_or("", |it| it.kind);
        collect(object, plain, kind, found);
    }
}

/// What holds the children: a primitive has an id and extensions.
fn object_of(element: Element<'_>) -> Option<&Map<String, Value>> {
    match element.content {
        Content::Object(object) => Some(object),
        Content::Primitive(_) | Content::Absent => element.extra,
    }
}

/// The values under a name, with what stands under the name with `_`. False if there is neither.
fn collect<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    kind: &'static str,
    found: &mut Items<'a>,
) -> bool {
    let value = object.get(name);
    match (value, types::companion(object, name)) {
        (None, None) => return false,
        (Some(Value::Array(values)), extra) => {
            let extras = extra.and_then(Value::as_array);
            for (index, value) in values.iter().enumerate() {
                let extra = extras.and_then(|extras| extras.get(index));
                push(value, extra, kind, found);
            }
        }
        (Some(value), extra) => push(value, extra, kind, found),
        (None, Some(Value::Array(extras))) => {
            for extra in extras {
                push(&Value::Null, Some(extra), kind, found);
            }
        }
        (None, extra) => push(&Value::Null, extra, kind, found),
    }
    true
}

fn push<'a>(value: &'a Value, extra: Option<&'a Value>, kind: &'static str, found: &mut Items<'a>) {
    let extra = extra.filter(|extra| extra.is_object());
    if value.is_null() && extra.is_none() {
        return;
    }
    let resource = value.get("resourceType").and_then(Value::as_str);
    let kind = resource
        .and_then(ResourceType::parse)
        .map_or(kind, ResourceType::as_str);
    found.push(Item::Element(Element::of_json(value, extra, kind)));
}
