//! JSON to XML.

use serde_json::{Map, Value};

use super::FHIR;
use crate::fhir::ResourceType;
use crate::fhir::definitions::{Definition, DefinitionId, Element, Kind, Primitive, Shape};
use crate::fhir::structure::is_narrative;

/// The XML text of a resource, a Bundle and an `OperationOutcome` included.
///
/// What a lenient check let pass is kept where XML has a form for it.
pub fn to_xml(resource: &Value) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    if let Some(object) = resource.as_object() {
        write_resource(&mut out, object, true);
    }
    out
}

fn write_resource(out: &mut String, object: &Map<String, Value>, is_root: bool) {
    let name = object.get("resourceType").and_then(Value::as_str);
    let Some(resource_type) = name.and_then(ResourceType::parse) else {
        return;
    };
    out.push('<');
    out.push_str(resource_type.as_str());
    if is_root {
        write_attribute(out, "xmlns", FHIR);
    }
    out.push('>');
    write_members(out, Definition::of_resource(resource_type), object);
    close(out, resource_type.as_str());
}

fn write_members(out: &mut String, definition: &Definition, object: &Map<String, Value>) {
    let has_beside = object.keys().any(|name| name.starts_with('_'));
    for element in definition.elements.iter().filter(|it| !it.is_attribute) {
        for kind in &element.kinds {
            let beside = match kind.shape {
                Shape::Primitive(_) if has_beside => object.get(&format!("_{}", kind.name)),
                _ => None,
            };
            write_element(out, element, kind, object.get(kind.name), beside);
        }
    }
    for (name, value) in object {
        let plain = name.strip_prefix('_').unwrap_or(name);
        if name != "resourceType" && definition.find(plain).is_none() {
            write_undefined(out, name, value);
        }
    }
}

fn write_element(
    out: &mut String,
    element: &Element,
    kind: &Kind,
    value: Option<&Value>,
    beside: Option<&Value>,
) {
    if !element.is_repeating {
        return write_one(out, kind, value, beside);
    }
    let values = items(value);
    let besides = items(beside);
    for index in 0..values.len().max(besides.len()) {
        write_one(out, kind, values.get(index), besides.get(index));
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn write_one(out: &mut String, kind: &Kind, value: Option<&Value>, beside: Option<&Value>) {
    let value = value.filter(|value| !value.is_null());
    let beside = beside.and_then(Value::as_object);
    match (kind.shape, value) {
        (Shape::Primitive(Primitive::Xhtml), Some(Value::String(text))) => write_div(out, text),
        (Shape::Primitive(_), None) if beside.is_none() => {}
        (Shape::Primitive(_), value) => {
            let text = value.map(scalar);
            write_complex(
                out,
                kind.name,
                DefinitionId::element(),
                text.as_deref(),
                beside,
            );
        }
        (Shape::Resource, Some(Value::Object(object))) => {
            open(out, kind.name);
            write_resource(out, object, false);
            close(out, kind.name);
        }
        (Shape::Complex(id), Some(Value::Object(object))) => {
            write_complex(out, kind.name, id, None, Some(object));
        }
        _ => {}
    }
}

fn write_complex(
    out: &mut String,
    name: &str,
    id: DefinitionId,
    value: Option<&str>,
    object: Option<&Map<String, Value>>,
) {
    let definition = id.get();
    out.push('<');
    out.push_str(name);
    for element in definition.elements.iter().filter(|it| it.is_attribute) {
        if let Some(text) = object
            .and_then(|it| it.get(element.name))
            .and_then(Value::as_str)
        {
            write_attribute(out, element.name, text);
        }
    }
    if let Some(value) = value {
        write_attribute(out, "value", value);
    }
    let tag_end = out.len();
    out.push('>');
    if let Some(object) = object {
        write_members(out, definition, object);
    }
    if out.len() == tag_end + 1 {
        out.truncate(tag_end);
        out.push_str("/>");
    } else {
        close(out, name);
    }
}

/// Markup goes as it is if it is sound; else as its letters.
fn write_div(out: &mut String, text: &str) {
    if is_narrative(text) {
        out.push_str(text);
        return;
    }
    out.push_str("<div xmlns=\"http://www.w3.org/1999/xhtml\">");
    escape(out, text);
    close(out, "div");
}

/// An element that R4 does not define: nested as it is in JSON, if XML can have the name.
fn write_undefined(out: &mut String, name: &str, value: &Value) {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        return;
    }
    match value {
        Value::Null => {}
        Value::Array(items) => items
            .iter()
            .for_each(|item| write_undefined(out, name, item)),
        Value::Object(object) => {
            open(out, name);
            for (name, value) in object {
                write_undefined(out, name, value);
            }
            close(out, name);
        }
        value => {
            out.push('<');
            out.push_str(name);
            write_attribute(out, "value", &scalar(value));
            out.push_str("/>");
        }
    }
}

/// The text of a primitive; numbers digit for digit.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn open(out: &mut String, name: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn write_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would make spaces of them.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            // XML has no form for these.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}
