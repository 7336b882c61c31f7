//! Value sets whose codes a package lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Codes;

/// The value sets of a package that can be expanded from it alone.
pub(super) fn all(resources: &[Value]) -> BTreeMap<String, Codes> {
    let of_kind = |kind: &'static str| {
        let resources = resources.iter();
        resources.filter(move |one| one["resourceType"] == kind)
    };
    let systems: BTreeMap<&str, BTreeSet<String>> = of_kind("CodeSystem")
        .filter(|system| system["content"] == "complete")
        .filter_map(|system| {
            let mut codes = BTreeSet::new();
            collect(system.get("concept")?, &mut codes);
            Some((system.get("url")?.as_str()?, codes))
        })
        .collect();
    of_kind("ValueSet")
        .filter_map(|set| Some((set.get("url")?.as_str()?.to_owned(), expand(set, &systems)?)))
        .collect()
}

fn expand(set: &Value, systems: &BTreeMap<&str, BTreeSet<String>>) -> Option<Codes> {
    let compose = set.get("compose")?;
    if compose.get("exclude").is_some() {
        return None;
    }
    let mut codes = Codes::new();
    for include in compose.get("include")?.as_array()? {
        if include.get("filter").is_some() || include.get("valueSet").is_some() {
            return None;
        }
        let system = include.get("system")?.as_str()?;
        let of_system = codes.entry(system.to_owned()).or_default();
        match include.get("concept") {
            Some(concepts) => collect(concepts, of_system),
            None => of_system.extend(systems.get(system)?.iter().cloned()),
        }
    }
    Some(codes)
}

fn collect(concepts: &Value, codes: &mut BTreeSet<String>) {
    for concept in concepts.as_array().into_iter().flatten() {
        codes.extend(concept["code"].as_str().map(str::to_owned));
        if let Some(below) = concept.get("concept") {
            collect(below, codes);
        }
    }
}
