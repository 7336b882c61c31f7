//! `careledger status`: how the members' nodes are.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client;
use crate::network::{Layout, NetworkFile};

/// Shows whether the members' nodes answer, and where their ledgers stand.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger status --network net --json")]
pub(crate) struct StatusArgs {
    /// The network's folder.
    #[arg(long)]
    network: PathBuf,
    #[arg(long)]
    json: bool,
}

/// Where a member's ledger stands, as `/log/tip` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TipAnswer {
    pub(crate) height: u64,
    pub(crate) log_size: u64,
    pub(crate) state_root: String,
    pub(crate) block: String,
}

/// A member's node; `None` where it does not answer.
#[derive(Debug, Serialize)]
struct MemberStatus {
    member: String,
    base_url: String,
    ledger: Option<TipAnswer>,
}

pub(crate) async fn run(args: StatusArgs) -> anyhow::Result<()> {
    let network = Layout::at(&args.network).read()?;
    let statuses = statuses(&network).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&statuses)?)?;
        return Ok(());
    }
    for status in &statuses {
        let said = status.ledger.as_ref().map_or_else(
            || "does not answer".to_owned(),
            |tip| format!("height {}, {} statements", tip.height, tip.log_size),
        );
        writeln!(out, "{:<12} {:<24} {said}", status.member, status.base_url)?;
    }
    Ok(())
}

async fn statuses(network: &NetworkFile) -> anyhow::Result<Vec<MemberStatus>> {
    let http = client::http()?;
    let mut statuses = Vec::new();
    for entry in &network.members {
        statuses.push(MemberStatus {
            member: entry.member.clone(),
            base_url: entry.base_url.clone(),
            ledger: tip(&http, &entry.base_url).await.ok(),
        });
    }
    Ok(statuses)
}

/// Where the ledger of the node at `base_url` stands.
pub(crate) async fn tip(http: &reqwest::Client, base_url: &str) -> anyhow::Result<TipAnswer> {
    let answer = http.get(format!("{base_url}/log/tip")).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}
