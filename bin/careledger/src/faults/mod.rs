//! `careledger faults`: real processes that are killed, run out of disk, and lose bytes of their files, under writes.
//!
//! What holds at the end: each acknowledged version is readable as it was acknowledged, its receipt verifies from the
//! genesis, all ledgers stand at one block, and `verify --self` finds each stopped node sound.

mod disk;
mod kill;
mod messages;
mod network;
mod rot;
mod traffic;

use std::time::Instant;

use clap::{Args, Subcommand};

use crate::said::say;
use network::Net;

/// Faults of machines, put upon four nodes on this one.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger faults kill --rounds 100\n  careledger faults rot --rounds 40 --seed 7\n  \
    careledger faults messages --count 1000\n  careledger faults full-disk"
)]
pub(crate) struct FaultsArgs {
    #[command(subcommand)]
    fault: Fault,
}

#[derive(Debug, Subcommand)]
enum Fault {
    /// Kills nodes with SIGKILL, one or two at a time, while all are written to.
    Kill(Plan),
    /// Flips bytes of stopped nodes' files, cuts and deletes files, and has `verify --self --repair` mend them.
    Rot(Plan),
    /// Kills a node with SIGKILL while it is sent messages of HL7 v2: each that it acknowledged is on record once, in order.
    Messages {
        /// Messages that are sent.
        #[arg(long, default_value_t = 400)]
        count: usize,
        /// What is random follows from it.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Fills the disk of a node that is written to. Needs the right to mount.
    FullDisk,
}

#[derive(Debug, Args)]
struct Plan {
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// What is random follows from it.
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) async fn run(args: FaultsArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let seed = match &args.fault {
        Fault::Kill(plan) | Fault::Rot(plan) => plan.seed.unwrap_or_else(rand::random::<u64>),
        Fault::Messages { seed, .. } => seed.unwrap_or_else(rand::random::<u64>),
        Fault::FullDisk => 0,
    };
    if !matches!(args.fault, Fault::FullDisk) {
        say(&format!("seed {seed}"))?;
    } else if !disk::may_mount() {
        return say("skipped: mounting a small filesystem is not permitted here");
    }
    let mut net = Net::start(seed).await?;
    let outcome = match &args.fault {
        Fault::Kill(plan) => kill::run(&mut net, plan.rounds).await,
        Fault::Messages { count, .. } => messages::run(&mut net, *count).await,
        Fault::Rot(plan) => rot::run(&mut net, plan.rounds).await,
        Fault::FullDisk => disk::run(&mut net).await,
    };
    let folder = net.end(outcome.is_ok()).await?;
    match outcome {
        Ok(said) => say(&format!(
            "ok  {said} ({:.1} s)",
            start.elapsed().as_secs_f64()
        )),
        Err(error) => {
            let folder = folder.display();
            Err(error.context(format!("seed {seed}; what the members did is in {folder}")))
        }
    }
}
