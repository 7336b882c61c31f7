//! `[[v2_send]]` in `node.toml`: where events may be sent as messages of HL7 v2.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway::mllp::{MllpClientTls, MllpReceiver};
use serde::{Deserialize, Serialize};

use super::mllp::read;

/// As whom messages are sent, if nothing else is said.
const APPLICATION: &str = "CARELEDGER";

/// A receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct V2SendEntry {
    /// By which subscriptions name it: `mllp:NAME`.
    pub(crate) name: String,
    /// Host and port.
    address: String,
    /// MSH-5 and MSH-6.
    application: String,
    facility: String,
    /// MSH-3 and MSH-4; `CARELEDGER` and the member's name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_application: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_facility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<ClientTlsEntry>,
}

/// PEM files for a private connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTlsEntry {
    /// Whose certificate the receiver has to show.
    authorities: PathBuf,
    /// For which name; the host of the address if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The certificate and key that this node shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificates: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
}

impl V2SendEntry {
    fn receiver(&self, folder: &Path, member: &str) -> anyhow::Result<MllpReceiver> {
        let or = |given: &Option<String>, other: &str| given.as_deref().unwrap_or(other).to_owned();
        let tls = self.tls.as_ref();
        Ok(MllpReceiver {
            name: self.name.clone(),
            address: self.address.clone(),
            from: (
                or(&self.from_application, APPLICATION),
                or(&self.from_facility, member),
            ),
            to: (self.application.clone(), self.facility.clone()),
            tls: tls.map(|tls| tls.read(folder, &self.address)).transpose()?,
        })
    }
}

impl ClientTlsEntry {
    fn read(&self, folder: &Path, address: &str) -> anyhow::Result<MllpClientTls> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = self.name.as_deref().unwrap_or(host);
        let own = match (&self.certificates, &self.key) {
            (Some(certificates), Some(key)) => {
                Some((read(folder, certificates)?, read(folder, key)?))
            }
            (None, None) => None,
            _ => anyhow::bail!("`certificates` and `key` belong together"),
        };
        let own = own
            .as_ref()
            .map(|(certificates, key)| (certificates.as_slice(), key.as_slice()));
        Ok(MllpClientTls::new(
            &read(folder, &self.authorities)?,
            own,
            name,
        )?)
    }
}

/// The receivers of `node.toml`, with what their files say.
pub(crate) fn receivers(
    entries: &[V2SendEntry],
    folder: &Path,
    member: &str,
) -> anyhow::Result<Vec<MllpReceiver>> {
    let read = entries.iter().map(|entry| {
        let receiver = entry.receiver(folder, member);
        receiver.with_context(|| format!("the receiver `{}`", entry.name))
    });
    read.collect()
}
