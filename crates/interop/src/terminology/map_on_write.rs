//! Local codes mapped on the way in: the original coding stays and says that it was chosen, the mapped one is added and
//! says by which map.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::ConceptMap;
use crate::fhir::Resource;

/// The extension of a coding that was added: the canonical URL of the map.
pub const MAPPED: &str = "urn:careledger:extension:mapped-by";

/// A code of a code system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coded {
    /// The code system.
    pub system: String,
    /// The code.
    pub code: String,
}

/// Adds to each `CodeableConcept` what its codings are mapped to, and returns the codes that maps are for and have
/// nothing for. Of the targets those count that are true of whatever the source is true of: equal, equivalent, wider.
pub fn mapped(resource: &mut Resource, maps: &[Arc<ConceptMap>]) -> Vec<Coded> {
    let mut unmapped = Vec::new();
    for value in resource.object_mut().values_mut() {
        walk(value, maps, &mut unmapped);
    }
    unmapped
}

/// Resources are parsed with a bound on their depth.
fn walk(value: &mut Value, maps: &[Arc<ConceptMap>], unmapped: &mut Vec<Coded>) {
    match value {
        Value::Array(items) => {
            for item in items {
                walk(item, maps, unmapped);
            }
        }
        Value::Object(object) => {
            if let Some(Value::Array(codings)) = object.get_mut("coding") {
                extend(codings, maps, unmapped);
            }
            for value in object.values_mut() {
                walk(value, maps, unmapped);
            }
        }
        _ => {}
    }
}

fn extend(codings: &mut Vec<Value>, maps: &[Arc<ConceptMap>], unmapped: &mut Vec<Coded>) {
    let is_chosen = codings.iter().any(|one| one.get("userSelected").is_some());
    let mut added: Vec<Value> = Vec::new();
    for coding in codings.iter_mut() {
        let text = |name: &str| coding.get(name).and_then(Value::as_str);
        let Some((system, code)) = text("system").zip(text("code")) else {
            continue;
        };
        let mut maps = maps.iter().filter(|map| map.maps(system)).peekable();
        if maps.peek().is_none() {
            continue;
        }
        let found: Vec<Value> = maps.flat_map(|map| targets(map, system, code)).collect();
        if found.is_empty() {
            unmapped.push(Coded {
                system: system.to_owned(),
                code: code.to_owned(),
            });
            continue;
        }
        if let Some(coding) = coding.as_object_mut().filter(|_| !is_chosen) {
            coding.insert("userSelected".to_owned(), true.into());
        }
        added.extend(found);
    }
    for coding in added {
        let is_same = |one: &Value| {
            one.get("system") == coding.get("system") && one.get("code") == coding.get("code")
        };
        if !codings.iter().any(is_same) {
            codings.push(coding);
        }
    }
}

fn targets(map: &ConceptMap, system: &str, code: &str) -> Vec<Value> {
    let found = map.forward(Some(system), code, None).into_iter();
    let codings = found.filter(|one| one.relation.holds()).filter_map(|one| {
        let mut coding = Map::new();
        let by = json!([{ "url": MAPPED, "valueCanonical": map.about.url }]);
        coding.insert("extension".to_owned(), by);
        coding.insert("system".to_owned(), one.system.url.into());
        if let Some(version) = one.system.version {
            coding.insert("version".to_owned(), version.into());
        }
        coding.insert("code".to_owned(), one.code?.into());
        if let Some(display) = one.display {
            coding.insert("display".to_owned(), display.into());
        }
        Some(Value::Object(coding))
    });
    codings.collect()
}
