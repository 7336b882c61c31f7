//! `[[mllp]]` in `node.toml`: where messages of HL7 v2 are taken in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway::mllp::{Mllp, MllpListener, MllpTls, serve};
use interop::hl7v2::{Overrides, Sender};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MllpEntry {
    /// By which messages and metrics name it.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The system as which senders act: a client of this node.
    pub(crate) system: String,
    /// A TOML file with what senders do in their own ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) overrides: Option<PathBuf>,
    /// Who may send; anybody who can connect, without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) senders: Vec<SenderEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsEntry>,
}

/// A sender by MSH-3.1 and MSH-4.1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SenderEntry {
    application: String,
    facility: String,
}

/// PEM files for private connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsEntry {
    certificates: PathBuf,
    key: PathBuf,
    /// Whose certificates senders have to show; without it they show none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorities: Option<PathBuf>,
}

impl MllpEntry {
    fn listener(&self, folder: &Path) -> anyhow::Result<MllpListener> {
        let overrides = match &self.overrides {
            None => Overrides::default(),
            Some(path) => {
                let text = read(folder, path)?;
                let text = std::str::from_utf8(&text).ok();
                let parsed = text.map(toml::from_str).transpose();
                let parsed = parsed.with_context(|| format!("{} is malformed", path.display()))?;
                parsed.with_context(|| format!("{} is no UTF-8", path.display()))?
            }
        };
        if let Some(code) = overrides.unknown_character_set() {
            anyhow::bail!("the character set {code:?} is none of table 0211 that is read here");
        }
        Ok(MllpListener {
            name: self.name.clone(),
            system: self.system.clone(),
            senders: self.senders.iter().map(SenderEntry::sender).collect(),
            overrides,
            tls: self.tls.as_ref().map(|tls| tls.read(folder)).transpose()?,
        })
    }
}

impl SenderEntry {
    pub(super) fn sender(&self) -> Sender {
        Sender {
            application: self.application.clone(),
            facility: self.facility.clone(),
        }
    }
}

impl TlsEntry {
    fn read(&self, folder: &Path) -> anyhow::Result<MllpTls> {
        let authorities = self.authorities.as_ref();
        let authorities = authorities.map(|path| read(folder, path)).transpose()?;
        Ok(MllpTls::new(
            &read(folder, &self.certificates)?,
            &read(folder, &self.key)?,
            authorities.as_deref(),
        )?)
    }
}

pub(super) fn read(folder: &Path, path: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(path);
    fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The listeners of `node.toml`, with what their files say.
pub(crate) fn listeners(entries: &[MllpEntry], folder: &Path) -> anyhow::Result<Vec<MllpListener>> {
    for (at, entry) in entries.iter().enumerate() {
        let is_again = entries
            .iter()
            .take(at)
            .any(|other| other.name == entry.name);
        anyhow::ensure!(!is_again, "two listeners in node.toml are `{}`", entry.name);
    }
    entries
        .iter()
        .map(|entry| {
            let listener = entry.listener(folder);
            listener.with_context(|| format!("the listener `{}`", entry.name))
        })
        .collect()
}

/// The sockets of listeners, while they are served.
pub(super) struct Served {
    tasks: JoinSet<std::io::Result<()>>,
    stop: watch::Sender<()>,
}

/// Listens, and takes messages in.
pub(super) async fn listen(entries: &[MllpEntry], mllp: &Mllp) -> anyhow::Result<Served> {
    let (mut tasks, (stop, until)) = (JoinSet::new(), watch::channel(()));
    for entry in entries {
        let socket = TcpListener::bind(entry.address).await.with_context(|| {
            let name = &entry.name;
            format!("the listener `{name}` cannot listen on {}", entry.address)
        })?;
        let (mllp, name, mut until) = (mllp.clone(), entry.name.clone(), until.clone());
        let stopped = async move {
            // Nothing is sent: it ends with its sender.
            let _ended = until.changed().await;
        };
        tasks.spawn(async move { serve(socket, mllp, &name, stopped).await });
    }
    Ok(Served { tasks, stop })
}

impl Served {
    /// Takes nothing further in, and finishes what is under way.
    pub(super) async fn stop(self) {
        let Self { mut tasks, stop } = self;
        drop(stop);
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!(%error, "a listener ended");
            }
        }
    }
}
