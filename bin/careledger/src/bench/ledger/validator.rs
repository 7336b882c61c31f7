//! One validator under load of its own making, told what to do line by line on standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::node::Node;
use ::node::chain::{FinalItem, SubmitError};
use clap::Args;
use gateway::auth::{SignIn, TokenSigner};
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Item;
use ledger::statement::{StatementId, SubmittedStatement};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use vault::keystore::SecretName;

use super::proofs;
use super::task::{Flooded, Load, Reached, Submitted, Task};
use crate::keys::token_keys;
use crate::network::NodeFile;
use crate::node::{
    How, Peers, gateway as node_gateway, node_config, open_keys, prepare, vocabularies,
};

/// Items of the statements of a flood.
const FLOOD_ITEMS: u16 = 1_024;
/// How soon who floods tries again.
const FLOOD_PAUSE: Duration = Duration::from_millis(10);

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one validator of `bench ledger`.
#[derive(Debug, Args)]
pub(crate) struct ValidatorArgs {
    #[arg(long)]
    config: PathBuf,
    /// How it gets the ledger, if it has none.
    #[arg(long, value_enum, default_value_t = How::Replay)]
    join: How,
}

pub(crate) async fn run(args: ValidatorArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let keys = open_keys(&file, folder)?;
    let listener = TcpListener::bind(file.listen).await?;
    let config = node_config(&file, folder, &keys)?;
    if args.join == How::Snapshot {
        prepare(&config, &Peers::of(&file)?, (args.join, None)).await?;
    }
    let node = Node::start(config).await?;
    // For whoever joins by snapshot.
    let signer = TokenSigner::of(token_keys(&keys)?);
    let gateway = node_gateway(
        &file,
        folder,
        &node,
        &keys,
        (SignIn::default(), signer),
        &vocabularies(&file, folder),
    )?;
    let serving = gateway::serve(listener, gateway.router(), std::future::pending());
    let serving = tokio::spawn(serving);
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
        match serde_json::from_str(&line)? {
            Task::Submit(load) => answer(&source.submit(load).await?)?,
            Task::Flood(seconds) => answer(&source.flood(seconds).await?)?,
            Task::Prove => answer(&proofs::measure(&source.node.chain)?)?,
            Task::Reach(height) => answer(&source.reach(height).await?)?,
        }
    }
    serving.abort();
    source.node.stop().await?;
    Ok(())
}

struct Source {
    node: Node,
    member: MemberName,
    certificate: Digest,
    key: ed25519_zebra::SigningKey,
}

/// Statements on their way, by their first tag.
#[derive(Default)]
struct UnderWay {
    since: BTreeMap<Tag, Instant>,
    latencies_ms: Vec<f64>,
}

impl Source {
    async fn submit(&self, load: Load) -> anyhow::Result<Submitted> {
        let mut entries = self.node.chain.entries();
        let mut under_way = UnderWay::default();
        let start = Instant::now();
        let (mut submitted, mut bytes) = (0, 0);
        while submitted < load.statements || !under_way.since.is_empty() {
            while submitted < load.statements
                && under_way.since.len() < load.window
                && load.until_due(submitted, start).is_zero()
            {
                let (statement, tag) = self.statement(load.items_per_statement)?;
                bytes += u64::try_from(statement.encode().len())?;
                if let Err(error) = self.node.chain.submit(statement) {
                    anyhow::ensure!(matches!(error, SubmitError::Full), "{error}");
                    break;
                }
                under_way.since.insert(tag, Instant::now());
                submitted += 1;
            }
            let is_full = submitted >= load.statements || under_way.since.len() >= load.window;
            let until_due = load.until_due(submitted, start);
            tokio::select! {
                () = tokio::time::sleep(until_due), if !is_full && !until_due.is_zero() => {}
                received = tokio::time::timeout(PATIENCE, entries.recv()) => match received? {
                    Ok(items) => under_way.arrived(&self.member, &items),
                    Err(RecvError::Lagged(_)) => under_way.look_up(&self.node, &self.member)?,
                    Err(RecvError::Closed) => anyhow::bail!("the chain ended"),
                },
            }
        }
        Ok(Submitted {
            seconds: start.elapsed().as_secs_f64(),
            latencies_ms: under_way.latencies_ms,
            bytes,
            height: self.node.chain.tip().height.0,
            disk_bytes: self.node.chain.disk_bytes()?,
        })
    }

    /// Submits the largest statements without a pause, whatever becomes of them.
    async fn flood(&self, seconds: f64) -> anyhow::Result<Flooded> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut flooded = Flooded {
            items: 0,
            refused: 0,
        };
        while Instant::now() < end {
            let (statement, _) = self.statement(FLOOD_ITEMS)?;
            match self.node.chain.submit(statement) {
                Ok(()) => flooded.items += u64::from(FLOOD_ITEMS),
                Err(SubmitError::Full | SubmitError::OverQuota { .. }) => {
                    flooded.refused += 1;
                    tokio::time::sleep(FLOOD_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(flooded)
    }

    async fn reach(&self, height: u64) -> anyhow::Result<Reached> {
        let mut tips = self.node.chain.subscribe();
        let tip = tips.wait_for(|tip| tip.height.0 >= height).await?;
        Ok(Reached {
            height: tip.height.0,
        })
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

impl Load {
    /// How long until statement number `submitted` is due.
    fn until_due(&self, submitted: u32, start: Instant) -> Duration {
        let Some(per_second) = self.per_second else {
            return Duration::ZERO;
        };
        let due = Duration::from_secs_f64(f64::from(submitted) / per_second);
        due.saturating_sub(start.elapsed())
    }
}

impl UnderWay {
    fn arrived(&mut self, member: &MemberName, items: &Arc<Vec<FinalItem>>) {
        for item in items.iter().filter(|item| item.member == *member) {
            if let Some(since) = self.since.remove(&item.item.tags[0]) {
                self.count(since);
            }
        }
    }

    /// Blocks went by unseen: asks the ledger instead.
    fn look_up(&mut self, node: &Node, member: &MemberName) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for tag in self.since.keys() {
            if node.chain.locate(member, *tag)?.is_some() {
                found.insert(*tag);
            }
        }
        for tag in found {
            if let Some(since) = self.since.remove(&tag) {
                self.count(since);
            }
        }
        Ok(())
    }

    fn count(&mut self, since: Instant) {
        self.latencies_ms
            .push(since.elapsed().as_secs_f64() * 1_000.0);
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

fn answer(outcome: &impl Serialize) -> anyhow::Result<()> {
    println(&serde_json::to_string(outcome)?)
}

fn println(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
