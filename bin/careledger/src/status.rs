//! `careledger status`: how the members' nodes are.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client;
use crate::network::{Layout, NetworkFile};

/// Shows how the members' nodes are: ledger, validators, outbox, certificates, disk.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger status --network net --json")]
pub(crate) struct StatusArgs {
    /// The network's folder.
    #[arg(long)]
    network: PathBuf,
    #[arg(long)]
    json: bool,
}

/// An entry of the audit log that waits longer is late.
const FORWARD_LATE_MS: u64 = 60_000;

/// Where a member's ledger stands, as `/log/tip` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TipAnswer {
    pub(crate) height: u64,
    pub(crate) log_size: u64,
    pub(crate) state_root: String,
    pub(crate) block: String,
}

/// How a node is, as `/ready` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadyAnswer {
    pub(crate) ready: bool,
    pub(crate) height: u64,
    pub(crate) final_height: u64,
    pub(crate) epoch: u64,
    pub(crate) validates: bool,
    pub(crate) age_ms: u64,
    pub(crate) peers: usize,
    pub(crate) outbox_depth: u64,
    pub(crate) outbox_stopped: u64,
    pub(crate) certificate_expires: String,
    pub(crate) certificate_expires_soon: bool,
    pub(crate) ledger_bytes: u64,
    pub(crate) contradictions: u64,
    pub(crate) open_proposals: u64,
    #[serde(default)]
    pub(crate) open_reviews: u64,
    #[serde(default)]
    pub(crate) overdue_reviews: u64,
    #[serde(default)]
    pub(crate) duties_due: u64,
    #[serde(default)]
    pub(crate) duties_overdue: u64,
    #[serde(default)]
    pub(crate) consents_missing: u64,
    #[serde(default)]
    pub(crate) audit_forward: Option<AuditForward>,
    #[serde(default)]
    pub(crate) existing_server: Option<ExistingServer>,
}

/// How forwarding the audit log to another repository stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditForward {
    waiting: u64,
    waiting_ms: u64,
    given_up: u64,
}

/// How it is with the existing FHIR server before which a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExistingServer {
    reachable: bool,
    taking_in: bool,
    unattributed: u64,
    set_aside: u64,
    diverged: u64,
}

/// A member's node; `None` where it does not answer.
#[derive(Debug, Serialize)]
struct MemberStatus {
    member: String,
    base_url: String,
    node: Option<ReadyAnswer>,
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
        let said = status.node.as_ref().map_or_else(
            || "does not answer".to_owned(),
            |node| described(node, status.ledger.as_ref()),
        );
        writeln!(out, "{:<12} {:<24} {said}", status.member, status.base_url)?;
        let existing = status
            .node
            .iter()
            .filter_map(|node| node.existing_server.as_ref());
        for warning in existing.flat_map(ExistingServer::warnings) {
            writeln!(out, "{:<12} {warning}", "")?;
        }
        let forward = status
            .node
            .iter()
            .filter_map(|node| node.audit_forward.as_ref());
        for warning in forward.flat_map(AuditForward::warnings) {
            writeln!(out, "{:<12} {warning}", "")?;
        }
        for warning in status.node.iter().flat_map(warnings) {
            writeln!(out, "{:<12} {warning}", "")?;
        }
    }
    Ok(())
}

fn described(node: &ReadyAnswer, ledger: Option<&TipAnswer>) -> String {
    let statements = ledger.map_or(0, |tip| tip.log_size);
    format!(
        "block {} of {}, epoch {}, {statements} statements, {} peers, outbox {}, {:.1} MB, {} until {}",
        node.height,
        node.final_height,
        node.epoch,
        node.peers,
        node.outbox_depth,
        megabytes(node.ledger_bytes),
        if node.validates {
            "validates,"
        } else {
            "follows,"
        },
        node.certificate_expires,
    )
}

