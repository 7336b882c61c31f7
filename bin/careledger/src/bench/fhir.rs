//! `bench fhir`: how fast one member's FHIR API writes and reads, beside a bare HTTP handler on the same machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use clap::Args;
use futures::stream::{self, StreamExt as _};
use ledger::genesis::Rules;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::anchor::quantile;
use crate::client::{self, Client, Request, User};
use crate::demo::{Processes, free_ports};
use crate::network::{Founding, KeyType, Layout, Passphrase, found, read_json};
use crate::wallet::{View, WalletFolder, clerk};

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
const MEMBER: &str = "clinic";
const PORT_BASE: u16 = 9_401;

/// How much is measured.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger bench fhir --json")]
pub(crate) struct FhirArgs {
    /// Requests of each kind.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Run {
    name: &'static str,
    requests_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Requests a second over those of the bare handler.
    of_bare_handler: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    at_once: usize,
    requests: usize,
    runs: Vec<Run>,
}

pub(super) async fn run(args: FhirArgs) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    let report = measure(&args, &folder).await;
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("{} cannot be removed", folder.display()))?;
    print(&report?, args.json)
}

async fn measure(args: &FhirArgs, folder: &Path) -> anyhow::Result<Report> {
    let layout = Layout::at(folder);
    let founding = Founding {
        key_type: KeyType::default(),
        name: "bench".to_owned(),
        members: MEMBERS
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
        port_base: free_ports(PORT_BASE, u16::try_from(MEMBERS.len())?)?,
        rules: Rules::default(),
    };
    found(&layout, &founding)?;
    let view = View::read(&layout, client::http()?)?;
    let processes = Processes::start(&layout, &view.network).await?;
    let runs = runs(args, &layout, &view).await;
    processes.stop().await?;
    Ok(Report {
        at_once: args.at_once,
        requests: args.requests,
        runs: runs?,
    })
}

async fn runs(args: &FhirArgs, layout: &Layout, view: &View) -> anyhow::Result<Vec<Run>> {
    let patient = enrolled(layout, view).await?;
    let ehr = Arc::new(clinician(layout, view)?);
    let body = Request::json(&observation(&patient));
    let bare = bare(&view.http, args, body.body.clone()).await?;

    let created = repeat(args, |_| {
        let (ehr, body) = (Arc::clone(&ehr), &body);
        async move {
            let answer = ehr.post("Observation", body).await?.ok()?;
            answer.created_id().context("no Location")
        }
    })
    .await?;
    let ids: Vec<String> = created.values;
    let read = repeat(args, |at| {
        let (ehr, id) = (Arc::clone(&ehr), ids.get(at).cloned());
        async move {
            let id = id.context("nothing was created")?;
            ehr.get(&format!("Observation/{id}")).await?.ok()
        }
    })
    .await?;
    let rate = bare.rate();
    Ok(vec![
        bare.run("bare handler", rate),
        Timed::run(&created.timed, "create", rate),
        Timed::run(&read.timed, "read", rate),
    ])
}

/// A server that does nothing but answer with a body of the same size.
async fn bare(http: &reqwest::Client, args: &FhirArgs, body: Vec<u8>) -> anyhow::Result<Timed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let router = Router::new().route("/", get(move || async move { body }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let outcome = repeat(args, |_| {
        let request = http.get(&url).send();
        async move { Ok(request.await?.bytes().await?) }
    })
    .await?;
    server.abort();
    Ok(outcome.timed)
}

/// How long requests took, one by one and together.
#[derive(Debug, Default)]
struct Timed {
    each_ms: Vec<f64>,
    all: Duration,
}

struct Outcome<T> {
    timed: Timed,
    values: Vec<T>,
}

async fn repeat<T, F>(args: &FhirArgs, request: impl Fn(usize) -> F) -> anyhow::Result<Outcome<T>>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let start = Instant::now();
    let timed = |at| {
        let request = request(at);
        async move {
            let start = Instant::now();
            let value = request.await?;
            anyhow::Ok((start.elapsed().as_secs_f64() * 1_000.0, value))
        }
    };
    let done = stream::iter((0..args.requests).map(timed))
        .buffer_unordered(args.at_once)
        .collect::<Vec<_>>()
        .await;
    let all = start.elapsed();
    let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (mut each_ms, values): (Vec<f64>, Vec<T>) = done.into_iter().unzip();
    each_ms.sort_unstable_by(f64::total_cmp);
    Ok(Outcome {
        timed: Timed { each_ms, all },
        values,
    })
}

impl Timed {
    fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.each_ms.len()).unwrap_or(u32::MAX)) / self.all.as_secs_f64()
    }

    fn run(&self, name: &'static str, bare: f64) -> Run {
        Run {
            name,
            requests_per_s: self.rate(),
            p50_ms: quantile(&self.each_ms, 50),
            p99_ms: quantile(&self.each_ms, 99),
            of_bare_handler: self.rate() / bare,
        }
    }
}

async fn enrolled(layout: &Layout, view: &View) -> anyhow::Result<String> {
    let passphrase = layout.wallets_passphrase()?;
    let folder = WalletFolder::open(&layout.wallets(), &Passphrase::find(Some(&passphrase))?)?;
    folder.create(&["patient".to_owned()])?;
    let mut wallet = folder.wallet("patient")?;
    let credential: PathBuf = layout.member(MEMBER).credential("clerk");
    wallet
        .enroll(view, MEMBER, &clerk(view, &credential)?)
        .await?;
    Ok(wallet.patient_at(MEMBER)?.to_owned())
}

fn clinician(layout: &Layout, view: &View) -> anyhow::Result<Client> {
    let credential = read_json(&layout.member(MEMBER).credential("ehr"))?;
    let user = User {
        purpose: "TREAT".to_owned(),
        practitioner: None,
        role: Some("physician".to_owned()),
    };
    Client::of_system(&view.http, &credential, user, "system/*.cruds")
}

fn observation(patient: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "effectiveDateTime": "2026-05-01T09:00:00Z",
        "valueQuantity": { "value": 72, "unit": "/min" },
    })
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} requests of each kind, {} at once, one client process, four nodes on this machine",
        report.requests, report.at_once
    )?;
    for run in &report.runs {
        writeln!(
            out,
            "{:<14} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   {:>6.3} of the bare handler",
            run.name, run.requests_per_s, run.p50_ms, run.p99_ms, run.of_bare_handler
        )?;
    }
    Ok(())
}
