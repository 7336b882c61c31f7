//! `bench flood`: three members write now and then, the fourth submits as much as it can; what the three notice.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use ledger::genesis::{Quota, Rules};
use serde::Serialize;

use super::super::figures::{float, quantile};
use super::cluster::{self, MEMBERS, Validator};
use super::task::{Flooded, Load, Submitted, Task};
use crate::network::Layout;
use crate::progress;

/// Statements of one item that each of the three submits in a second.
const PER_SECOND: f64 = 10.0;
/// Until the validators have found each other.
const WARM_UP_SECONDS: f64 = 2.0;

/// How long, and within which quota.
#[derive(Debug, Args)]
pub(crate) struct FloodArgs {
    /// How long each of four measurements takes.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The quota: items that a member may submit a second, and twice as many at once.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    items_per_second: u32,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What three members noticed on one network.
#[derive(Debug, Serialize)]
struct Noticed {
    quota_items_per_second: Option<u32>,
    idle: Latency,
    flooded: Latency,
    /// Of the one that floods.
    items_taken_per_s: f64,
    /// Of the one that floods.
    statements_refused_per_s: f64,
}

/// From submission to the block's being applied, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Latency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

pub(crate) async fn run(args: FloodArgs) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("careledger-flood-{}", std::process::id()));
    let noticed = both(&args, &folder).await;
    fs::remove_dir_all(&folder)
        .with_context(|| format!("{} cannot be removed", folder.display()))?;
    print(&noticed?, args.json)
}

async fn both(args: &FloodArgs, folder: &Path) -> anyhow::Result<[Noticed; 2]> {
    let quota = Quota {
        items_per_second: args.items_per_second,
        burst_items: args.items_per_second.saturating_mul(2),
    };
    let bar = progress::bar(4, "measurements");
    let without = measure(&folder.join("without"), None, args.seconds).await?;
    bar.inc(2);
    let within = measure(&folder.join("within"), Some(quota), args.seconds).await?;
    bar.finish_and_clear();
    Ok([without, within])
}

async fn measure(folder: &Path, quota: Option<Quota>, seconds: f64) -> anyhow::Result<Noticed> {
    let layout = Layout::at(folder);
    let rules = Rules {
        quota,
        ..Rules::default()
    };
    cluster::found(&layout, rules)?;
    let mut validators = cluster::start(&layout).await?;
    let (flooder, others) = validators.split_last_mut().context("no validator")?;
    latency(others, WARM_UP_SECONDS).await?;
    let idle = latency(others, seconds).await?;
    flooder.tell(Task::Flood(seconds)).await?;
    let flooded = latency(others, seconds).await?;
    let flood: Flooded = flooder.answer().await?;
    for validator in validators {
        validator.stop().await?;
    }
    Ok(Noticed {
        quota_items_per_second: quota.map(|quota| quota.items_per_second),
        idle,
        flooded,
        items_taken_per_s: float(flood.items) / seconds,
        statements_refused_per_s: float(flood.refused) / seconds,
    })
}

/// What the members notice who write now and then for that long.
async fn latency(members: &mut [Validator], seconds: f64) -> anyhow::Result<Latency> {
    let statements = (1..u32::MAX).find(|count| f64::from(*count) / PER_SECOND >= seconds);
    let load = Load {
        statements: statements.unwrap_or(1),
        items_per_statement: 1,
        window: usize::MAX,
        per_second: Some(PER_SECOND),
    };
    for member in members.iter_mut() {
        member.tell(Task::Submit(load)).await?;
    }
    let mut latencies_ms = Vec::new();
    for member in members {
        let submitted: Submitted = member.answer().await?;
        latencies_ms.extend(submitted.latencies_ms);
    }
    latencies_ms.sort_unstable_by(f64::total_cmp);
    Ok(Latency {
        p50_ms: quantile(&latencies_ms, 50),
        p95_ms: quantile(&latencies_ms, 95),
        p99_ms: quantile(&latencies_ms, 99),
    })
}

fn print(noticed: &[Noticed], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(noticed)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} members submit {PER_SECOND} statements a second each; p50 / p95 / p99 in ms until their blocks are applied",
        MEMBERS.len() - 1
    )?;
    for one in noticed {
        let quota = one.quota_items_per_second;
        let quota = quota.map_or("no quota".to_owned(), |rate| format!("{rate} items/s each"));
        let (idle, flooded) = (one.idle, one.flooded);
        writeln!(
            out,
            "{quota:<18} idle {:>4.0} / {:>4.0} / {:>4.0}   flooded {:>5.0} / {:>5.0} / {:>5.0}   p99 {:>5.1} times idle   \
             flood: {:.0} items/s taken, {:.0} statements/s refused",
            idle.p50_ms,
            idle.p95_ms,
            idle.p99_ms,
            flooded.p50_ms,
            flooded.p95_ms,
            flooded.p99_ms,
            flooded.p99_ms / idle.p99_ms,
            one.items_taken_per_s,
            one.statements_refused_per_s,
        )?;
    }
    Ok(())
}
