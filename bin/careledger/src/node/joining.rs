//! How a node gets the ledger: by a snapshot of its peers, or by replaying all blocks; and how far it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::node::chain::Chain;
use ::node::join::{self, JoinFailed, Peer, Source, Step, Terms};
use ::node::{NodeConfig, chain_in};
use anyhow::Context as _;
use clap::ValueEnum;
use futures::future::join_all;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::ids::Height;
use serde::Serialize;
use tokio::time::timeout;

use crate::network::NodeFile;
use crate::progress::Meter;
use crate::status::TipAnswer;

/// Blocks that a node may be behind before it is worth a word.
const BEHIND_MIN: u64 = 64;
/// Founders that start together listen, but do not answer before they have asked each other.
const OFFER_WITHIN: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Looks at this node between two questions to the peers.
const LOOKS_PER_QUESTION: u32 = 10;

/// How a node without a ledger gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// A founding member replays, others join by snapshot.
    Auto,
    /// Takes a snapshot over from a peer.
    Snapshot,
    /// Replays all blocks from the genesis.
    Replay,
}

impl How {
    /// As it is named on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Snapshot => "snapshot",
            Self::Replay => "replay",
        }
    }
}

/// The gateways of other members.
#[derive(Clone)]
pub(crate) struct Peers(Vec<Arc<dyn Source>>);

impl Peers {
    pub(crate) fn of(file: &NodeFile) -> anyhow::Result<Self> {
        let peers = file.peers.iter().map(|url| {
            let peer = Peer::at(url).with_context(|| format!("the peer {url}"))?;
            Ok(Arc::new(peer) as Arc<dyn Source>)
        });
        Ok(Self(peers.collect::<anyhow::Result<_>>()?))
    }

    /// The lowest height from which on some peer keeps all bodies; `None` if no peer says.
    async fn kept_from(&self) -> Option<Height> {
        let peers = self.0.iter();
        let offers = peers.map(|peer| timeout(OFFER_WITHIN, join::offered(&**peer)));
        let offers = join_all(offers).await.into_iter().flatten();
        let offers = offers.flatten().flatten();
        offers.map(|offer| offer.kept_from).min()
    }

    /// The height in the middle of those that peers say: one that lies does not move it far.
    async fn height(&self) -> Option<u64> {
        let heights = self.0.iter().map(|peer| async {
            let answer = peer.get("/log/tip").await.ok()??;
            let tip: TipAnswer = serde_json::from_slice(&answer).ok()?;
            Some(tip.height)
        });
        let mut heights: Vec<u64> = join_all(heights).await.into_iter().flatten().collect();
        heights.sort_unstable();
        heights.get(heights.len() / 2).copied()
    }
}

/// Sees to it that a ledger is there from which the node can go on.
pub(crate) async fn prepare(
    config: &NodeConfig,
    peers: &Peers,
    (how, checkpoint): (How, Option<&Path>),
) -> anyhow::Result<()> {
    let chain = chain_in(&config.directory);
    if chain.exists() {
        anyhow::ensure!(
            how != How::Snapshot,
            "the node has a ledger already, in {}: move it and {} away to join anew",
            chain.display(),
            config.directory.join("engine").display()
        );
        return Ok(());
    }
    let founded = config.genesis.members.iter();
    let is_founder = founded.into_iter().any(|one| one.name == config.member);
    let replays = match how {
        How::Auto => is_founder || peers.0.is_empty(),
        How::Snapshot => false,
        How::Replay => true,
    };
    if replays {
        return can_replay(peers, Height(0)).await;
    }
    let seen = checkpoint.map(read_checkpoint).transpose()?;
    match by_snapshot(config, peers, seen.as_ref()).await {
        Err(JoinFailed::NoSnapshot) if how == How::Auto => {
            Meter::new().say("No peer has a snapshot yet: the node replays the ledger.");
            Ok(())
        }
        outcome => outcome.context(
            "the node has not joined: name other peers in node.toml, or replay with --join replay",
        ),
    }
}

/// Whether some peer has the blocks after `applied`, as far as peers say.
async fn can_replay(peers: &Peers, applied: Height) -> anyhow::Result<()> {
    let Some(kept_from) = peers.kept_from().await else {
        return Ok(());
    };
    anyhow::ensure!(
        kept_from <= applied.next(),
        "no peer has the blocks up to {} any more: join with --join snapshot, in a folder without a ledger",
        kept_from.0.saturating_sub(1)
    );
    Ok(())
}

async fn by_snapshot(
    config: &NodeConfig,
    peers: &Peers,
    seen: Option<&Checkpoint>,
) -> Result<(), JoinFailed> {
    let directory = chain_in(&config.directory);
    let terms = Terms {
        genesis: &config.genesis,
        member: &config.member,
        directory: &directory,
        seen,
        former: None,
    };
    let mut meter = Meter::new();
    let joined = join::join(&terms, &peers.0, |step| show(&mut meter, &step)).await;
    meter.clear();
    let tip = joined?;
    meter.say(&format!(
        "Joined at block {}: {} statements, state root {}, checked against the validators' signatures.",
        tip.height.0, tip.log_size, tip.state_root.0
    ));
    Ok(())
}

fn show(meter: &mut Meter, step: &Step<'_>) {
    match *step {
        Step::Begun { peer, height } => {
            meter.say(&format!(
                "Joining with the snapshot of block {} of {peer}.",
                height.0
            ));
        }
        Step::Log { done, total } => meter.show("log", done, total),
        Step::State { permille } => meter.show("state, ‰", permille, 1_000),
        Step::Own { done, total } => meter.show("own", done, total),
        Step::Refused { peer, reason } => {
            meter.say(&format!("Nothing is taken over from {peer}: {reason}."));
        }
    }
}

fn read_checkpoint(path: &Path) -> anyhow::Result<Checkpoint> {
    let note = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let note = SignedCheckpoint::decode(&note);
    let note = note.with_context(|| format!("{} is no checkpoint", path.display()))?;
    Ok(note.checkpoint)
}

/// Shows how far the node is behind its peers, until it is not; says so if no peer has what it lacks.
pub(crate) async fn show_catching_up(chain: Chain, peers: Peers) {
    let Some(mut target) = peers.height().await else {
        return;
    };
    let begun = chain.tip().height;
    if target < begun.0.saturating_add(BEHIND_MIN) {
        return;
    }
    let mut meter = Meter::new();
    if let Err(error) = can_replay(&peers, begun).await {
        tracing::error!(%error, "the node cannot catch up");
        meter.say(&format!("careledger: {error}"));
        return;
    }
    for look in 1_u32.. {
        tokio::time::sleep(TELL_EVERY).await;
        let height = chain.tip().height.0;
        if height >= target {
            break;
        }
        meter.show("blocks", height - begun.0, target - begun.0);
        if look % LOOKS_PER_QUESTION == 0 {
            target = peers.height().await.unwrap_or(target).max(target);
        }
    }
    meter.say(&format!("Caught up at block {}.", chain.tip().height.0));
}
