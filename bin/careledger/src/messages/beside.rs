//! A message and the FHIR it becomes, side by side.

use serde_json::Value;

use super::{lines as listed, string};

/// Letters of the left side.
const WIDTH: usize = 56;

/// The message as `list` has it, then each segment beside its resources, then what is wrong.
pub(super) fn lines(answer: &Value) -> Vec<String> {
    let parameters: Vec<&Value> = answer["parameter"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let bundle = parameters.iter().find(|one| one["name"] == "becomes");
    let entries = bundle.map(|one| &one["resource"]["entry"]);
    let is_side = |one: &Value| {
        let names = ["original", "edited", "segment", "becomes"];
        names.iter().any(|name| one["name"] == *name)
    };
    let mut shown = Vec::new();
    for parameter in &parameters {
        if parameter["name"] == "segment" {
            shown.extend(segment(parameter, entries));
        } else if !is_side(parameter) {
            let alone = serde_json::json!({ "parameter": [parameter] });
            shown.extend(listed(&alone));
        }
    }
    shown
}

/// A segment's fields, and beside them what comes from it.
fn segment(segment: &Value, entries: Option<&Value>) -> Vec<String> {
    let parts: Vec<&Value> = segment["part"].as_array().into_iter().flatten().collect();
    let said = |name: &str| {
        let part = parts.iter().find(|part| part["name"] == name);
        part.map(|part| string(&part["valueString"]))
            .unwrap_or_default()
    };
    let (place, text) = (said("place"), said("text"));
    let left = fields(&place, &text);
    let mut right = Vec::new();
    for part in parts.iter().filter(|part| part["name"] == "becomes") {
        let at = part["valueUnsignedInt"]
            .as_u64()
            .and_then(|at| usize::try_from(at).ok());
        let entry = entries.zip(at).and_then(|(entries, at)| entries.get(at));
        if let Some(entry) = entry {
            let (method, url) = (
                string(&entry["request"]["method"]),
                string(&entry["request"]["url"]),
            );
            right.push(format!("{method} {url}"));
            let pretty = serde_json::to_string_pretty(&entry["resource"]).unwrap_or_default();
            right.extend(pretty.lines().map(str::to_owned));
        }
    }
    let rows = left.len().max(right.len());
    let row = |at: usize| {
        let left = left.get(at).map(String::as_str).unwrap_or_default();
        let right = right.get(at).map(String::as_str).unwrap_or_default();
        format!("  {} │ {right}", fitted(left))
            .trim_end()
            .to_owned()
    };
    (0..rows).map(row).collect()
}

/// `PID-3  4711^^^NORTH^MR` for each field that is valued.
fn fields(place: &str, text: &str) -> Vec<String> {
    let separator = text.chars().nth(3).unwrap_or('|');
    let is_header = text.starts_with("MSH");
    let values = text.split(separator).enumerate().skip(1);
    values
        .filter(|(_, value)| !value.is_empty())
        .map(|(at, value)| format!("{place}-{}  {value}", if is_header { at + 1 } else { at }))
        .collect()
}

fn fitted(text: &str) -> String {
    let letters = text.chars().count();
    if letters <= WIDTH {
        return format!("{text}{}", " ".repeat(WIDTH - letters));
    }
    let cut: String = text.chars().take(WIDTH - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_beside_the_resource_that_they_become() {
        let answer = serde_json::json!({ "parameter": [
            { "name": "segment", "part": [
                { "name": "place", "valueString": "PID" },
                { "name": "text", "valueString": "PID|1||4711^^^NORTH^MR" },
                { "name": "becomes", "valueUnsignedInt": 0 } ] },
            { "name": "becomes", "resource": { "entry": [{
                "request": { "method": "PUT", "url": "Patient?identifier=4711" },
                "resource": { "resourceType": "Patient" } }] } } ] });
        let shown = lines(&answer);
        assert!(
            shown[0].contains("PID-1  1") && shown[0].ends_with("│ PUT Patient?identifier=4711")
        );
        assert!(shown[1].contains("PID-3  4711^^^NORTH^MR") && shown[1].ends_with("│ {"));
        assert!(shown[2].ends_with("\"resourceType\": \"Patient\""));
    }
}
