//! `careledger demo`: four member organisations on this machine, to try, or to be checked step by step.

mod guide;
pub(crate) mod interfaces;
mod people;
mod processes;
mod story;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledger::genesis::Rules;

use crate::client;
use crate::import::{Importer, Source, pace};
use crate::network::{Founding, KeyType, Layout, Passphrase, found};
use crate::progress;
use crate::said::say;
use crate::wallet::{View, WalletFolder};

pub(crate) use processes::{Processes, free_ports};

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
const PORT_BASE: u16 = 8_101;
const SEED: u64 = 1;

/// Runs four member organisations with patients, until Ctrl-C.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger demo\n  careledger demo --data synthea-r4\n  \
    careledger demo --check"
)]
pub(crate) struct DemoArgs {
    /// FHIR R4 bundles, one patient each; synthetic patients if no folder is named.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The demo's folder; a second start continues from it.
    #[arg(long, default_value = "careledger-demo")]
    dir: PathBuf,
    /// Synthetic patients.
    #[arg(long, default_value_t = 12)]
    patients: u64,
    /// Goes through the story unattended, in a temporary folder, and fails if a step does not hold.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let sources = match &args.data {
        Some(data) => Source::files(data)?,
        None => (0..args.patients)
            .map(|index| Source::Synthetic(SEED, index))
            .collect(),
    };
    if args.check {
        return check(sources).await;
    }
    let layout = Layout::at(&args.dir);
    if !layout.is_founded() {
        found_members(&layout)?;
    }
    let view = View::read(&layout, client::http()?)?;
    let wallets = open_wallets(&layout)?;
    let processes = Processes::start(&layout, &view.network).await?;
    let outcome = serve(&args, &layout, &view, &wallets, &sources).await;
    say("Stopping.")?;
    processes.stop().await?;
    outcome
}

async fn serve(
    args: &DemoArgs,
    layout: &Layout,
    view: &View,
    wallets: &WalletFolder,
    sources: &[Source],
) -> anyhow::Result<()> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    tokio::select! {
        loaded = load(layout, view, wallets, sources) => loaded?,
        _ = &mut interrupted => return Ok(()),
    }
    people::welcome(layout, view, wallets).await?;
    guide::print(layout, view, wallets, &args.dir)?;
    interrupted.await?;
    Ok(())
}

/// Imports those that are not there yet.
async fn load(
    layout: &Layout,
    view: &View,
    wallets: &WalletFolder,
    sources: &[Source],
) -> anyhow::Result<()> {
    let bar = progress::bar(sources.len(), "patients");
    let importer = Importer::new(view, layout, wallets)?;
    let summary = importer.import(sources, || bar.inc(1)).await?;
    bar.finish_and_clear();
    if summary.total() > 0 {
        say(&format!("Loaded {}.", pace(&summary)))?;
    }
    for rejection in &summary.rejected {
        say(&format!("Not loaded: {rejection}"))?;
    }
    Ok(())
}

async fn check(sources: Vec<Source>) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("careledger-check-{}", std::process::id()));
    let layout = Layout::at(&folder);
    found_members(&layout)?;
    let held = story::tell(&layout, sources).await;
    if let Err(error) = held {
        return Err(error.context(format!("what the members did is in {}", folder.display())));
    }
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("{} cannot be removed", folder.display()))
}

fn found_members(layout: &Layout) -> anyhow::Result<()> {
    let members: Vec<_> = MEMBERS
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    let founding = Founding {
        key_type: KeyType::default(),
        name: "demo".to_owned(),
        port_base: free_ports(PORT_BASE, u16::try_from(members.len())?)?,
        members,
        // Short, so that a change of the validators can be watched.
        rules: Rules {
            epoch_blocks: 50,
            ..Rules::default()
        },
    };
    found(layout, &founding)?;
    interfaces::configure(layout)?;
    people::name_file(layout)
}

/// The demo stands in for all patients: their wallets lie in its folder.
pub(crate) fn open_wallets(layout: &Layout) -> anyhow::Result<WalletFolder> {
    let folder = layout.wallets();
    let passphrase = layout.wallets_passphrase()?;
    WalletFolder::open(&folder, &Passphrase::find(Some(&passphrase))?)
}

/// The executable beside this one that checks offline.
fn verifier() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?;
    let folder = beside.parent().unwrap_or(Path::new("."));
    let verifier = folder.join(format!("careledger-verify{}", std::env::consts::EXE_SUFFIX));
    anyhow::ensure!(
        verifier.exists(),
        "{} is missing: build it with `cargo build -p careledger-verify`",
        verifier.display()
    );
    Ok(verifier)
}
