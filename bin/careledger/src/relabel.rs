//! `careledger relabel`: has a running node label its documents anew.

use std::io::Write as _;
use std::path::PathBuf;

use ::node::custody::Custody;
use clap::Args;

use crate::aside::{Task, Told};

const RELABEL: Task = Task("relabel");

/// Labels a node's documents anew, while the node serves.
///
/// The node does it by itself when the rules change: with a vote, a new release, or `[labels]` in node.toml. A node that was
/// stopped goes on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger relabel --config net/hospital/node.toml")]
pub(crate) struct RelabelArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Does not wait until it is done.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(args: RelabelArgs) -> anyhow::Result<()> {
    if let Some(done) = RELABEL.ask(&args.config, !args.no_wait).await? {
        writeln!(std::io::stdout(), "{done} documents are labelled")?;
    }
    Ok(())
}

/// The node's side.
pub(crate) async fn serve(custody: Custody, data: PathBuf) {
    let progress = || {
        let progress = custody.labelling();
        Told {
            running: progress.is_running,
            done: progress.done,
            documents: progress.documents,
        }
    };
    RELABEL.serve(data, progress, || custody.relabel()).await;
}
