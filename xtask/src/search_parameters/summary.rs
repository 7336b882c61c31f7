//! What `_summary` shows: the elements marked so, and those that a resource cannot be without.

use serde_json::Value;

use super::bundled;

/// What every resource has, whatever is asked for.
const ALWAYS: [&str; 2] = ["id", "meta"];

pub(super) fn table(resources: &Value) -> String {
    let mut lines = Vec::new();
    for definition in bundled(resources).filter(|it| is_resource(it)) {
        let name = definition["type"].as_str().unwrap_or_default();
        let mut summary = Vec::new();
        let mut mandatory = Vec::new();
        let elements = definition["snapshot"]["element"].as_array();
        for element in elements.into_iter().flatten() {
            let path = element["path"].as_str().unwrap_or_default();
            let Some(path) = path.strip_prefix(name).and_then(|it| it.strip_prefix('.')) else {
                continue;
            };
            if ALWAYS.contains(&path) || path.ends_with(".id") || path.ends_with("xtension") {
                continue;
            }
            if element["isSummary"] == true {
                summary.push(path);
            }
            if !path.contains('.') && element["min"].as_u64() > Some(0) {
                mandatory.push(path);
            }
        }
        let join = |paths: &[&str]| {
            if paths.is_empty() {
                "-".to_owned()
            } else {
                paths.join(",")
            }
        };
        lines.push(format!("{name} {} {}", join(&mandatory), join(&summary)));
    }
    lines.sort();
    let head = "# Made by `xtask search-parameters` from the StructureDefinitions of R4.\n\
                # TYPE mandatory,... summary,...\n";
    format!("{head}{}\n", lines.join("\n"))
}

fn is_resource(definition: &Value) -> bool {
    definition["resourceType"] == "StructureDefinition"
        && definition["kind"] == "resource"
        && definition["abstract"] == false
}
