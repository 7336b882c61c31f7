//! `bench ledger`: how fast statements become final on four validators of this machine, how that changes as the ledger
//! grows, and what it costs.

mod cluster;
mod flood;
mod proofs;
mod report;
mod task;
mod validator;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use ledger::genesis::Rules;

use super::figures::{float, mebibytes, quantile};
use super::limits::Limits;
use crate::network::Layout;
use crate::node::How;
use crate::progress;
use cluster::{MEMBERS, Validator};
use report::{CatchUp, Report, Run, Stage};
use task::{Load, Proven, Reached, Submitted, Task};

pub(super) use flood::{FloodArgs, run as run_flood};
pub(super) use validator::{ValidatorArgs, run as run_validator};

/// Items of the statements that fill the ledger.
const ITEMS_PER_STATEMENT: u16 = 256;
/// Items after which growth is measured for the first time; then each time there are as many as this times more.
const FIRST_STAGE: u64 = 16_384;
const STAGE_FACTOR: u64 = 4;

/// Statements of each member that are under way at once at full load: of one item, of 16, of 256.
const WINDOWS: [usize; 3] = [2_000, 500, 32];

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// Where the validators keep their data; a temporary folder that is removed, if none is named.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Statements of one item, and a sixteenth as many of 16 items.
    #[arg(long, default_value_t = 40_000)]
    statements: u32,
    /// Items that the ledger has at the end.
    #[arg(long, default_value_t = 262_144)]
    items: u64,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: LedgerArgs) -> anyhow::Result<()> {
    let temporary = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    let folder = args.dir.clone().unwrap_or_else(|| temporary.clone());
    let report = measure(&args, &folder).await;
    if args.dir.is_none() {
        fs::remove_dir_all(&temporary)
            .with_context(|| format!("{} cannot be removed", temporary.display()))?;
    }
    report?.print(args.json)
}

/// Four validators, and what has been put on their ledger.
struct Bench {
    layout: Layout,
    limits: Limits,
    validators: Vec<Validator>,
    bar: ProgressBar,
    items: u64,
    height: u64,
    /// In which the ledger was under full load.
    busy_seconds: f64,
}

async fn measure(args: &LedgerArgs, folder: &Path) -> anyhow::Result<Report> {
    let mut bench = Bench::start(folder, args).await?;
    let each = args.statements / u32::try_from(MEMBERS.len())?;
    // Until the validators have found each other.
    bench.paced("start", (8, 1), 1, 4.0).await?;
    // One member that writes now and then.
    let idle = bench.paced("idle", (20, 1), 1, 5.0).await?;
    let full = bench.full("full load", each, 1, WINDOWS[0]).await?;
    let half = full.statements_per_s / 2.0 / float(MEMBERS.len().try_into()?);
    let half = bench
        .paced("half load", (each / 2, 1), MEMBERS.len(), half)
        .await?;
    let sixteen = bench
        .full("16 items a statement", each / 16, 16, WINDOWS[1])
        .await?;
    let mut growth = Vec::new();
    let mut target = FIRST_STAGE;
    let first = bench.items;
    while bench.items < args.items.max(first + FIRST_STAGE) {
        let until = (first + target).min(args.items.max(first + FIRST_STAGE));
        growth.push(bench.stage(until).await?);
        target *= STAGE_FACTOR;
    }
    // At the end, for who has lost its votes is silent until the next epoch.
    let catch_ups = vec![
        bench.catch_up(How::Replay).await?,
        bench.catch_up(How::Snapshot).await?,
    ];
    bench
        .finish(vec![idle, full, half, sixteen], growth, catch_ups)
        .await
}

impl Bench {
    async fn start(folder: &Path, args: &LedgerArgs) -> anyhow::Result<Self> {
        let layout = Layout::at(folder);
        cluster::found(&layout, Rules::default())?;
        let limits = Limits::measure(folder)?;
        let validators = cluster::start(&layout).await?;
        let items = u64::from(args.statements) * 5 / 2 + args.items;
        Ok(Self {
            layout,
            limits,
            validators,
            bar: progress::bar(usize::try_from(items)?, "items"),
            items: 0,
            height: 0,
            busy_seconds: 0.0,
        })
    }

    async fn full(
        &mut self,
        name: &str,
        statements: u32,
        items_per_statement: u16,
        window: usize,
    ) -> anyhow::Result<Run> {
        let load = Load {
            statements: statements.max(1),
            items_per_statement,
            window,
            per_second: None,
        };
        let run = self.together(name, load, MEMBERS.len()).await?;
        self.busy_seconds += run.seconds;
        Ok(run)
    }

    /// The first `loaded` validators submit `per_second` each.
    async fn paced(
        &mut self,
        name: &str,
        (statements, items_per_statement): (u32, u16),
        loaded: usize,
        per_second: f64,
    ) -> anyhow::Result<Run> {
        let load = Load {
            statements: statements.max(1),
            items_per_statement,
            window: usize::MAX,
            per_second: Some(per_second),
        };
        self.together(name, load, loaded).await
    }

