//! `bench release`: how long it takes until a record is open whose custodian does not answer, with a committee's shares,
//! beside the time until an entry is final and an ordinary opening in the same run.

mod shares;
mod site;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::shares::Costs;
use self::site::Site;
use super::figures::quantile;
use super::limits::Limits;

/// Finality times that a release may take.
const AIM: f64 = 2.0;

/// How much is measured.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  careledger bench release --json\n  \
    careledger bench release --patients 10 --records 10")]
pub(crate) struct ReleaseArgs {
    /// Patients at the custodian.
    #[arg(long, default_value_t = 20)]
    patients: usize,
    /// Records of each, all of which are opened one after the other.
    #[arg(long, default_value_t = 10)]
    records: usize,
    /// The folder to found the network in, which stays; otherwise one in the system's folder for such, which goes.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    limits: Limits,
    costs: Costs,
    /// While all members answer, and while the custodian does not.
    all: Stage,
    one_down: Stage,
    /// Finality times that a release takes at p50 and at p99; the aim is two at most.
    release_of_finality_p50: f64,
    release_of_finality_p99: f64,
    is_met: bool,
}

/// What one client measures, one request after the other.
#[derive(Debug, Serialize)]
struct Stage {
    /// From a write's answer until its entry is final at the member that wrote it.
    finality: Times,
    /// Opening a record of the custodian, which answers or not.
    open: Times,
}

#[derive(Debug, Serialize)]
struct Times {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self {
            count: times.len(),
            p50_ms: quantile(&times, 50),
            p99_ms: quantile(&times, 99),
        }
    }
}

pub(super) async fn run(args: ReleaseArgs) -> anyhow::Result<()> {
    let temporary = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    let folder = args.dir.as_ref().unwrap_or(&temporary);
    let report = measure(&args, folder).await;
    if args.dir.is_none() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    print(&report?, args.json)
}

async fn measure(args: &ReleaseArgs, folder: &std::path::Path) -> anyhow::Result<Report> {
    let costs = Costs::measure()?;
    let mut site = Site::found(folder, args.patients).await?;
    let limits = Limits::measure(folder)?;
    site.form_committee().await?;
    let records = site.write(args.records).await?;
    let all = Stage {
        finality: Times::of(site.finality(records.len()).await?),
        open: Times::of(site.open_all(&records).await?),
    };
    site.lose_custodian(&records).await?;
    let one_down = Stage {
        finality: Times::of(site.finality(records.len()).await?),
        open: Times::of(site.open_all(&records).await?),
    };
    site.stop().await?;
    let p50 = one_down.open.p50_ms / one_down.finality.p50_ms;
    let p99 = one_down.open.p99_ms / one_down.finality.p99_ms;
    Ok(Report {
        limits,
        costs,
        all,
        one_down,
        release_of_finality_p50: p50,
        release_of_finality_p99: p99,
        is_met: p50 <= AIM && p99 <= AIM,
    })
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    let (limits, costs) = (&report.limits, &report.costs);
    writeln!(
        out,
        "five nodes on this machine of {} cores; one core verifies {:.0} Ed25519 signatures/s; fdatasync {:.2} ms\n\
        one core, 3 of 5: seal {:.2} ms, give a share {:.2} ms, check one {:.2} ms, open with three {:.2} ms\n",
        limits.cores,
        limits.ed25519_verify_per_s,
        limits.fdatasync_ms,
        costs.seal_ms,
        costs.give_ms,
        costs.check_ms,
        costs.open_ms,
    )?;
    for (name, times) in [
        ("final, all five up", &report.all.finality),
        ("opened by the custodian", &report.all.open),
        ("final, the custodian down", &report.one_down.finality),
        ("released by the committee", &report.one_down.open),
    ] {
        writeln!(
            out,
            "{name:<28}{:>6} times   p50 {:>8.1} ms   p99 {:>8.1} ms",
            times.count, times.p50_ms, times.p99_ms
        )?;
    }
    let verdict = if report.is_met { "met" } else { "missed" };
    writeln!(
        out,
        "\na release takes {:.2} finality times at p50 and {:.2} at p99; at most {AIM}: {verdict}",
        report.release_of_finality_p50, report.release_of_finality_p99
    )?;
    Ok(())
}
