//! The public parts of a node's keys, and its certificates.

use std::fs;
use std::io::Write as _;

use serde_json::json;

use super::show::public_part;
use super::{Opened, kind};

pub(super) fn run(opened: &Opened) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for name in opened.keys.names() {
        let facts = opened.keys.facts(&name)?;
        if let Some(public) = public_part(&*opened.keys, &name, facts.kind)? {
            keys.push(json!({
                "name": name.to_string(), "kind": kind(facts.kind), "publicKey": public,
            }));
        }
    }
    let mut certificates = Vec::new();
    if let Ok(entries) = fs::read_dir(opened.folder.join("certificates")) {
        let mut paths: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|one| one.path())
            .collect();
        paths.sort_unstable();
        for path in paths {
            certificates.push(fs::read_to_string(path)?);
        }
    }
    let said = json!({
        "member": opened.file.member, "keys": keys, "certificates": certificates,
    });
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&said)?)?)
}
