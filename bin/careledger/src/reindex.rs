//! `careledger reindex`: has a running node make its index for searches anew.

use std::io::Write as _;
use std::path::PathBuf;

use ::node::custody::Custody;
use clap::Args;

use crate::aside::{Task, Told};

const REINDEX: Task = Task("reindex");

/// Makes a node's index for searches anew, while the node serves.
///
/// The node does it by itself when a new release has another form of the index. A node that was stopped goes on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger reindex --config net/hospital/node.toml")]
pub(crate) struct ReindexArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Does not wait until it is done.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(args: ReindexArgs) -> anyhow::Result<()> {
    if let Some(done) = REINDEX.ask(&args.config, !args.no_wait).await? {
        writeln!(std::io::stdout(), "{done} documents are indexed")?;
    }
    Ok(())
}

/// The node's side.
pub(crate) async fn serve(custody: Custody, data: PathBuf) {
    let progress = || {
        let progress = custody.indexing();
        Told {
            running: progress.is_running,
            done: progress.done,
            documents: progress.documents,
        }
    };
    REINDEX.serve(data, progress, || custody.reindex()).await;
}
