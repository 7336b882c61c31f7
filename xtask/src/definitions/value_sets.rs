//! The codes of value sets that an element requires.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::bundle::{Definitions, items, text};

/// Their codes are sentences of a grammar: an expansion holds examples.
const GRAMMARS: [&str; 2] = ["http://unitsofmeasure.org", "urn:ietf:bcp:13"];
const SET_URL: &str = "http://hl7.org/fhir/ValueSet/";

/// One line for a set: its name, then for each system, after a tab, the system and its codes.
/// `*` stands for the codes of a system that is defined elsewhere.
pub(super) fn table(definitions: &Definitions, names: &BTreeSet<String>) -> anyhow::Result<String> {
    let mut table = String::from(
        "# Value sets of R4 with a required binding: name, then a tab, a system and its codes, for each system\n\
         # `*` = all codes of a system that R4 does not enumerate\n",
    );
    for name in names {
        let url = if name.contains(':') {
            name.clone()
        } else {
            format!("{SET_URL}{name}")
        };
        // The standard names a set of LOINC and does not publish its codes.
        let Some(set) = definitions.value_sets.get(&url) else {
            ensure!(!url.starts_with(SET_URL), "{name} is not there");
            continue;
        };
        table.push_str(name);
        for (system, codes) in
            expand(definitions, set).with_context(|| format!("{name} is not understood"))?
        {
            table.push('\t');
            table.push_str(&system);
            for code in codes {
                ensure!(
                    !code.contains(char::is_whitespace),
                    "{name}: a code with a space"
                );
                table.push(' ');
                table.push_str(&code);
            }
        }
        table.push('\n');
    }
    Ok(table)
}

fn expand(definitions: &Definitions, set: &Value) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let compose = &set["compose"];
    ensure!(
        items(compose, "exclude").next().is_none(),
        "it excludes codes"
    );
    let mut systems = Vec::new();
    for include in items(compose, "include") {
        ensure!(include.get("filter").is_none(), "it filters codes");
        ensure!(include.get("valueSet").is_none(), "it includes other sets");
        let system = text(include, "system")?;
        let mut codes = Vec::new();
        if include.get("concept").is_some() {
            collect(include, &mut codes)?;
        } else if let Some(defined) = definitions.code_systems.get(system) {
            collect(defined, &mut codes)?;
        } else if GRAMMARS.contains(&system) {
            codes.push("*".to_owned());
        } else {
            codes = published(definitions, text(set, "url")?, system)?;
        }
        systems.push((system.to_owned(), codes));
    }
    Ok(systems)
}

/// The codes of a system in the published expansion.
fn published(definitions: &Definitions, url: &str, system: &str) -> anyhow::Result<Vec<String>> {
    let expansion = definitions.expansions.get(url).map(|set| &set["expansion"]);
    let codes: Vec<String> = expansion
        .into_iter()
        .flat_map(|expansion| items(expansion, "contains"))
        .filter(|concept| concept["system"] == system)
        .map(|concept| Ok(text(concept, "code")?.to_owned()))
        .collect::<anyhow::Result<_>>()?;
    ensure!(!codes.is_empty(), "its codes are published nowhere");
    Ok(codes)
}

/// The codes of a concept's children, at every depth.
fn collect(parent: &Value, codes: &mut Vec<String>) -> anyhow::Result<()> {
    for concept in items(parent, "concept") {
        codes.push(text(concept, "code")?.to_owned());
        collect(concept, codes)?;
    }
    Ok(())
}
