//! What is measured.

use crate::cluster::{Cluster, Final};
use anyhow::{Context as _, Result};
use std::{
    io::Write as _,
    thread::sleep,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

/// A scenario's name and what runs it.
type Scenario = (&'static str, fn() -> Result<()>);

pub(crate) const ALL: &[Scenario] = &[
    ("idle", idle),
    ("latency", latency),
    ("load", load),
    ("empty", empty),
    ("blocks", blocks),
    ("stop-one", stop_one),
    ("stop-all", stop_all),
    ("alone", alone),
];

/// Nothing to do but empty blocks.
fn idle() -> Result<()> {
    let cluster = Cluster::start(4, SECOND, 4 * MIB)?;
    sleep(3 * SECOND);
    let before = processor(&cluster)?;
    let window = Window::watch(&cluster, 30 * SECOND);
    let used = processor(&cluster)? - before;
    say(&format!(
        "idle, 4 validators, 1 s interval: {}",
        window.summary(&cluster)
    ))?;
    say(&format!(
        "  processor a node: {:.2} % of one core",
        used.as_secs_f64() / 30.0 / 4.0 * 100.0
    ))?;
    resources(&cluster)
}

/// A transaction now and then.
fn latency() -> Result<()> {
    let mut cluster = Cluster::start(4, SECOND, 4 * MIB)?;
    cluster.order_all("rate 0.7 300")?;
    sleep(2 * SECOND);
    let window = Window::watch(&cluster, 60 * SECOND);
    say(&format!(
        "a transaction now and then: {}",
        window.summary(&cluster)
    ))
}

/// Transactions of 300 bytes, more and more.
fn load() -> Result<()> {
    for rate in [100, 500, 1000, 2000, 4000] {
        let mut cluster = Cluster::start(4, SECOND, 4 * MIB)?;
        cluster.order_all(&format!("rate {} 300", rate / 4))?;
        sleep(3 * SECOND);
        let before = processor(&cluster)?;
        let window = Window::watch(&cluster, 15 * SECOND);
        let used = processor(&cluster)? - before;
        say(&format!(
            "{rate} transactions/s offered: {}",
            window.summary(&cluster)
        ))?;
        say(&format!(
            "  processor, all nodes: {:.2} cores",
            used.as_secs_f64() / 15.0
        ))?;
        resources(&cluster)?;
    }
    Ok(())
}

/// Almost empty blocks as fast as they go.
fn empty() -> Result<()> {
    filled(100, "blocks of 100 bytes without pause")
}

/// Full blocks as fast as they go.
fn blocks() -> Result<()> {
    for (bytes, name) in [(MIB / 16, "64 KiB"), (MIB, "1 MiB"), (4 * MIB, "4 MiB")] {
        filled(bytes, &format!("blocks of {name} without pause"))?;
    }
    Ok(())
}

fn filled(bytes: usize, name: &str) -> Result<()> {
    let mut cluster = Cluster::start(4, SECOND, 4 * MIB)?;
    cluster.order_all(&format!("fill {bytes}"))?;
    sleep(3 * SECOND);
    let window = Window::watch(&cluster, 15 * SECOND);
    say(&format!("{name}: {}", window.summary(&cluster)))?;
    resources(&cluster)
}

/// One validator is killed under load, and comes back.
fn stop_one() -> Result<()> {
    let mut cluster = Cluster::start(4, SECOND, 4 * MIB)?;
    cluster.order_all("rate 25 300")?;
    sleep(3 * SECOND);
    let window = Window::watch(&cluster, 10 * SECOND);
    say(&format!(
        "before one of four is killed: {}",
        window.summary(&cluster)
    ))?;
    let killed_at = cluster.height(3);
    cluster.kill(3)?;
    for seconds in [5_u32, 5, 10, 10, 30] {
        let window = Window::watch(&cluster, seconds * SECOND);
        say(&format!(
            "  {seconds} s after: {}",
            window.summary(&cluster)
        ))?;
    }
    let start = Instant::now();
    let height = cluster.height(0);
    cluster.launch(3)?;
    cluster.wait_for(3, height)?;
    let window = Window {
        start,
        length: start.elapsed(),
    };
    let missed = height - killed_at;
    say(&format!(
        "  restarted: {missed} blocks caught up in {:.2?}",
        window.length
    ))?;
    say(&format!("  meanwhile: {}", window.summary(&cluster)))?;
    let window = Window::watch(&cluster, 10 * SECOND);
    say(&format!("  10 s after: {}", window.summary(&cluster)))
}

/// All validators are killed at once, and come back.
fn stop_all() -> Result<()> {
    let mut cluster = Cluster::start(4, SECOND, 4 * MIB)?;
    cluster.order_all("rate 25 300")?;
    sleep(10 * SECOND);
    let height = (0..4)
        .map(|number| cluster.height(number))
        .max()
        .unwrap_or(0);
    (0..4).try_for_each(|number| cluster.kill(number))?;
    let start = Instant::now();
    (0..4).try_for_each(|number| cluster.launch(number))?;
    for number in 0..4 {
        cluster.wait_for(number, height + 1)?;
        say(&format!(
            "all killed at {height} and restarted: validator {number} is further after {:.2?}",
            start.elapsed()
        ))?;
    }
    cluster.order_all("rate 25 300")?;
    let window = Window::watch(&cluster, 10 * SECOND);
    say(&format!("  then: {}", window.summary(&cluster)))
}

/// A network of one.
fn alone() -> Result<()> {
    let mut cluster = Cluster::start(1, SECOND, 4 * MIB)?;
    cluster.order_all("rate 2 300")?;
    let window = Window::watch(&cluster, 20 * SECOND);
    say(&format!(
        "one validator, 2 transactions/s: {}",
        window.summary(&cluster)
    ))?;
    cluster.order_all("rate 1000 300")?;
    sleep(2 * SECOND);
    let window = Window::watch(&cluster, 10 * SECOND);
    say(&format!(
        "one validator, 1000 transactions/s: {}",
        window.summary(&cluster)
    ))
}

/// A stretch of time in which nothing is ordered.
struct Window {
    start: Instant,
    length: Duration,
}

impl Window {
    fn watch(_: &Cluster, length: Duration) -> Self {
        let start = Instant::now();
        sleep(length);
        Self { start, length }
    }

    fn covers(&self, at: Instant) -> bool {
        at >= self.start && at < self.start + self.length
    }

    /// Blocks as the first validator saw them, latencies as all saw them.
    fn summary(&self, cluster: &Cluster) -> String {
        let mut finals = Vec::<Final>::new();
        let mut latencies = Vec::new();
        let mut own = Vec::new();
        for number in 0..cluster.processes.len() {
            let Some(process) = cluster.process(number) else {
                continue;
            };
            let report = process.report();
            let seen = report.finals.iter().filter(|last| self.covers(last.at));
            own.extend(seen.clone().filter_map(|last| last.own));
            if number == 0 {
                finals.extend(seen);
            }
            let seen = report.latencies.iter().filter(|(at, _)| self.covers(*at));
            latencies.extend(seen.map(|(_, latency)| *latency));
        }
        let seconds = self.length.as_secs_f64();
        let transactions: u64 = finals.iter().map(|last| last.transactions).sum();
        let certified = finals.iter().filter(|last| last.certified).count();
        let gap = finals
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .max()
            .unwrap_or_default();
        format!(
            "{:.1} blocks/s, {:.0} transactions/s; longest gap {:.0} ms; {} of {} certified; \
             transaction latency {}; proposal to finality {}",
            finals.len() as f64 / seconds,
            transactions as f64 / seconds,
            gap.as_secs_f64() * 1e3,
            certified,
            finals.len(),
            percentiles(latencies),
            percentiles(own),
        )
    }
}

fn percentiles(mut values: Vec<Duration>) -> String {
    values.sort_unstable();
    let at = |part: f64| {
        let position = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
        values
            .get(position)
            .map_or(0.0, |value| value.as_secs_f64() * 1e3)
    };
    format!(
        "p50 {:.1} p99 {:.1} max {:.1} ms (n={})",
        at(0.5),
        at(0.99),
        at(1.0),
        values.len()
    )
}

fn processor(cluster: &Cluster) -> Result<Duration> {
    cluster
        .processes
        .iter()
        .flatten()
        .map(crate::cluster::Process::processor)
        .sum()
}

fn resources(cluster: &Cluster) -> Result<()> {
    let memory = cluster.process(0).context("it runs")?.memory()?;
    let blocks = cluster.height(0);
    say(&format!(
        "  memory {} MiB; disk {} KiB after {blocks} blocks",
        memory / 1024,
        cluster.disk(0)? / 1024
    ))
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
