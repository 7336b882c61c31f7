//! `careledger import`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{Importer, Source, pace};
use crate::client;
use crate::network::{Layout, Passphrase};
use crate::progress;
use crate::wallet::{View, WalletFolder};

/// Imports FHIR R4 bundles, one patient each, through the members' FHIR APIs.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger import --network net --wallets net/wallets bundles/"
)]
pub(crate) struct ImportArgs {
    /// The network's folder.
    #[arg(long)]
    network: PathBuf,
    /// The folder in which the patients' wallets are made.
    #[arg(long)]
    wallets: PathBuf,
    /// A file with the wallets' passphrase; else it is taken from `CARELEDGER_PASSPHRASE`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Bundles, or folders of bundles.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let layout = Layout::at(&args.network);
    let view = View::read(&layout, client::http()?)?;
    let passphrase = Passphrase::find(args.passphrase_file.as_deref())?;
    let folder = WalletFolder::open(&args.wallets, &passphrase)?;
    let mut sources = Vec::new();
    for path in &args.paths {
        sources.extend(Source::files(path)?);
    }
    let bar = progress::bar(sources.len(), "patients");
    let importer = Importer::new(&view, &layout, &folder)?;
    let summary = importer.import(&sources, || bar.inc(1)).await?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        writeln!(out, "{}", pace(&summary))?;
        for (member, count) in &summary.resources {
            writeln!(out, "  {member:<12} {count}")?;
        }
        for rejection in &summary.rejected {
            writeln!(out, "  refused: {rejection}")?;
        }
    }
    anyhow::ensure!(
        summary.rejected.is_empty(),
        "{} of {} bundles were not imported",
        summary.rejected.len(),
        sources.len()
    );
    Ok(())
}
