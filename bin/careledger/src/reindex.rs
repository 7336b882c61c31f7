//! `careledger reindex`: has a running node make its index for searches anew.
//!
//! Whoever may write into the node's folder may ask: a file there is the request, another tells how far it is.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::node::custody::{Custody, IndexProgress};
use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::network::NodeFile;
use crate::progress;

const POLL: Duration = Duration::from_millis(500);
/// How long a running node takes at most to see the request.
const TAKEN: Duration = Duration::from_secs(10);

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

/// How far the node is, in its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    running: bool,
    done: u64,
    documents: u64,
}

pub(crate) async fn run(args: ReindexArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let data = folder.join(&file.data);
    fs::write(request(&data), b"").context("the request cannot be written")?;
    until_taken(&data).await?;
    if args.no_wait {
        return Ok(());
    }
    let bar = progress::bar(0, "documents");
    loop {
        let told = told(&data)?;
        bar.set_length(told.documents.max(told.done));
        bar.set_position(told.done);
        if !told.running {
            bar.finish_and_clear();
            writeln!(std::io::stdout(), "{} documents are indexed", told.done)?;
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The node's side: waits for requests, and tells how far it is.
pub(crate) async fn serve(custody: Custody, data: PathBuf) {
    let mut was_running = false;
    loop {
        let progress = custody.indexing();
        if progress.is_running || was_running {
            tell(&data, progress);
        }
        was_running = progress.is_running;
        if !was_running && request(&data).exists() {
            match custody.reindex().await {
                Ok(()) => tell(&data, custody.indexing()),
                Err(error) => tracing::error!(%error, "the index cannot be made anew"),
            }
            was_running = true;
            if let Err(error) = fs::remove_file(request(&data)) {
                tracing::error!(%error, "the request for a new index stays");
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn until_taken(data: &Path) -> anyhow::Result<()> {
    let taken = async {
        while request(data).exists() {
            tokio::time::sleep(POLL).await;
        }
    };
    let outcome = tokio::time::timeout(TAKEN, taken).await;
    outcome.context("the node does not take the request: is it running? It will when it starts")
}

fn told(data: &Path) -> anyhow::Result<Told> {
    match fs::read(state(data)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Told {
            running: true,
            done: 0,
            documents: 0,
        }),
        Err(error) => Err(error.into()),
    }
}

fn tell(data: &Path, progress: IndexProgress) {
    let told = Told {
        running: progress.is_running,
        done: progress.done,
        documents: progress.documents,
    };
    let fresh = state(data).with_extension("new");
    let written = serde_json::to_vec(&told)
        .map_err(std::io::Error::other)
        .and_then(|bytes| fs::write(&fresh, bytes))
        .and_then(|()| fs::rename(&fresh, state(data)));
    if let Err(error) = written {
        tracing::warn!(%error, "how far the index is cannot be told");
    }
}

fn request(data: &Path) -> PathBuf {
    data.join("reindex.request")
}

fn state(data: &Path) -> PathBuf {
    data.join("reindex.json")
}
