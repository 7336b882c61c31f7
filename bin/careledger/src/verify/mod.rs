//! `careledger verify --self`: goes over everything that a stopped node keeps, names what is damaged, and mends it.

mod check;
mod repair;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ledger::genesis::Genesis;

use crate::backup::hold;
use crate::network::{NodeFile, read_genesis};

/// What the process ends with if it could not check.
pub(crate) const CANNOT_CHECK: u8 = 2;

/// Checks everything that a stopped node keeps: chain, engine, records and blobs.
///
/// Ends with 0 if all is sound, with 1 if something is damaged, and with 2 if it could not check.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger verify --self --config net/clinic/node.toml\n  \
    careledger verify --self --config net/clinic/node.toml --repair --from http://127.0.0.1:8102 \
--from-backup /backup/clinic-1\n\nTo check what others show you, use careledger-verify."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct VerifyArgs {
    /// Check this node's own files.
    #[arg(long = "self", required = true)]
    own: bool,
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Mend what can be mended. What is replaced is kept beside it, as `NAME.damaged-TIME`.
    #[arg(long)]
    repair: bool,
    /// With `--repair`: have the engine start anew even if nothing of it is found damaged.
    #[arg(long, requires = "repair")]
    renew_engine: bool,
    /// A member from which lost blocks may be fetched; each is checked. Repeatable.
    #[arg(long, value_name = "URL", requires = "repair")]
    from: Vec<String>,
    /// A backup of this node, for what exists here alone.
    #[arg(long, value_name = "FOLDER", requires = "repair")]
    from_backup: Option<PathBuf>,
    /// Prints one JSON document in place of sentences.
    #[arg(long)]
    json: bool,
}

/// The node whose files are checked.
pub(crate) struct Subject {
    file: NodeFile,
    genesis: Genesis,
    folder: PathBuf,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sound,
    Damaged,
    /// Nothing was found damaged, but not everything could be looked at.
    Unchecked,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Sound => 0,
            Verdict::Damaged => 1,
            Verdict::Unchecked => CANNOT_CHECK,
        })
    }
}

impl Subject {
    pub(crate) fn read(config: &Path) -> anyhow::Result<Self> {
        let file = NodeFile::read(config)?;
        let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
        let genesis = read_genesis(&folder.join(&file.genesis))?;
        Ok(Self {
            file,
            genesis,
            folder,
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join(&self.file.data)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }
}

pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<Verdict> {
    debug_assert!(args.own);
    let subject = Subject::read(&args.config)?;
    let _stopped = hold(&subject.data())?;
    let mut found = check::everything(&subject).await;
    let mut steps = Vec::new();
    if args.repair && (args.renew_engine || found.verdict() == Verdict::Damaged) {
        let sources = repair::Sources {
            peers: args.from,
            backup: args.from_backup,
            renews_engine: args.renew_engine,
        };
        if !args.json {
            report::print(&found, false)?;
        }
        steps = repair::mend(&subject, &found, &sources).await?;
        found = check::everything(&subject).await;
    }
    if args.json {
        report::print_json(&subject.file.member, &found, &steps)?;
    } else {
        report::print_steps(&steps)?;
        report::print(&found, true)?;
    }
    Ok(found.verdict())
}
