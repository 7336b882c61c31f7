//! From an element to its children.

use serde_json::{Map, Value};

use super::item::{Content, Element, Item, Items};
use super::model::{self, Model};
use crate::fhir::ResourceType;

/// The children with this name, put at the end of `found`.
pub(super) fn member<'a>(
    element: Element<'a>,
    name: &str,
    model: &dyn Model,
    found: &mut Items<'a>,
) {
    let object = match element.content {
        Content::Object(object) => object,
        Content::Primitive(_) | Content::Absent => {
            // A primitive has an id and extensions.
            let Some(extra) = element.extra else { return };
            extra
        }
    };
    if named(object, element.kind, name, model, found) {
        return;
    }
    if element.kind.starts_with(|first: char| first.is_ascii_lowercase()) {
        return;
    }
    // The name of a choice stands for each of its types.
    for full in object.keys() {
        let plain = full.strip_prefix('_').unwrap_or(full);
        let Some(kind) = plain.strip_prefix(name).and_then(model::choice) else {
            continue;
        };
        if plain.len() < full.len() && object.contains_key(plain) {
            continue;
        }
        collect(object, plain, kind, found);
        return;
    }
}

/// All children of an element, in their order.
pub(super) fn children<'a>(element: Element<'a>, model: &dyn Model, found: &mut Items<'a>) {
    let object = match element.content {
        Content::Object(object) => object,
        Content::Primitive(_) | Content::Absent => {
            let Some(extra) = element.extra else { return };
            extra
        }
    };
    for name in object.keys() {
        match name.strip_prefix('_') {
            Some(plain) if object.contains_key(plain) => {}
            Some(plain) => {
                named(object, element.kind, plain, model, found);
            }
            None if name == "resourceType" => {}
            None => {
                named(object, element.kind, name, model, found);
            }
        }
    }
}

/// The type of a child as the object has it.
pub(super) fn kind_of(holder: &str, name: &str, model: &dyn Model) -> &'static str {
    match name {
        "extension" | "modifierExtension" => "Extension",
        "id" if !model::is_resource(holder) => "string",
        _ => model.element(holder, name).unwrap_or_default(),
    }
}

fn named<'a>(
    object: &'a Map<String, Value>,
    holder: &str,
    name: &str,
    model: &dyn Model,
    found: &mut Items<'a>,
) -> bool {
    let is_there = object.contains_key(name) || object.contains_key(&format!("_{name}"));
    if is_there {
        let kind = kind_of(holder, name, model);
        collect(object, name, kind, found);
    }
    is_there
}

fn collect<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    kind: &'static str,
    found: &mut Items<'a>,
) {
    let value = object.get(name);
    let extra = object.get(&format!("_{name}"));
    match (value, extra) {
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
}

fn push<'a>(
    value: &'a Value,
    extra: Option<&'a Value>,
    kind: &'static str,
    found: &mut Items<'a>,
) {
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
