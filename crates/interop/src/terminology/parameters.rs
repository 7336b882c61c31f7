//! Parameters of answers.

use serde_json::{Map, Value, json};

/// A `Parameters` of these.
pub(super) fn parameters(all: Vec<Value>) -> Value {
    let mut resource = Map::new();
    resource.insert("resourceType".to_owned(), "Parameters".into());
    // An empty array is not FHIR.
    if !all.is_empty() {
        resource.insert("parameter".to_owned(), all.into());
    }
    resource.into()
}

pub(super) fn text(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueString": value })
}

pub(super) fn code(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueCode": value })
}

pub(super) fn flag(name: &str, value: bool) -> Value {
    json!({ "name": name, "valueBoolean": value })
}

pub(super) fn parts(name: &str, parts: &[Value]) -> Value {
    json!({ "name": name, "part": parts })
}
