//! Where in a resource a value goes.

use serde_json::{Map, Value};

/// Puts a value at a path such as `name[]`, `period.start` or `content[0].attachment`: `[]` adds to a list, `[0]` is its
/// first item. A single element that is there already stays.
pub(super) fn put(target: &mut Value, path: &str, value: Value) {
    if value.is_null() {
        return;
    }
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else {
        return;
    };
    let (name, is_list, is_new) = match (step.strip_suffix("[]"), step.strip_suffix("[0]")) {
        (Some(name), _) => (name, true, true),
        (None, Some(name)) => (name, true, false),
        (None, None) => (step, false, false),
    };
    let slot = object.entry(name).or_insert(Value::Null);
    if !is_list {
        return match rest {
            Some(rest) => put(slot, rest, value),
            None if slot.is_null() => *slot = value,
            None => {}
        };
    }
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(items) = slot else {
        return;
    };
    if is_new || items.is_empty() {
        items.push(Value::Null);
    }
    // `[]` has just made the last, `[0]` is the first.
    let item = if is_new {
        items.last_mut()
    } else {
        items.first_mut()
    };
    match (item, rest) {
        (Some(item), Some(rest)) => put(item, rest, value),
        (Some(item), None) => *item = value,
        (None, _) => {}
    }
}
