//! The tables of search: from the published R4 definitions to `crates/interop/src/fhir/data`.
//!
//! `--from` names the directory that holds `search-parameters.json`, `profiles-resources.json`
//! and `profiles-types.json` as R4 publishes them.

mod compartments;
mod elements;
mod expression;
mod summary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::elements::Elements;
use self::expression::{Compiled, compile, compile_component};
use crate::Report;

const DATA: &str = "crates/interop/src/fhir/data";
const PUBLISHER: &str = "http://hl7.org/fhir/SearchParameter/";
/// A list of as many targets means all types.
const TYPES_MIN: usize = 100;
/// What the index knows of a version without looking into it.
const OF_THE_ROW: [&str; 2] = ["_id", "_lastUpdated"];
/// Parameters for which there is a reader of its own.
const READ_BY_CODE: [(&str, &str); 3] = [
    ("_text", "narrative"),
    ("_content", "content"),
    ("near", "position"),
];

pub(crate) fn generate(mut words: impl Iterator<Item = String>) -> anyhow::Result<Report> {
    let (Some("--from"), Some(from)) = (words.next().as_deref(), words.next()) else {
        bail!("usage: xtask search-parameters --from DIR");
    };
    let from = PathBuf::from(from);
    let resources = read(&from, "profiles-resources.json")?;
    let types = read(&from, "profiles-types.json")?;
    let parameters = read(&from, "search-parameters.json")?;
    let mut elements = Elements::of(&[&resources, &types]);
    elements.learn_kinds(&parameters);

    let mut table = Table::default();
    for parameter in bundled(&parameters) {
        table.add(parameter, &elements)?;
    }
    write("search-parameters.txt", &table.text())?;
    write("compartments.txt", &compartments::table(&resources))?;
    write("summary-elements.txt", &summary::table(&resources))?;
    Ok(Report {
        faults: Vec::new(),
        warnings: table.unsupported.into_iter().collect(),
        seen: format!(
            "{} parameters on {} lines",
            table.ids.len(),
            table.lines.len()
        ),
    })
}

#[derive(Default)]
struct Table {
    ids: BTreeSet<String>,
    lines: BTreeSet<String>,
    unsupported: BTreeSet<String>,
}

impl Table {
    fn add(&mut self, parameter: &Value, elements: &Elements) -> anyhow::Result<()> {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default();
        let Some(id) = text("url").strip_prefix(PUBLISHER) else {
            return Ok(());
        };
        self.ids.insert(id.to_owned());
        let targets: Vec<&str> = strings(&parameter["target"]).collect();
        let targets = match targets.len() {
            0 => "-".to_owned(),
            // A reference to any resource.
            TYPES_MIN.. => "*".to_owned(),
            _ => targets.join(","),
        };
        let bases: Vec<&str> = strings(&parameter["base"]).collect();
        if bases.is_empty() {
            bail!("{id} has no base");
        }
        for base in bases {
            let places = self.places(parameter, base, elements);
            self.lines.insert(format!(
                "{base} {} {} {id} {targets} {places}",
                text("code"),
                text("type")
            ));
        }
        Ok(())
    }

    fn places(&mut self, parameter: &Value, base: &str, elements: &Elements) -> String {
        let kind = parameter["type"].as_str().unwrap_or_default();
        let code = parameter["code"].as_str().unwrap_or_default();
        if let Some((_, reader)) = READ_BY_CODE.iter().find(|(it, _)| *it == code) {
            return format!("={reader}");
        }
        let compiled = match parameter["expression"].as_str() {
            _ if OF_THE_ROW.contains(&code) => return "-".to_owned(),
            None => Err("it has no expression".to_owned()),
            Some(_) if kind == "special" => Err("it is special".to_owned()),
            Some(expression) if kind == "composite" => {
                composite(parameter, expression, base, elements)
            }
            Some(expression) => compile(expression, base, kind, elements).map(|it| words(&it)),
        };
        compiled.unwrap_or_else(|reason| {
            self.unsupported
                .insert(format!("{base} {code} is not supported: {reason}"));
            "!".to_owned()
        })
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# Made by `xtask search-parameters` from the SearchParameters of R4.\n\
             # TYPE code kind id targets PLACES; `*` all types, `-` none\n\
             # PLACES: path:type, `{k=v}` only such items, `[0]` the first item alone, `@T` only references to T;\n\
             # of composites: bases, then kind=PLACES of the components (`/` from the resource on);\n\
             # `-` the index knows it, `=…` code reads it, `!` not supported\n",
        );
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// The bases of a composite, and its components.
fn composite(
    parameter: &Value,
    expression: &str,
    base: &str,
    elements: &Elements,
) -> Result<String, String> {
    let bases = compile(expression, base, "composite", elements)?;
    let mut text: Vec<String> = vec![
        bases
            .iter()
            .map(|it| {
                if it.path.is_empty() {
                    "."
                } else {
                    it.path.as_str()
                }
            })
            .collect::<Vec<_>>()
            .join("+"),
    ];
    for component in parameter["component"].as_array().into_iter().flatten() {
        let id = component["definition"].as_str().unwrap_or_default();
        let id = id.rsplit('/').next().unwrap_or_default();
        let expression = component["expression"].as_str().unwrap_or_default();
        let defined = elements.kind_of(id).ok_or("a component is not defined")?;
        // R4 swaps the definitions of the components of DocumentReference.relatesTo.
        let found = [defined, "token", "reference"]
            .into_iter()
            .find_map(|kind| {
                let places = component_places(expression, base, &bases, kind, elements);
                places.ok().map(|places| format!("{kind}={places}"))
            })
            .ok_or("a component finds no element")?;
        text.push(found);
    }
    Ok(text.join(" "))
}

fn component_places(
    expression: &str,
    resource: &str,
    bases: &[Compiled],
    kind: &str,
    elements: &Elements,
) -> Result<String, String> {
    let mut places: BTreeSet<String> = BTreeSet::new();
    for base in bases {
        let found = compile_component(expression, resource, base, kind, elements)?;
        places.extend(found.iter().map(Compiled::word));
    }
    let places: Vec<String> = places.into_iter().collect();
    Ok(places.join(","))
}

fn words(compiled: &[Compiled]) -> String {
    let words: Vec<String> = compiled.iter().map(Compiled::word).collect();
    words.join(" ")
}

fn read(from: &Path, name: &str) -> anyhow::Result<Value> {
    let path = from.join(name);
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

fn write(name: &str, text: &str) -> anyhow::Result<()> {
    let path = Path::new(DATA).join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

/// The resources of a Bundle.
fn bundled(bundle: &Value) -> impl Iterator<Item = &Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"])
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
