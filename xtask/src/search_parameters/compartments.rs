//! The compartments: which parameters put a resource into one.

use serde_json::Value;

use super::{bundled, strings};

pub(super) fn table(resources: &Value) -> String {
    let mut lines = Vec::new();
    for definition in bundled(resources).filter(|it| it["resourceType"] == "CompartmentDefinition")
    {
        let code = definition["code"].as_str().unwrap_or_default();
        for resource in definition["resource"].as_array().into_iter().flatten() {
            let parameters: Vec<&str> = strings(&resource["param"]).collect();
            if !parameters.is_empty() {
                let name = resource["code"].as_str().unwrap_or_default();
                lines.push(format!("{code} {name} {}", parameters.join(" ")));
            }
        }
    }
    lines.sort();
    let head = "# Made by `xtask search-parameters` from the CompartmentDefinitions of R4.\n\
                # COMPARTMENT TYPE parameter...; `{def}` the resource itself\n";
    format!("{head}{}\n", lines.join("\n"))
}
