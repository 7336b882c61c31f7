//! What was measured, in the order of the aims.

use std::io::{StdoutLock, Write as _};

use serde::Serialize;

use super::task::Proven;
use crate::bench::limits::Limits;
use crate::node::How;

/// One kind of load.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) items_per_statement: u16,
    pub(super) statements: u64,
    pub(super) seconds: f64,
    pub(super) statements_per_s: f64,
    pub(super) items_per_s: f64,
    /// Of statements, items included.
    pub(super) mb_per_s: f64,
    /// Statements a second over what one core verifies.
    pub(super) of_one_core_ed25519: f64,
    /// From submission to the block's being applied.
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) blocks: u64,
    /// By all validators together, the load that they make included.
    pub(super) cores_used: f64,
    /// Processor time of all validators together.
    pub(super) cpu_us_per_item: f64,
    pub(super) disk_bytes: u64,
}

/// The ledger at a size, under full load with 256 items a statement until there.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) items: u64,
    pub(super) items_per_s: f64,
    pub(super) mb_per_s: f64,
    pub(super) cores_used: f64,
    /// Processor time of all validators together.
    pub(super) cpu_us_per_item: f64,
    /// Megabytes a second over what one core hashes.
    pub(super) of_one_core_sha256: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Of the largest node.
    pub(super) memory_mib: f64,
    /// Of the largest node's ledger.
    pub(super) disk_bytes_per_item: f64,
    pub(super) receipt: Proven,
}

/// A node that starts from nothing.
#[derive(Debug, Serialize)]
pub(super) struct CatchUp {
    pub(super) how: How,
    pub(super) blocks: u64,
    pub(super) items: u64,
    /// From its start until it has applied what the others have.
    pub(super) seconds: f64,
    pub(super) items_per_s: f64,
    /// The most that it took until then.
    pub(super) memory_mib: f64,
    /// Over the rate at which the items were recorded under full load.
    pub(super) of_original_rate: f64,
}

#[derive(Debug, Serialize)]
struct Aim {
    what: &'static str,
    aim: &'static str,
    measured: f64,
    is_met: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    limits: Limits,
    aims: Vec<Aim>,
    loads: Vec<Run>,
    growth: Vec<Stage>,
    catch_ups: Vec<CatchUp>,
}

impl Aim {
    fn at_least(what: &'static str, aim: &'static str, bound: f64, measured: f64) -> Self {
        Self {
            what,
            aim,
            measured,
            is_met: measured >= bound,
        }
    }

    fn at_most(what: &'static str, aim: &'static str, bound: f64, measured: f64) -> Self {
        Self {
            what,
            aim,
            measured,
            is_met: measured <= bound,
        }
    }
}

impl Report {
    pub(super) fn new(
        limits: Limits,
        loads: Vec<Run>,
        growth: Vec<Stage>,
        catch_ups: Vec<CatchUp>,
    ) -> Self {
        Self {
            aims: aims(&loads, &growth, &catch_ups),
            limits,
            loads,
            growth,
            catch_ups,
        }
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        let limits = &self.limits;
        writeln!(
            out,
            "This machine: {} cores; one core verifies {:.0} Ed25519 signatures/s and hashes {:.0} MB/s; \
             fdatasync {:.2} ms; loopback {:.0} MB/s\n",
            limits.cores,
            limits.ed25519_verify_per_s,
            limits.sha256_mb_per_s,
            limits.fdatasync_ms,
            limits.loopback_mb_per_s
        )?;
        self.print_aims(&mut out)?;
        self.print_loads(&mut out)?;
        self.print_growth(&mut out)?;
        for one in &self.catch_ups {
            writeln!(
                out,
                "A node from nothing, by {}: {} items in {} blocks within {:.1} s, {:.0} items/s, {:.1} times the rate \
                 at which they were recorded; up to {:.0} MiB",
                one.how.name(),
                one.items,
                one.blocks,
                one.seconds,
                one.items_per_s,
                one.of_original_rate,
                one.memory_mib
            )?;
        }
        Ok(())
    }

    fn print_aims(&self, out: &mut StdoutLock<'_>) -> anyhow::Result<()> {
        writeln!(out, "{:<52} {:>12} {:>12}", "", "aim", "measured")?;
        for aim in &self.aims {
            let verdict = if aim.is_met { "met" } else { "missed" };
            writeln!(
                out,
                "{:<52} {:>12} {:>12.2} {verdict}",
                aim.what, aim.aim, aim.measured
            )?;
        }
        Ok(writeln!(out)?)
    }

