//! `bench anchor`: how fast statements become final, and what that costs.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use clap::Args;
use ledger::genesis::Rules;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::limits::Limits;
use super::load::{Load, Outcome};
use crate::demo::free_ports;
use crate::network::{Founding, KeyType, Layout, found};
use crate::progress;

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct AnchorArgs {
    /// Where the validators keep their data; a temporary folder that is removed, if none is named.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Statements of one item, and of 16 items, in all.
    #[arg(long, default_value_t = 20_000)]
    statements: u32,
    /// Items in statements of 256, in all.
    #[arg(long, default_value_t = 200_000)]
    items: u32,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// One validator's process.
struct Validator {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// One kind of load on all four validators.
#[derive(Debug, Serialize)]
struct Run {
    name: String,
    items_per_statement: u16,
    statements: u32,
    seconds: f64,
    statements_per_s: f64,
    items_per_s: f64,
    /// Statements a second over what one core verifies.
    of_one_core_ed25519: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    blocks: u64,
    /// Of the largest node, afterwards.
    memory_mib: f64,
    /// Of the largest node, afterwards.
    disk_mib: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    limits: Limits,
    validators: usize,
    runs: Vec<Run>,
    items: u64,
    disk_bytes_per_item: f64,
}

pub(super) async fn run(args: AnchorArgs) -> anyhow::Result<()> {
    let temporary = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    let folder = args.dir.clone().unwrap_or_else(|| temporary.clone());
    let report = measure(&args, &folder).await;
    if args.dir.is_none() {
        fs::remove_dir_all(&temporary)
            .with_context(|| format!("{} cannot be removed", temporary.display()))?;
    }
    print(&report?, args.json)
}

async fn measure(args: &AnchorArgs, folder: &std::path::Path) -> anyhow::Result<Report> {
    let layout = Layout::at(folder);
    let count = u16::try_from(MEMBERS.len())?;
    found(
        &layout,
        &Founding {
            key_type: KeyType::default(),
            name: "bench".to_owned(),
            members: MEMBERS
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()?,
            port_base: free_ports(9_101, count)?,
            rules: Rules::default(),
        },
    )?;
    let limits = Limits::measure(folder)?;
    let mut validators = Vec::new();
    for member in MEMBERS {
        validators.push(Validator::start(&layout, member)?);
    }
    for validator in &mut validators {
        validator.line().await?;
    }
    let each = u32::from(count);
    let loads = [
        ("idle", 20, 1, 1, 200),
        ("1 item a statement", args.statements / each, 1, 2_000, 0),
        ("16 items a statement", args.statements / each, 16, 500, 0),
        ("256 items a statement", args.items / 256 / each, 256, 64, 0),
    ];
    let mut runs = Vec::new();
    let (mut items, mut height) = (0, 0);
    let bar = progress::bar(loads.len(), "loads");
    for (name, statements, items_per_statement, window, pause_ms) in loads {
        let load = Load {
            statements,
            items_per_statement,
            window,
            pause_ms,
        };
        let (run, tip) = together(&mut validators, name, load, &limits, height).await?;
        items += u64::from(run.statements) * u64::from(items_per_statement);
        height = tip;
        runs.push(run);
        bar.inc(1);
    }
    bar.finish_and_clear();
    for validator in validators {
        validator.stop().await?;
    }
    let disk_mib = runs.last().map_or(0.0, |run| run.disk_mib);
    Ok(Report {
        limits,
        validators: MEMBERS.len(),
        runs,
        disk_bytes_per_item: disk_mib * 1_048_576.0 / float(items),
        items,
    })
}

async fn together(
    validators: &mut [Validator],
    name: &str,
    load: Load,
    limits: &Limits,
    height_before: u64,
) -> anyhow::Result<(Run, u64)> {
    let line = format!("{}\n", serde_json::to_string(&load)?);
    let busy = load.pause_ms == 0;
    // Idle latency is that of a network on which one member writes now and then.
    let loaded = if busy { validators.len() } else { 1 };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for validator in validators.iter_mut().take(loaded) {
        validator.input.write_all(line.as_bytes()).await?;
    }
    for validator in validators.iter_mut().take(loaded) {
        outcomes.push(serde_json::from_str(&validator.line().await?)?);
    }
    let seconds = outcomes.iter().map(|one| one.seconds).fold(0.0, f64::max);
    let mut latencies: Vec<f64> = outcomes
        .iter()
        .flat_map(|one| one.latencies_ms.iter().copied())
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let statements = load.statements * u32::try_from(loaded)?;
    let height = outcomes
        .iter()
        .map(|one| one.height)
        .max()
        .unwrap_or_default();
    let disk = outcomes
        .iter()
        .map(|one| one.disk_bytes)
        .max()
        .unwrap_or_default();
    let memory = validators.iter().filter_map(Validator::memory_kib).max();
    let rate = f64::from(statements) / seconds;
    let run = Run {
        name: name.to_owned(),
        items_per_statement: load.items_per_statement,
        statements,
        seconds,
        statements_per_s: rate,
        items_per_s: rate * f64::from(load.items_per_statement),
        of_one_core_ed25519: rate / limits.ed25519_verify_per_s,
        latency_p50_ms: quantile(&latencies, 50),
        latency_p99_ms: quantile(&latencies, 99),
        blocks: height.saturating_sub(height_before),
        memory_mib: float(memory.unwrap_or_default()) / 1_024.0,
        disk_mib: float(disk) / 1_048_576.0,
    };
    Ok((run, height))
}

impl Validator {
    fn start(layout: &Layout, member: &str) -> anyhow::Result<Self> {
        let of_member = layout.member(member);
        let log = fs::File::create(of_member.log())?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "validator", "--config"])
            .arg(of_member.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("the validator has no input")?;
        let output = child.stdout.take().context("the validator has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next_line().await?;
        line.context("a validator ended: see its node.log in the folder named with --dir")
    }

    /// Resident memory, from the kernel; `None` where there is no `/proc`.
    fn memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input);
        self.child.wait().await?;
        Ok(())
    }
}

pub(super) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(count: u64) -> f64 {
    count as f64
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    let limits = &report.limits;
    writeln!(
        out,
        "This machine: {} cores; one core verifies {:.0} Ed25519 signatures/s and hashes {:.0} MB/s; \
         fdatasync {:.2} ms",
        limits.cores, limits.ed25519_verify_per_s, limits.sha256_mb_per_s, limits.fdatasync_ms
    )?;
    writeln!(
        out,
        "{:<22} {:>12} {:>10} {:>12} {:>9} {:>9} {:>7} {:>8} {:>8}",
        "load",
        "statements/s",
        "items/s",
        "of Ed25519",
        "p50 ms",
        "p99 ms",
        "blocks",
        "MiB",
        "disk MiB"
    )?;
    for run in &report.runs {
        writeln!(
            out,
            "{:<22} {:>12.0} {:>10.0} {:>12.3} {:>9.1} {:>9.1} {:>7} {:>8.0} {:>8.0}",
            run.name,
            run.statements_per_s,
            run.items_per_s,
            run.of_one_core_ed25519,
            run.latency_p50_ms,
            run.latency_p99_ms,
            run.blocks,
            run.memory_mib,
            run.disk_mib
        )?;
    }
    writeln!(
        out,
        "{} items in all; {:.0} bytes on disk an item and node",
        report.items, report.disk_bytes_per_item
    )?;
    Ok(())
}
