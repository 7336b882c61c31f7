//! `careledger terminology`: vocabularies in a node's folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::node::terminology::{
    FOLDER, Found, Kind, Vocabularies, install, read_tables, remove, resources_in, unmapped_in,
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use interop::terminology::About;
use interop::terminology::format::Format;

use crate::network::NodeFile;
use crate::progress::Meter;

/// How often a node looks into the folder.
const LOOK: Duration = Duration::from_secs(2);

/// Loads, lists and removes code systems, value sets and concept maps of a node, running or not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger terminology load loinc Loinc_2.81 --version 2.81 --config net/hospital/node.toml\n  \
    careledger terminology load csv codes.csv --system http://hospital.example/codes --version 2026-11\n  \
    careledger terminology load fhir package --config net/hospital/node.toml\n  \
    careledger terminology unmapped --config net/hospital/node.toml"
)]
pub(crate) struct TerminologyArgs {
    #[command(subcommand)]
    action: Action,
    /// The node's configuration.
    #[arg(long, global = true, default_value = "node.toml")]
    config: PathBuf,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Loads a release, or FHIR resources; the same version again takes the place of the one before.
    Load {
        /// loinc, snomed, icd10cm, rxnorm, ndc, cvx, csv or fhir.
        format: String,
        /// The folder of the release, unpacked, or the file; of `fhir`, a packed package (`.tgz`) too.
        path: PathBuf,
        /// The version, as others are to name it; what FHIR resources say of themselves counts.
        #[arg(long)]
        version: Option<String>,
        /// The code system's canonical URL, for codes of one's own.
        #[arg(long)]
        system: Option<String>,
    },
    /// What is loaded.
    List,
    /// Takes one version out.
    Remove {
        /// The canonical URL.
        url: String,
        /// The version; without it, the one that has none.
        #[arg(long, default_value = "")]
        version: String,
    },
    /// Codes that came in and that no map had anything for, the most frequent first.
    Unmapped,
}

pub(crate) fn run(args: &TerminologyArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let folder = folder.join(&file.data).join(FOLDER);
    let mut out = std::io::stdout();
    match &args.action {
        Action::Load {
            format,
            path,
            version,
            system,
        } => {
            let found = match format.as_str() {
                "fhir" => resources(path, &folder)?,
                name => release(name.parse()?, path, (version, system), &folder)?,
            };
            for one in found.installed {
                let (kind, about) = (one.kind, one.about);
                let count = match kind {
                    Kind::CodeSystem => format!("  {} concepts", one.concepts),
                    Kind::ValueSet | Kind::ConceptMap => String::new(),
                };
                writeln!(
                    out,
                    "{}  {}|{}{count}",
                    kind.name(),
                    about.url,
                    about.version
                )?;
            }
            for (name, problem) in found.passed_over {
                writeln!(std::io::stderr(), "{name} is passed over: {problem}")?;
            }
        }
        Action::List => list(&folder, args.json)?,
        Action::Remove { url, version } => {
            let about = About {
                url: url.clone(),
                version: version.clone(),
                name: String::new(),
            };
            let was_there = remove(&folder, &about)?;
            anyhow::ensure!(was_there, "nothing with this URL and version is loaded");
        }
        Action::Unmapped => unmapped(&folder, args.json)?,
    }
    Ok(())
}

/// The node's side: sees what is loaded and removed while it runs.
pub(crate) async fn serve(vocabularies: Vocabularies) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let vocabularies = vocabularies.clone();
        let looked = tokio::task::spawn_blocking(move || vocabularies.refresh()).await;
        if let Err(error) = looked {
            tracing::error!(%error, "the folder of vocabularies was not looked into");
        }
    }
}

fn resources(path: &Path, folder: &Path) -> anyhow::Result<Found> {
    let mut meter = Meter::new();
    let found = resources_in(path, folder, &mut |done, all| {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        meter.show("files", number(done), number(all));
    });
    meter.clear();
    Ok(found?)
}

fn release(
    format: Format,
    path: &Path,
    (version, system): (&Option<String>, &Option<String>),
    folder: &Path,
) -> anyhow::Result<Found> {
    let version = version.clone().context("a release needs --version")?;
    let own = || system.as_deref().map(|url| (url, url));
    let named = format.system().or_else(own);
    let (url, name) = named.context("codes of one's own need --system")?;
    let about = About {
        url: url.to_owned(),
        version,
        name: name.to_owned(),
    };
    let mut meter = Meter::new();
    let draft = read_tables(format, path, &mut |_, done, all| {
        meter.show("bytes", done, all);
    });
    meter.clear();
    let installed = install(folder, &draft?.finish(about))?;
    Ok(Found {
        installed: vec![installed],
        ..Found::default()
    })
}

fn list(folder: &Path, is_json: bool) -> anyhow::Result<()> {
    let shelf = Vocabularies::open(folder, &[]).shelf();
    let mut all: Vec<_> = shelf.about().collect();
    all.sort_by_key(|(kind, about, _)| (kind.name(), &about.url, &about.version));
    let mut out = std::io::stdout();
    if is_json {
        let listed = all.iter().map(|(kind, about, size)| {
            serde_json::json!({ "type": kind.name(), "url": about.url, "version": about.version,
                "name": about.name, "size": size })
        });
        writeln!(out, "{}", listed.collect::<serde_json::Value>())?;
        return Ok(());
    }
    for (kind, about, size) in all {
        let size = match kind {
            Kind::CodeSystem => format!("  {size} concepts"),
            Kind::ConceptMap => format!("  {size} codes mapped"),
            Kind::ValueSet => String::new(),
        };
        writeln!(
            out,
            "{}  {}|{}  {}{size}",
            kind.name(),
            about.url,
            about.version,
            about.name
        )?;
    }
    Ok(())
}

fn unmapped(folder: &Path, is_json: bool) -> anyhow::Result<()> {
    let codes = unmapped_in(folder).context("the list of the node cannot be read")?;
    let mut out = std::io::stdout();
    if is_json {
        writeln!(out, "{}", serde_json::to_string(&codes)?)?;
        return Ok(());
    }
    for one in &codes {
        writeln!(out, "{:>8}  {}|{}", one.count, one.system, one.code)?;
    }
    if codes.is_empty() {
        writeln!(out, "none")?;
    }
    Ok(())
}
