//! Invariants: path, key, severity, human text, expression; tabs between.

use std::fmt::Write as _;

use serde_json::Value;

use super::bundle::{Definitions, items, snapshot, text};

const BEST_PRACTICE: &str =
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice";

pub(super) fn table(definitions: &Definitions) -> anyhow::Result<String> {
    let mut table = String::from(
        "# Invariants of R4, each at the element that states it: what inherits from it is not repeated\n\
         # path, key, severity (error, warning, best-practice), human text, FHIRPath expression\n",
    );
    for structure in &definitions.structures {
        let own = text(structure, "url")?;
        for element in snapshot(structure)? {
            for constraint in items(element, "constraint") {
                let source = constraint["source"].as_str();
                let Some(expression) = constraint["expression"].as_str() else {
                    continue;
                };
                if source.is_some_and(|source| source != own) {
                    continue;
                }
                let path = text(element, "path")?;
                let key = text(constraint, "key")?;
                let human = one_line(text(constraint, "human")?);
                let severity = severity(constraint);
                let expression = one_line(expression);
                writeln!(table, "{path}\t{key}\t{severity}\t{human}\t{expression}")?;
            }
        }
    }
    Ok(table)
}

fn severity(constraint: &Value) -> &'static str {
    let is_best_practice = items(constraint, "extension")
        .any(|extension| extension["url"] == BEST_PRACTICE && extension["valueBoolean"] == true);
    match constraint["severity"].as_str() {
        _ if is_best_practice => "best-practice",
        Some("error") => "error",
        _ => "warning",
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
