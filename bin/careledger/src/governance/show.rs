//! What the registry says, in a table.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use ledger::ids::Digest;
use serde_json::Value;

use crate::client;
use crate::network::Layout;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The network's folder.
    #[arg(long)]
    network: PathBuf,
    /// Asks this member's node instead of the first that answers.
    #[arg(long)]
    member: Option<String>,
    /// Prints what the node says as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ShowArgs) -> anyhow::Result<()> {
    let network = Layout::at(&args.network).read()?;
    let http = client::http()?;
    let asked = network.members.iter();
    let asked = asked.filter(|entry| {
        args.member
            .as_ref()
            .is_none_or(|name| *name == entry.member)
    });
    let mut said = None;
    for entry in asked {
        let url = format!("{}/network/members", entry.base_url);
        if let Ok(answer) = http.get(url).send().await {
            said = Some(answer.error_for_status()?.json::<Value>().await?);
            break;
        }
    }
    let said = said.context("no node answers: start one with `careledger node`")?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&said)?)?;
        return Ok(());
    }
    print(&mut out, &said)
}

fn print(out: &mut impl std::io::Write, said: &Value) -> anyhow::Result<()> {
    writeln!(
        out,
        "Revision {}, format {}, {} blocks an epoch",
        said["revision"], said["format"], said["rules"]["epochBlocks"]
    )?;
    let quota = &said["rules"]["quota"];
    if quota.is_object() {
        writeln!(
            out,
            "Quota of each member: {} items a second, {} at once",
            quota["itemsPerSecond"], quota["burstItems"]
        )?;
    }
    if let Some(policies) = said["policies"].as_str().filter(|text| !text.is_empty()) {
        let (bytes, digest) = (policies.len(), Digest::of(policies.as_bytes()));
        writeln!(out, "Policies of {bytes} bytes, SHA-256 {digest}")?;
    }
    for member in list(&said["members"]) {
        let validates = if member["validates"] == Value::Bool(true) {
            "validates"
        } else {
            ""
        };
        let standing = text(&member["standing"]);
        writeln!(
            out,
            "  {:<14} {standing:<10} {validates}",
            text(&member["member"])
        )?;
        for certificate in list(&member["certificates"]) {
            let kind = text(&certificate["keyType"]);
            let until = match certificate["revoked"].as_str() {
                Some(revoked) => format!("revoked {revoked}"),
                None => format!("until {}", text(&certificate["notAfter"])),
            };
            writeln!(
                out,
                "      {} {kind:<7} {until}",
                text(&certificate["thumbprint"])
            )?;
        }
    }
    for span in list(&said["validators"]) {
        let members: Vec<&str> = list(&span["members"]).iter().map(text).collect();
        writeln!(
            out,
            "From epoch {}: {}",
            span["fromEpoch"],
            members.join(", ")
        )?;
    }
    committees(out, said)?;
    for proposal in list(&said["proposals"]) {
        let approvals: Vec<&str> = list(&proposal["approvals"]).iter().map(text).collect();
        writeln!(
            out,
            "Proposal {}: {} (until block {}; for it: {})",
            proposal["number"],
            text(&proposal["action"]),
            proposal["closesAt"],
            approvals.join(", ")
        )?;
    }
    Ok(())
}

/// The committee that releases, and the one that forms.
fn committees(out: &mut impl std::io::Write, said: &Value) -> anyhow::Result<()> {
    let committee = &said["committee"];
    if committee.is_object() {
        let members: Vec<&str> = list(&committee["members"]).iter().map(text).collect();
        let (k, key, since) = (&committee["k"], &committee["key"], &committee["since"]);
        let members = members.join(", ");
        writeln!(
            out,
            "Committee since block {since}: {k} of {members} (key {key})"
        )?;
    }
    let forming = &said["committeeForming"];
    if forming.is_object() {
        let awaited: Vec<&str> = list(&forming["awaited"]).iter().map(text).collect();
        writeln!(
            out,
            "Committee in round {}, {}: waits for {}",
            forming["round"],
            text(&forming["stage"]),
            awaited.join(", ")
        )?;
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
