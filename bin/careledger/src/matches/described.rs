//! What stands on the lists, as people read it.

use serde_json::Value;

/// The values of the parts with a name, as text.
pub(super) fn part(parts: &Value, name: &str, element: &str) -> String {
    let parts = parts.as_array().into_iter().flatten();
    let named = parts.filter(|part| part["name"] == name);
    let words = named.map(|part| match &part[element] {
        Value::Object(reference) => reference["reference"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    });
    words.collect::<Vec<_>>().join("  ")
}

/// A pair of the list in one line.
pub(super) fn pair(parts: &Value) -> String {
    let of = |name: &str, element: &str| part(parts, name, element);
    let mut line = format!(
        "{:<13} {:<8} {}  {}",
        of("grade", "valueCode"),
        of("score", "valueDecimal"),
        of("patient", "valueReference"),
        of("reason", "valueCode"),
    );
    if of("linked", "valueBoolean") == "true" {
        line.push_str("  linked");
    }
    let by = of("dismissedBy", "valueString");
    if !by.is_empty() {
        let why = of("dismissedBecause", "valueString");
        line.push_str(&format!("  dismissed by {by}: {why}"));
    }
    line
}