/// What an operator has to do something about.
fn warnings(node: &ReadyAnswer) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: String| {
        if holds {
            warnings.push(format!("! {text}"));
        }
    };
    let expires = &node.certificate_expires;
    warn(
        node.certificate_expires_soon,
        format!("the certificate expires {expires}: run `careledger governance renew`"),
    );
    warn(
        node.outbox_stopped > 0,
        format!(
            "{} statements broke a rule of the ledger and wait: see the log",
            node.outbox_stopped
        ),
    );
    warn(
        !node.ready,
        format!(
            "{} blocks behind",
            node.final_height.saturating_sub(node.height)
        ),
    );
    warn(
        node.age_ms > 10_000,
        format!(
            "the last block is {} s old: is a quorum of validators up?",
            node.age_ms / 1_000
        ),
    );
    warn(
        node.contradictions > 0,
        "a validator contradicted itself: see the log".to_owned(),
    );
    warn(
        node.open_proposals > 0,
        format!(
            "{} proposals are open: see `careledger governance show`",
            node.open_proposals
        ),
    );
    warnings.extend(owed(node));
    warnings
}

/// What patients or other members wait for.
fn owed(node: &ReadyAnswer) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: String| {
        if holds {
            warnings.push(format!("! {text}"));
        }
    };
    warn(
        node.overdue_reviews > 0,
        format!(
            "{} declared emergencies were not reviewed in time: see `careledger emergencies list`",
            node.overdue_reviews
        ),
    );
    warn(
        node.duties_overdue > 0,
        format!(
            "{} answers owed to patients are late: see `careledger duties`",
            node.duties_overdue
        ),
    );
    warn(
        node.duties_due > 0,
        format!(
            "{} answers owed to patients are due within ten days",
            node.duties_due
        ),
    );
    warn(
        node.consents_missing > 0,
        format!(
            "{} consents on the ledger have not arrived here: are the members up that they were filed through?",
            node.consents_missing
        ),
    );
    warn(
        node.open_reviews > 0,
        format!(
            "{} declared emergencies wait for their review",
            node.open_reviews
        ),
    );
    warnings
}

impl AuditForward {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.waiting_ms > FORWARD_LATE_MS {
            warnings.push(format!(
                "! {} entries of the audit log wait to be forwarded, for {} s: does the repository take them?",
                self.waiting,
                self.waiting_ms / 1_000
            ));
        }
        if self.given_up > 0 {
            warnings.push(format!(
                "! {} entries of the audit log were refused by the repository: see the log",
                self.given_up
            ));
        }
        warnings
    }
}

impl ExistingServer {
    /// What an operator should know of it.
    fn warnings(&self) -> Vec<String> {
        let counted = [
            (
                self.unattributed,
                "versions were changed behind the node: they have the tag `unattributed`",
            ),
            (
                self.set_aside,
                "versions of the existing server cannot be recorded: see `GET /fhir/$set-aside`",
            ),
            (
                self.diverged,
                "reads found another content than the anchored one: see the log",
            ),
        ];
        let mut warnings: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, text)| format!("! {count} {text}"))
            .collect();
        if !self.reachable {
            warnings.push("! the existing server does not answer".to_owned());
        }
        if self.taking_in {
            warnings.push("the existing server is being taken in".to_owned());
        }
        warnings
    }
}

fn megabytes(bytes: u64) -> f64 {
    let kilobytes = u32::try_from(bytes / 1_000).unwrap_or(u32::MAX);
    f64::from(kilobytes) / 1_000.0
}

async fn statuses(network: &NetworkFile) -> anyhow::Result<Vec<MemberStatus>> {
    let http = client::http()?;
    let mut statuses = Vec::new();
    for entry in &network.members {
        statuses.push(MemberStatus {
            member: entry.member.clone(),
            base_url: entry.base_url.clone(),
            node: ready(&http, &entry.base_url).await.ok(),
            ledger: tip(&http, &entry.base_url).await.ok(),
        });
    }
    Ok(statuses)
}

/// How the node at `base_url` is; one that is not ready says so too.
async fn ready(http: &reqwest::Client, base_url: &str) -> anyhow::Result<ReadyAnswer> {
    let answer = http.get(format!("{base_url}/ready")).send().await?;
    Ok(answer.json().await?)
}

/// Where the ledger of the node at `base_url` stands.
pub(crate) async fn tip(http: &reqwest::Client, base_url: &str) -> anyhow::Result<TipAnswer> {
    let answer = http.get(format!("{base_url}/log/tip")).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}
