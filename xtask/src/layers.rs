//! Which crate may depend on which: ARCHITECTURE.md, Layers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::Report;

/// What a crate may use of the workspace, at any depth, and whether it may link what waits.
struct Rule {
    package: &'static str,
    may_use: &'static [&'static str],
    may_wait: bool,
}

const RULES: [Rule; 11] = [
    decides("ledger", &[]),
    decides("contracts", &["ledger"]),
    decides("interop", &[]),
    decides("sim", &["ledger", "contracts"]),
    decides("careledger-verify", &["ledger", "contracts", "interop"]),
    waits("vault", &[]),
    waits("node", &["ledger", "contracts", "interop", "vault"]),
    waits(
        "gateway",
        &["ledger", "contracts", "interop", "vault", "node"],
    ),
    waits(
        "careledger",
        &[
            "ledger",
            "contracts",
            "interop",
            "sim",
            "vault",
            "node",
            "gateway",
        ],
    ),
    waits(
        "fuzz",
        &["ledger", "contracts", "interop", "sim", "vault", "node"],
    ),
    waits("xtask", &[]),
];

/// What code that only decides never links; a name that ends in `-` stands for all that begin with it.
const EFFECTS: [&str; 14] = [
    "async-std",
    "axum",
    "commonware-",
    "fjall",
    "h2",
    "hyper",
    "mio",
    "object_store",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-",
];

/// Libraries that a few crates alone may name.
const OWNERS: [(&str, &[&str]); 8] = [
    ("argon2", &["vault"]),
    ("axum", &["gateway", "node", "careledger"]),
    ("cedar-policy", &["contracts", "careledger"]),
    ("commonware-", &["node"]),
    ("fjall", &["node"]),
    ("hpke", &["vault"]),
    ("jmt", &["ledger"]),
    ("object_store", &["vault"]),
];

/// Edges between packages, by name.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check() -> anyhow::Result<Report> {
    let metadata = MetadataCommand::new()
        .other_options(vec!["--locked".to_owned()])
        .exec()?;
    let members: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    Ok(Report {
        faults: faults(&graph(&metadata)?, &members),
        seen: format!("{} crates", members.len()),
        ..Report::default()
    })
}

const fn decides(package: &'static str, may_use: &'static [&'static str]) -> Rule {
    Rule {
        package,
        may_use,
        may_wait: false,
    }
}

const fn waits(package: &'static str, may_use: &'static [&'static str]) -> Rule {
    Rule {
        package,
        may_use,
        may_wait: true,
    }
}

/// What is linked or runs while building; what tests alone use is free.
fn graph(metadata: &Metadata) -> anyhow::Result<Graph> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolved nothing")?;
    let mut graph = Graph::new();
    for node in &resolve.nodes {
        let used = node.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
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
    for member in members {
        let Some(rule) = RULES.iter().find(|rule| rule.package == member) else {
            faults.push(format!("{member} has no rule: say in which layer it is"));
            continue;
        };
        let reached = reached(graph, member);
        for other in reached.intersection(members) {
            if !rule.may_use.contains(&other.as_str()) {
                faults.push(format!("{member} must not depend on {other}"));
            }
        }
        if !rule.may_wait {
            let effects = reached
                .iter()
                .filter(|other| EFFECTS.iter().any(|effect| is_named(other, effect)));
            faults.extend(effects.map(|effect| format!("{member} must not link {effect}")));
        }
        for named in graph.get(member).into_iter().flatten() {
            let owners = OWNERS.iter().find(|(library, _)| is_named(named, library));
            if owners.is_some_and(|(_, owners)| !owners.contains(&member.as_str())) {
                faults.push(format!("{member} must not name {named}"));
            }
        }
    }
    faults
}

fn is_named(package: &str, pattern: &str) -> bool {
    package == pattern || (pattern.ends_with('-') && package.starts_with(pattern))
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

    fn check(edges: &[(&str, &str)], members: &[&str]) -> Vec<String> {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        faults(&graph, &members)
    }

    #[test]
    fn a_sound_workspace_has_no_fault() {
        let edges = [
            ("contracts", "ledger"),
            ("contracts", "cedar-policy"),
            ("node", "contracts"),
            ("node", "commonware-runtime"),
            ("commonware-runtime", "tokio"),
        ];
        let none: [&str; 0] = [];
        assert_eq!(check(&edges, &["ledger", "contracts", "node"]), none);
    }

    #[test]
    fn a_lower_layer_does_not_reach_up() {
        let members = ["ledger", "contracts", "vault", "node"];
        let up = check(&[("ledger", "contracts")], &members);
        assert_eq!(up, ["ledger must not depend on contracts"]);
        let far = check(&[("vault", "x"), ("x", "node")], &members);
        assert_eq!(far, ["vault must not depend on node"]);
    }

    #[test]
    fn what_decides_links_nothing_that_waits_at_any_depth() {
        let far = check(
            &[("contracts", "client"), ("client", "tokio")],
            &["contracts"],
        );
        assert_eq!(far, ["contracts must not link tokio"]);
        let verifier = check(
            &[("careledger-verify", "x"), ("x", "commonware-p2p")],
            &["careledger-verify"],
        );
        assert_eq!(verifier, ["careledger-verify must not link commonware-p2p"]);
    }

    #[test]
    fn a_library_with_an_owner_is_named_by_its_owner() {
        let members = ["gateway", "node"];
        let named = check(&[("gateway", "fjall")], &members);
        assert_eq!(named, ["gateway must not name fjall"]);
        let through = check(&[("gateway", "node"), ("node", "fjall")], &members);
        assert_eq!(through, Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_rule_is_a_fault() {
        let fault = check(&[], &["common"]);
        assert_eq!(fault, ["common has no rule: say in which layer it is"]);
    }
}
