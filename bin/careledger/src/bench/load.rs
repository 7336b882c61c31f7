//! One validator under load of its own making, told what to do line by line on standard input.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::node::Node;
use ::node::chain::SubmitError;
use clap::Args;
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Item;
use ledger::statement::{StatementId, SubmittedStatement};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::broadcast::error::RecvError;
use vault::keystore::SecretName;

use crate::network::NodeFile;
use crate::node::{node_config, open_keys};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one validator of `bench anchor`.
#[derive(Debug, Args)]
pub(crate) struct ValidatorArgs {
    #[arg(long)]
    config: PathBuf,
}

/// What a validator is told to submit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) statements: u32,
    pub(super) items_per_statement: u16,
    /// Statements under way at once.
    pub(super) window: usize,
    /// Milliseconds between two statements.
    pub(super) pause_ms: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) seconds: f64,
    /// Milliseconds from submission to the block's being applied here, of each statement.
    pub(super) latencies_ms: Vec<f64>,
    pub(super) disk_bytes: u64,
    pub(super) height: u64,
}

pub(super) async fn run(args: ValidatorArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let keys = open_keys(&file, folder)?;
    let node = Node::start(node_config(&file, folder, &keys)?).await?;
    let member: MemberName = file.member.parse()?;
    let key = keys.expose(&SecretName::node())?;
    let source = Source {
        key: ed25519_zebra::SigningKey::from_bytes(&key),
        certificate: certificate(&node, &member),
        member,
        node,
    };
    println("ready")?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let outcome = source.submit(serde_json::from_str(&line)?).await?;
        println(&serde_json::to_string(&outcome)?)?;
    }
    source.node.stop().await?;
    Ok(())
}

struct Source {
    node: Node,
    member: MemberName,
    certificate: Digest,
    key: ed25519_zebra::SigningKey,
}

impl Source {
    async fn submit(&self, load: Load) -> anyhow::Result<Outcome> {
        let mut entries = self.node.chain.entries();
        let mut waiting: BTreeMap<Tag, Instant> = BTreeMap::new();
        let mut latencies_ms = Vec::new();
        let start = Instant::now();
        let mut left = load.statements;
        while left > 0 || !waiting.is_empty() {
            while left > 0 && waiting.len() < load.window {
                let (statement, tag) = self.statement(load.items_per_statement)?;
                if let Err(error) = self.node.chain.submit(statement) {
                    anyhow::ensure!(matches!(error, SubmitError::Full), "{error}");
                    break;
                }
                waiting.insert(tag, Instant::now());
                left -= 1;
                if load.pause_ms > 0 {
                    break;
                }
            }
            match tokio::time::timeout(PATIENCE, entries.recv()).await? {
                Ok(items) => {
                    for item in items.iter().filter(|item| item.member == self.member) {
                        if let Some(since) = waiting.remove(&item.item.tags[0]) {
                            latencies_ms.push(since.elapsed().as_secs_f64() * 1_000.0);
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => self.look_up(&mut waiting, &mut latencies_ms)?,
                Err(RecvError::Closed) => anyhow::bail!("the chain ended"),
            }
            if load.pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(load.pause_ms)).await;
            }
        }
        Ok(Outcome {
            seconds: start.elapsed().as_secs_f64(),
            latencies_ms,
            disk_bytes: self.node.chain.disk_bytes()?,
            height: self.node.chain.tip().height.0,
        })
    }

    /// Blocks went by unseen: asks the ledger instead.
    fn look_up(
        &self,
        waiting: &mut BTreeMap<Tag, Instant>,
        latencies_ms: &mut Vec<f64>,
    ) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for (tag, since) in waiting.iter() {
            if self.node.chain.locate(&self.member, *tag)?.is_some() {
                latencies_ms.push(since.elapsed().as_secs_f64() * 1_000.0);
                found.push(*tag);
            }
        }
        waiting.retain(|tag, _| !found.contains(tag));
        Ok(())
    }

    fn statement(&self, items: u16) -> anyhow::Result<(SubmittedStatement, Tag)> {
        let items: Vec<Item> = (0..items).map(|_| random_item()).collect();
        let first = items.first().map_or(Tag([0; 16]), |item| item.tags[0]);
        let expires_at = Height(self.node.chain.tip().height.0.saturating_add(5_000));
        let statement = SubmittedStatement::sign_items(
            (&self.member, self.certificate),
            (
                self.node.chain.network(),
                StatementId(rand::random()),
                expires_at,
            ),
            items,
            |bytes| anyhow::Ok(self.key.sign(bytes).to_bytes()),
        )?;
        Ok((statement, first))
    }
}

fn random_item() -> Item {
    Item {
        tags: [Tag(rand::random()), Tag(rand::random())],
        commitment: Digest(rand::random()),
    }
}

fn certificate(node: &Node, member: &MemberName) -> Digest {
    let members = &node.chain.genesis().members;
    let own = members.iter().find(|one| one.name == *member);
    own.map_or(Digest([0; 32]), |own| Digest::of(&own.node))
}

fn println(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
