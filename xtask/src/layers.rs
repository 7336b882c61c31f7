//! Which crate may depend on which: ARCHITECTURE.md, Layers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What a crate may not use, of the workspace and of others, at any depth.
struct Rule {
    package: &'static str,
    may_use: &'static [&'static str],
    is_pure: bool,
}

const RULES: [Rule; 9] = [
    Rule {
        package: "ledger",
        may_use: &[],
        is_pure: true,
    },
    Rule {
        package: "contracts",
        may_use: &["ledger"],
        is_pure: true,
    },
    Rule {
        package: "interop",
        may_use: &[],
        is_pure: true,
    },
    Rule {
        package: "sim",
        may_use: &["ledger", "contracts"],
        is_pure: true,
    },
    Rule {
        package: "careledger-verify",
        may_use: &["ledger", "contracts", "interop"],
        is_pure: true,
    },
    Rule {
        package: "vault",
        may_use: &[],
        is_pure: false,
    },
    Rule {
        package: "node",
        may_use: &["ledger", "contracts", "interop", "vault"],
        is_pure: false,
    },
    Rule {
        package: "gateway",
        may_use: &["ledger", "contracts", "interop", "vault", "node"],
        is_pure: false,
    },
    Rule {
        package: "xtask",
        may_use: &[],
        is_pure: false,
    },
];

/// What code that only decides never links.
const EFFECTS: [&str; 9] = [
    "tokio",
    "hyper",
    "axum",
    "reqwest",
    "rustls",
    "fjall",
    "object_store",
    "commonware-runtime",
    "async-std",
];

/// Edges between packages, by name.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .other_options(vec!["--locked".to_owned()])
        .exec()?;
    let members: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    Ok(faults(&graph(&metadata)?, &members))
}

fn graph(metadata: &Metadata) -> anyhow::Result<Graph> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolved nothing")?;
    let mut graph = Graph::new();
    for node in &resolve.nodes {
        let used = node.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        });
        let names = used.map(|dependency| metadata[&dependency.pkg].name.to_string());
        graph
            .entry(metadata[&node.id].name.to_string())
            .or_default()
            .extend(names);
    }
    Ok(graph)
}

fn faults(graph: &Graph, members: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for rule in RULES {
        let reached = reached(graph, rule.package);
        for other in reached.intersection(members) {
            if !rule.may_use.contains(&other.as_str()) {
                faults.push(format!("{} must not depend on {other}", rule.package));
            }
        }
        if rule.is_pure {
            let effects = EFFECTS.iter().filter(|effect| reached.contains(**effect));
            faults.extend(effects.map(|effect| format!("{} must not link {effect}", rule.package)));
        }
    }
    faults
}

fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(package) = open.pop() {
        for other in graph.get(&package).into_iter().flatten() {
            if reached.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        graph
    }

    #[test]
    fn a_lower_layer_does_not_reach_up_nor_out() {
        let members = ["ledger", "contracts", "node"].map(str::to_owned).into();
        let sound = graph(&[
            ("contracts", "ledger"),
            ("node", "contracts"),
            ("node", "tokio"),
        ]);
        assert_eq!(faults(&sound, &members), Vec::<String>::new());
        let up = graph(&[("ledger", "contracts")]);
        assert_eq!(
            faults(&up, &members),
            ["ledger must not depend on contracts"]
        );
        let out = graph(&[("contracts", "client"), ("client", "tokio")]);
        assert_eq!(faults(&out, &members), ["contracts must not link tokio"]);
    }
}