    fn print_loads(&self, out: &mut StdoutLock<'_>) -> anyhow::Result<()> {
        writeln!(
            out,
            "{:<21} {:>12} {:>8} {:>6} {:>10} {:>8} {:>8} {:>8} {:>7} {:>6} {:>6} {:>8}",
            "load",
            "statements/s",
            "items/s",
            "MB/s",
            "of Ed25519",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "blocks",
            "s",
            "cores",
            "µs/item"
        )?;
        for run in &self.loads {
            writeln!(
                out,
                "{:<21} {:>12.0} {:>8.0} {:>6.2} {:>10.3} {:>8.1} {:>8.1} {:>8.1} {:>7} {:>6.1} {:>6.2} {:>8.0}",
                run.name,
                run.statements_per_s,
                run.items_per_s,
                run.mb_per_s,
                run.of_one_core_ed25519,
                run.p50_ms,
                run.p95_ms,
                run.p99_ms,
                run.blocks,
                run.seconds,
                run.cores_used,
                run.cpu_us_per_item
            )?;
        }
        Ok(writeln!(out)?)
    }

    fn print_growth(&self, out: &mut StdoutLock<'_>) -> anyhow::Result<()> {
        writeln!(
            out,
            "{:>10} {:>8} {:>6} {:>6} {:>8} {:>9} {:>8} {:>8} {:>8} {:>11} {:>9} {:>7} {:>10} {:>9}",
            "items",
            "items/s",
            "MB/s",
            "cores",
            "µs/item",
            "of SHA256",
            "p50 ms",
            "p99 ms",
            "MiB",
            "disk B/item",
            "log size",
            "receipt",
            "made/s",
            "checked/s"
        )?;
        for stage in &self.growth {
            let Proven {
                made_per_s,
                verified_per_s,
                bytes,
                log_size,
            } = stage.receipt;
            writeln!(
                out,
                "{:>10} {:>8.0} {:>6.2} {:>6.2} {:>8.0} {:>9.4} {:>8.0} {:>8.0} {:>8.0} {:>11.0} {log_size:>9} {bytes:>7.0} \
                 {made_per_s:>10.0} {verified_per_s:>9.0}",
                stage.items,
                stage.items_per_s,
                stage.mb_per_s,
                stage.cores_used,
                stage.cpu_us_per_item,
                stage.of_one_core_sha256,
                stage.p50_ms,
                stage.p99_ms,
                stage.memory_mib,
                stage.disk_bytes_per_item,
            )?;
        }
        Ok(writeln!(out)?)
    }
}

fn aims(loads: &[Run], growth: &[Stage], catch_ups: &[CatchUp]) -> Vec<Aim> {
    let of = |name: &str, figure: fn(&Run) -> f64| {
        let run = loads.iter().find(|run| run.name == name);
        run.map_or(f64::NAN, figure)
    };
    let fastest = growth.iter().map(|one| one.items_per_s);
    let (first, last) = (growth.first(), growth.last());
    let ratio = |figure: fn(&Stage) -> f64| match (first, last) {
        (Some(first), Some(last)) => figure(last) / figure(first),
        _ => f64::NAN,
    };
    let replay = catch_ups.iter().rfind(|one| one.how == How::Replay);
    let verified = last.map_or(f64::NAN, |one| one.receipt.verified_per_s);
    vec![
        Aim::at_least(
            "statements/s, one item each",
            ">= 8,000",
            8_000.0,
            of("full load", |run| run.statements_per_s),
        ),
        Aim::at_least(
            "items/s, 256 a statement, best stage",
            ">= 50,000",
            50_000.0,
            fastest.fold(0.0, f64::max),
        ),
        Aim::at_most(
            "commit p50 at half load, ms",
            "<= 100",
            100.0,
            of("half load", |run| run.p50_ms),
        ),
        Aim::at_most(
            "commit p50 idle, ms",
            "<= 50",
            50.0,
            of("idle", |run| run.p50_ms),
        ),
        Aim::at_least(
            "items/s of the last stage over the first",
            ">= 0.8",
            0.8,
            ratio(|one| one.items_per_s),
        ),
        Aim::at_least(
            "catch-up by replay over the original rate",
            ">= 5",
            5.0,
            replay.map_or(f64::NAN, |one| one.of_original_rate),
        ),
        Aim::at_least(
            "receipts verified/s on one core",
            ">= 5,000",
            5_000.0,
            verified,
        ),
        Aim::at_most(
            "memory after the last stage over the first",
            "<= 1.2",
            1.2,
            ratio(|one| one.memory_mib),
        ),
    ]
}
