//! `careledger import`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Importer, Source, Summary, pace, reject};
use crate::client;
use crate::network::{Layout, Passphrase};
use crate::progress;
use crate::wallet::{View, WalletFolder};

/// Rejects that are shown; the file has all.
const SHOWN_MAX: usize = 10;

/// Imports FHIR R4 bundles, NDJSON files and C-CDA documents through the members' FHIR APIs.
///
/// A bundle holds one patient. NDJSON holds a resource of any patient, or a bundle, in each line. A C-CDA document goes whole to the hospital or the clinic. What a member has
/// acknowledged is noted beside the wallets and not sent again: after a failure run the same command again.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger import --network net --wallets net/wallets bundles/\n  \
    careledger import --network net --wallets net/wallets Patient.ndjson Observation.ndjson"
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
    /// Where what was refused is written, in lines of JSON [default: import-rejects.ndjson beside the wallets].
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Bundles (.json), lines of resources or bundles (.ndjson), C-CDA documents (.xml), or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let layout = Layout::at(&args.network);
    let view = View::read(&layout, client::http()?)?;
    let passphrase = Passphrase::find(args.passphrase_file.as_deref())?;
    let folder = WalletFolder::open(&args.wallets, &passphrase)?;
    let (sources, unread) = Source::below(&args.paths)?;
    let bar = progress::bar(sources.len(), "patients");
    let importer = Importer::new(&view, &layout, &folder)?;
    let mut summary = importer.import(&sources, || bar.inc(1)).await?;
    bar.finish_and_clear();
    summary
        .rejected
        .extend(unread.iter().map(ToString::to_string));
    summary.rejects.extend(unread);
    let rejects = args.rejects;
    let rejects = rejects.unwrap_or_else(|| args.wallets.join("import-rejects.ndjson"));
    reject::write(&rejects, &summary.rejects)?;
    if args.json {
        let text = serde_json::to_string_pretty(&document(&summary, &rejects)?)?;
        writeln!(std::io::stdout(), "{text}")?;
    } else {
        print(&summary, &rejects)?;
    }
    if let Some(why) = &summary.halted {
        anyhow::bail!("the import stopped: {why}; run the same command again to go on");
    }
    anyhow::ensure!(
        summary.rejects.is_empty(),
        "{} entries or bundles were refused: see {}",
        summary.rejects.len(),
        rejects.display()
    );
    Ok(())
}

fn document(summary: &Summary, rejects: &Path) -> anyhow::Result<Value> {
    let mut document = serde_json::to_value(summary)?;
    document["next"] = json!(reject::advice(&summary.rejects));
    document["rejectsFile"] = if summary.rejects.is_empty() {
        Value::Null
    } else {
        json!(rejects)
    };
    Ok(document)
}

fn print(summary: &Summary, rejects: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", pace(summary))?;
    for (member, count) in &summary.resources {
        writeln!(out, "  {member:<12} {count}")?;
    }
    if summary.already > 0 {
        let already = summary.already;
        writeln!(out, "  {already} parts of bundles were there already")?;
    }
    for value in summary.left_out.iter().take(SHOWN_MAX) {
        writeln!(out, "  left out: {value}")?;
    }
    let more = summary.left_out.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        writeln!(out, "  left out: {more} more values, which --json lists")?;
    }
    if summary.untried > 0 {
        let untried = summary.untried;
        writeln!(out, "  {untried} bundles are still to be sent")?;
    }
    for rejection in summary.rejected.iter().take(SHOWN_MAX) {
        writeln!(out, "  refused: {rejection}")?;
    }
    if !summary.rejects.is_empty() {
        let count = summary.rejects.len();
        writeln!(out, "{count} refused, in {}. Next:", rejects.display())?;
        for advice in reject::advice(&summary.rejects) {
            writeln!(out, "  {advice}")?;
        }
    }
    Ok(())
}
