//! What a running node does beside serving when somebody asks: whoever may write into the node's folder may. A file there
//! is the request, another tells how far it is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use node::custody::CustodyError;
use serde::{Deserialize, Serialize};

use crate::network::NodeFile;
use crate::progress;

const POLL: Duration = Duration::from_millis(500);
/// How long a running node takes at most to see the request.
const TAKEN: Duration = Duration::from_secs(30);

/// Something that a node can be asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task(pub(crate) &'static str);

/// How far the node is, in its folder.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) running: bool,
    pub(crate) done: u64,
    pub(crate) documents: u64,
}

impl Task {
    /// Asks the node; returns how many documents are done, or `None` without waiting for it.
    pub(crate) async fn ask(self, config: &Path, waits: bool) -> anyhow::Result<Option<u64>> {
        let file = NodeFile::read(config)?;
        let folder = config.parent().unwrap_or(Path::new("."));
        let data = folder.join(&file.data);
        fs::write(self.request(&data), b"").context("the request cannot be written")?;
        self.until_taken(&data).await?;
        if !waits {
            return Ok(None);
        }
        let bar = progress::bar(0, "documents");
        loop {
            let told = self.told(&data)?;
            bar.set_length(told.documents.max(told.done));
            bar.set_position(told.done);
            if !told.running {
                bar.finish_and_clear();
                return Ok(Some(told.done));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The node's side: waits for requests, and tells how far it is.
    pub(crate) async fn serve<F>(
        self,
        data: PathBuf,
        progress: impl Fn() -> Told,
        start: impl Fn() -> F,
    ) where
        F: Future<Output = Result<(), CustodyError>>,
    {
        let mut was_running = false;
        loop {
            let now = progress();
            if now.running || was_running {
                self.tell(&data, now);
            }
            was_running = now.running;
            if !was_running && self.request(&data).exists() {
                match start().await {
                    Ok(()) => self.tell(&data, progress()),
                    Err(error) => tracing::error!(%error, task = self.0, "cannot be begun"),
                }
                was_running = true;
                if let Err(error) = fs::remove_file(self.request(&data)) {
                    tracing::error!(%error, task = self.0, "the request stays");
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn until_taken(self, data: &Path) -> anyhow::Result<()> {
        let taken = async {
            while self.request(data).exists() {
                tokio::time::sleep(POLL).await;
            }
        };
        let outcome = tokio::time::timeout(TAKEN, taken).await;
        outcome.context("the node does not take the request: is it running? It will when it starts")
    }

    fn told(self, data: &Path) -> anyhow::Result<Told> {
        match fs::read(self.state(data)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Told {
                running: true,
                done: 0,
                documents: 0,
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(self, data: &Path, told: Told) {
        let fresh = self.state(data).with_extension("new");
        let written = serde_json::to_vec(&told)
            .map_err(std::io::Error::other)
            .and_then(|bytes| fs::write(&fresh, bytes))
            .and_then(|()| fs::rename(&fresh, self.state(data)));
        if let Err(error) = written {
            tracing::warn!(%error, task = self.0, "how far it is cannot be told");
        }
    }

    fn request(self, data: &Path) -> PathBuf {
        data.join(format!("{}.request", self.0))
    }

    fn state(self, data: &Path) -> PathBuf {
        data.join(format!("{}.json", self.0))
    }
}
