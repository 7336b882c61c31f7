//! `$translate` (<https://hl7.org/fhir/R4/conceptmap-operation-translate.html>).

use std::sync::Arc;

use serde_json::{Value, json};

use super::ConceptMap;
use super::concept_map::Match;
use super::parameters::{code as coded, flag, parameters, parts, text};
use super::validate::Asked;

/// What is asked of a translation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translate {
    /// The codes; each match of any counts.
    pub codes: Vec<Asked>,
    /// The code system that a match is to be of.
    pub target_system: Option<String>,
    /// The value set that a map is to come from.
    pub source: Option<String>,
    /// The value set that a map is to lead to.
    pub target: Option<String>,
    /// Whether the maps are read backwards.
    pub is_reverse: bool,
}

/// The matches in these maps, as `Parameters`.
pub fn translate(maps: &[Arc<ConceptMap>], asked: &Translate) -> Value {
    let mut matches = Vec::new();
    let mut is_found = false;
    for map in maps.iter().filter(|map| asked.means(map)) {
        for one in &asked.codes {
            let system = one.system.as_ref().map(|system| system.url.as_str());
            let target = asked.target_system.as_deref();
            let found = match asked.is_reverse {
                false => map.forward(system, &one.code, target),
                true => map.back(system, &one.code, target),
            };
            is_found |= found.iter().any(|one| one.relation.leads());
            matches.extend(found.iter().map(|one| shown(one, map)));
        }
    }
    let mut all = vec![flag("result", is_found)];
    if !is_found {
        all.push(text(
            "message",
            "no map that is known here leads anywhere from the code",
        ));
    }
    all.extend(matches);
    parameters(all)
}

impl Translate {
    /// Whether a map leads from and to the value sets that are named.
    fn means(&self, map: &ConceptMap) -> bool {
        let [source, target] = &map.scopes;
        let (from, to) = match self.is_reverse {
            false => (source, target),
            true => (target, source),
        };
        let fits =
            |wanted: &Option<String>, scope: &Option<String>| wanted.is_none() || wanted == scope;
        fits(&self.source, from) && fits(&self.target, to)
    }
}

fn shown(found: &Match, map: &ConceptMap) -> Value {
    let mut own = vec![coded("equivalence", found.relation.code())];
    if let Some(code) = &found.code {
        let mut coding = json!({ "system": found.system.url });
        if let Some(version) = &found.system.version {
            coding["version"] = version.as_str().into();
        }
        coding["code"] = code.as_str().into();
        if let Some(display) = &found.display {
            coding["display"] = display.as_str().into();
        }
        own.push(json!({ "name": "concept", "valueCoding": coding }));
    }
    own.push(json!({ "name": "source", "valueUri": map.about.url }));
    parts("match", &own)
}
