//! `careledger audit`: whether a member's audit log is complete, whether its decisions come out the same, and what was
//! disclosed.

mod disclosures;
mod found;
mod gaps;
mod replay;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::node::chain::Chain;
use ::node::custody::audit::Held;
use ::node::record_keys;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use ledger::ids::MemberName;
use serde_json::Value;

use crate::backup::hold;
use crate::client::{self, Client, User};
use crate::network::{Credential, NodeFile, read_genesis, read_json};
use crate::node::{blobs, open_keys, records};

pub(crate) use disclosures::Report;

/// Holds a member's audit log against the ledger, decides again what was decided, accounts for disclosures.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger audit gaps --config net/clinic/node.toml\n  \
    careledger audit gaps --credential net/clinic/clients/audit.json --json\n  \
    careledger audit replay --config net/clinic/node.toml --from 2026-11-01 --to 2026-11-30\n  \
    careledger audit disclosures --credential net/clinic/clients/audit.json --patient p1 --regime hipaa --format html"
)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Gaps(gaps::GapsArgs),
    Replay(replay::ReplayArgs),
    Disclosures(disclosures::DisclosuresArgs),
}

/// Whose log: that of a stopped node, or of one that runs.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The configuration of a stopped node.
    #[arg(long, group = "whose")]
    config: Option<PathBuf>,
    /// The credential file of an auditor's system, to ask a running node.
    #[arg(long, group = "whose")]
    credential: Option<PathBuf>,
}

/// As whom the auditor's system asks.
#[derive(Debug, Args)]
struct Auditor {
    /// The auditor, as Practitioner/ID.
    #[arg(long)]
    practitioner: Option<String>,
    /// The auditor's role.
    #[arg(long, default_value = "privacy-officer")]
    role: String,
}

pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<()> {
    match args.command {
        AuditCommand::Gaps(args) => gaps::run(args).await,
        AuditCommand::Replay(args) => replay::run(args).await,
        AuditCommand::Disclosures(args) => disclosures::run(args).await,
    }
}

/// What a stopped node holds; it does not start while the file is kept.
fn held(config: &Path) -> anyhow::Result<(Option<std::fs::File>, Held)> {
    let file = NodeFile::read(config)?;
    let folder = config.parent().unwrap_or(Path::new("."));
    let data = folder.join(&file.data);
    let stopped = hold(&data)?;
    let genesis = read_genesis(&folder.join(&file.genesis))?;
    let keys = open_keys(&file, folder)?;
    let member: MemberName = file.member.parse()?;
    let keys = record_keys(&*keys)?;
    let chain = Chain::open(genesis, &data.join("chain"), Arc::new(|| 0));
    let chain = chain.context("the node's ledger cannot be opened")?;
    let (records, blobs) = (records(&file, folder)?, blobs(&file, folder)?);
    let held = Held::at_rest(&records, &blobs, (&member, &keys), Arc::new(chain))?;
    Ok((stopped, held))
}

impl Auditor {
    /// A client of the running node.
    fn client(&self, credential: &Path) -> anyhow::Result<Client> {
        let credential: Credential = read_json(credential)?;
        let user = User {
            purpose: "HOPERAT".to_owned(),
            practitioner: self.practitioner.clone(),
            role: Some(self.role.clone()),
        };
        Client::of_system(
            &client::http()?,
            &credential,
            user,
            "system/AuditEvent.rs system/Patient.rs",
        )
    }

    /// The `Parameters` that an operation answers with.
    async fn ask(&self, credential: &Path, path: &str) -> anyhow::Result<Value> {
        let answer = self.client(credential)?.get(path).await?.ok()?;
        Ok(serde_json::from_slice(answer.bytes())?)
    }
}
