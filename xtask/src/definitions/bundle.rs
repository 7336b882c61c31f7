//! The published Bundles of definitions, and what of them is base R4.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

const VERSION: &str = "4.0.1";
const STRUCTURES: [&str; 2] = ["Bundle-types.json", "Bundle-resources.json"];
const TERMINOLOGY: [&str; 3] = [
    "Bundle-valuesets.json",
    "Bundle-v3-valuesets.json",
    "Bundle-v2-valuesets.json",
];
const EXPANSIONS: &str = "Bundle-valueset-expansions.json";

/// The definitions, by name or by URL.
pub(super) struct Definitions {
    /// `StructureDefinition`s of types, in the order of publication.
    pub(super) structures: Vec<Value>,
    /// `ValueSet` by URL.
    pub(super) value_sets: BTreeMap<String, Value>,
    /// `CodeSystem` by URL.
    pub(super) code_systems: BTreeMap<String, Value>,
    /// `ValueSet` with its published expansion, by URL.
    pub(super) expansions: BTreeMap<String, Value>,
}

impl Definitions {
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut read = Self {
            structures: Vec::new(),
            value_sets: BTreeMap::new(),
            code_systems: BTreeMap::new(),
            expansions: BTreeMap::new(),
        };
        for name in STRUCTURES {
            let of_r4 = resources(&folder.join(name))?
                .into_iter()
                .filter(is_type_of_r4);
            read.structures.extend(of_r4);
        }
        for resource in TERMINOLOGY
            .iter()
            .map(|name| resources(&folder.join(name)))
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
        {
            let url = text(&resource, "url")?.to_owned();
            match text(&resource, "resourceType")? {
                "ValueSet" => read.value_sets.insert(url, resource),
                "CodeSystem" => read.code_systems.insert(url, resource),
                _ => None,
            };
        }
        for resource in resources(&folder.join(EXPANSIONS))? {
            let url = text(&resource, "url")?.to_owned();
            read.expansions.insert(url, resource);
        }
        let of_kind = |kind: &str| {
            let structures = read.structures.iter();
            structures
                .filter(|it| it["kind"] == kind && it["abstract"] == false)
                .count()
        };
        ensure!(
            of_kind("resource") == 146,
            "these are not the 146 resource types of R4"
        );
        ensure!(
            of_kind("primitive-type") == 20,
            "these are not the 20 primitive types of R4"
        );
        Ok(read)
    }
}

/// The elements of a definition's snapshot.
pub(super) fn snapshot(structure: &Value) -> anyhow::Result<&Vec<Value>> {
    let elements = structure["snapshot"]["element"].as_array();
    elements.with_context(|| format!("{} has no snapshot", structure["name"]))
}

/// A member that must be a string.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("`{name}` is missing in {}", value["id"]))
}

/// The items of a member that may be missing.
pub(super) fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn resources(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut bundle: Value = serde_json::from_slice(&bytes)?;
    let entries = bundle["entry"]
        .as_array_mut()
        .context("a Bundle without entries")?;
    Ok(entries
        .iter_mut()
        .map(|entry| entry["resource"].take())
        .collect())
}

/// Logical models are not types.
fn is_type_of_r4(resource: &Value) -> bool {
    resource["resourceType"] == "StructureDefinition"
        && resource["fhirVersion"] == VERSION
        && resource["kind"] != "logical"
}