    fn cpu_seconds(&self) -> f64 {
        let each = self.validators.iter().filter_map(Validator::cpu_seconds);
        each.sum()
    }

    async fn together(&mut self, name: &str, load: Load, loaded: usize) -> anyhow::Result<Run> {
        let cpu_before = self.cpu_seconds();
        for validator in self.validators.iter_mut().take(loaded) {
            validator.tell(Task::Submit(load)).await?;
        }
        let mut outcomes: Vec<Submitted> = Vec::new();
        for validator in self.validators.iter_mut().take(loaded) {
            outcomes.push(validator.answer().await?);
        }
        let cpu_seconds = self.cpu_seconds() - cpu_before;
        let seconds = outcomes.iter().map(|one| one.seconds).fold(0.0, f64::max);
        let latencies = outcomes.iter().flat_map(|one| &one.latencies_ms);
        let mut latencies: Vec<f64> = latencies.copied().collect();
        latencies.sort_unstable_by(f64::total_cmp);
        let statements = u64::from(load.statements) * u64::try_from(loaded)?;
        let items = statements * u64::from(load.items_per_statement);
        let highest = outcomes.iter().map(|one| one.height).max();
        let height = highest.unwrap_or_default();
        let disk = outcomes.iter().map(|one| one.disk_bytes).max();
        let bytes: u64 = outcomes.iter().map(|one| one.bytes).sum();
        let run = Run {
            name: name.to_owned(),
            items_per_statement: load.items_per_statement,
            statements,
            seconds,
            statements_per_s: float(statements) / seconds,
            items_per_s: float(items) / seconds,
            mb_per_s: float(bytes) / 1e6 / seconds,
            of_one_core_ed25519: float(statements) / seconds / self.limits.ed25519_verify_per_s,
            p50_ms: quantile(&latencies, 50),
            p95_ms: quantile(&latencies, 95),
            p99_ms: quantile(&latencies, 99),
            blocks: height.saturating_sub(self.height),
            cores_used: cpu_seconds / seconds,
            cpu_us_per_item: cpu_seconds * 1e6 / float(items),
            disk_bytes: disk.unwrap_or_default(),
        };
        self.items += items;
        self.height = height;
        self.bar.inc(items);
        Ok(run)
    }

    /// Fills the ledger until it has `until` items.
    async fn stage(&mut self, until: u64) -> anyhow::Result<Stage> {
        let items = until.saturating_sub(self.items);
        let at_once = u64::from(ITEMS_PER_STATEMENT) * u64::try_from(MEMBERS.len())?;
        let statements = u32::try_from(items.div_ceil(at_once))?;
        let run = self
            .full("growth", statements, ITEMS_PER_STATEMENT, WINDOWS[2])
            .await?;
        let memory = self.validators.iter().filter_map(Validator::memory_bytes);
        let memory = memory.max().unwrap_or_default();
        let proven: Proven = self.first().ask(Task::Prove).await?;
        Ok(Stage {
            items: self.items,
            items_per_s: run.items_per_s,
            mb_per_s: run.mb_per_s,
            cores_used: run.cores_used,
            cpu_us_per_item: run.cpu_us_per_item,
            of_one_core_sha256: run.mb_per_s / self.limits.sha256_mb_per_s,
            p50_ms: run.p50_ms,
            p99_ms: run.p99_ms,
            memory_mib: mebibytes(memory),
            disk_bytes_per_item: float(run.disk_bytes) / float(self.items),
            receipt: proven,
        })
    }

    /// A validator that has lost everything gets the chain from the others.
    async fn catch_up(&mut self, how: How) -> anyhow::Result<CatchUp> {
        let last = self.validators.pop().context("no validator")?;
        last.stop().await?;
        let member = MEMBERS.last().context("no member")?;
        let data = self.layout.member(member).data();
        fs::remove_dir_all(&data)?;
        fs::create_dir_all(&data)?;
        let start = Instant::now();
        let mut back = Validator::start(&self.layout, member, how)?;
        back.ready().await?;
        let reached: Reached = back.ask(Task::Reach(self.height)).await?;
        let seconds = start.elapsed().as_secs_f64();
        let memory = back.memory_bytes_max().unwrap_or_default();
        self.validators.push(back);
        let items_per_s = float(self.items) / seconds;
        Ok(CatchUp {
            how,
            memory_mib: mebibytes(memory),
            blocks: reached.height,
            items: self.items,
            seconds,
            items_per_s,
            of_original_rate: items_per_s / (float(self.items) / self.busy_seconds),
        })
    }

    fn first(&mut self) -> &mut Validator {
        // INVARIANT: there are four.
        &mut self.validators[0]
    }

    async fn finish(
        self,
        loads: Vec<Run>,
        growth: Vec<Stage>,
        catch_ups: Vec<CatchUp>,
    ) -> anyhow::Result<Report> {
        self.bar.finish_and_clear();
        for validator in self.validators {
            validator.stop().await?;
        }
        Ok(Report::new(self.limits, loads, growth, catch_ups))
    }
}
