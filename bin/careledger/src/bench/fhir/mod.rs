//! `bench fhir`: how fast one member's FHIR API writes, reads and searches, and how that changes as it fills, beside a
//! bare HTTP handler and what the disk and the processor allow on the same machine.

mod people;
mod scale;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use vault::seal::{open, seal};
use vault::secret::DataKey;

use self::scale::{Filled, Site};
use super::figures::mebibytes;
use super::limits;
use super::net::{FOUR, Net, appended, unbounded};
use super::timed::{Load, Timed};
use crate::client;

const MEMBER: &str = "clinic";
const PORT_BASE: u16 = 9_401;
const MILLION: usize = 1_000_000;

/// How much is measured.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  careledger bench fhir --json\n  \
    careledger bench fhir --resources 1000 --requests 2000\n  \
    careledger bench fhir --million --dir /var/tmp/bench")]
pub(crate) struct FhirArgs {
    /// How many resources there are when requests are measured; the store is filled up to each in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000])]
    resources: Vec<usize>,
    /// Measures at a million resources too.
    #[arg(long)]
    million: bool,
    /// Requests of each kind; a tenth of them for those that answer with many resources.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    /// The folder to found the network in, which stays; otherwise one in the system's folder for such, which goes.
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
    /// A file with the table `[records]` for the member that is measured.
    #[arg(long, value_name = "FILE")]
    records: Option<std::path::PathBuf>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    at_once: usize,
    limits: Limits,
    filled: Vec<Filled>,
}

/// What the machine does at best, in the same run.
#[derive(Debug, Serialize)]
struct Limits {
    bare_handler_per_s: f64,
    bare_handler_p99_ms: f64,
    fdatasync_ms: f64,
    /// Derivations of a key (HKDF with HMAC-SHA256), sealings and openings of an observation (AEAD), one core.
    seal_and_open_per_s: f64,
    cores: usize,
}

pub(super) async fn run(args: FhirArgs) -> anyhow::Result<()> {
    let temporary = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    let folder = args.dir.as_ref().unwrap_or(&temporary);
    let report = measure(&args, folder).await;
    if args.dir.is_none() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    print(&report?, args.json)
}

async fn measure(args: &FhirArgs, folder: &Path) -> anyhow::Result<Report> {
    let load = Load {
        requests: args.requests,
        at_once: args.at_once,
    };
    let limits = Limits::measure(folder, load).await?;
    let net = Net::start(folder, &FOUR, PORT_BASE, |layout| {
        unbounded(layout, MEMBER)?;
        let Some(records) = &args.records else {
            return Ok(());
        };
        let table = std::fs::read_to_string(records)
            .with_context(|| format!("{} cannot be read", records.display()))?;
        appended(layout, MEMBER, &format!("\n{table}"))
    });
    let net = net.await?;
    let mut site = Site {
        client: Arc::new(net.clinician(MEMBER)?),
        records: net.layout.member(MEMBER).data().join("records"),
        net,
        load,
        patients: 0,
        bare_per_s: limits.bare_handler_per_s,
    };
    let mut sizes = args.resources.clone();
    sizes.extend(args.million.then_some(MILLION));
    sizes.sort_unstable();
    let mut filled = Vec::new();
    for resources in sizes {
        filled.push(site.measure_at(resources).await?);
    }
    site.net.processes.stop().await?;
    Ok(Report {
        at_once: args.at_once,
        limits,
        filled,
    })
}

impl Limits {
    async fn measure(folder: &Path, load: Load) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let body = people::observation(0, 0).to_string().into_bytes();
        let (erase, plain) = (vault::secret::EraseKey::generate(), body.clone());
        let sealed = move || {
            let key: DataKey = erase.data_key();
            let sealed = seal(&key, b"bench", &plain);
            open(&key, b"bench", &sealed).is_ok()
        };
        let bare = bare(load, body).await?;
        Ok(Self {
            bare_handler_per_s: bare.rate(),
            bare_handler_p99_ms: Timed::run("bare handler", Ok(bare), 1.0).p99_ms,
            fdatasync_ms: limits::fdatasync(folder)?,
            seal_and_open_per_s: limits::rate(sealed),
            cores: std::thread::available_parallelism()?.get(),
        })
    }
}

/// A server that does nothing but answer with a body of the same size.
pub(super) async fn bare(load: Load, body: Vec<u8>) -> anyhow::Result<Timed> {
    let http = client::http()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let router = Router::new().route("/", get(move || async move { body }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let outcome = load.measure(|_| {
        let request = http.get(&url).send();
        async move {
            request.await?.bytes().await?;
            Ok(())
        }
    });
    let outcome = outcome.await;
    server.abort();
    outcome
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
        "{} at once, one client process, four nodes on this machine of {} cores\n\
        bare handler {:.0}/s, p99 {:.2} ms; fdatasync {:.2} ms; an observation sealed and opened {:.0}/s on a core",
        report.at_once,
        limits.cores,
        limits.bare_handler_per_s,
        limits.bare_handler_p99_ms,
        limits.fdatasync_ms,
        limits.seal_and_open_per_s,
    )?;
    for filled in &report.filled {
        writeln!(
            out,
            "\n{} resources: written in transactions at {:.0} resources/s; {:.0} MB in memory, {:.0} MB of records",
            filled.resources,
            filled.resources_per_s,
            filled.memory_bytes.map_or(0.0, mebibytes),
            mebibytes(filled.records_bytes),
        )?;
        for run in &filled.runs {
            writeln!(out, "{run}")?;
        }
    }
    Ok(())
}
