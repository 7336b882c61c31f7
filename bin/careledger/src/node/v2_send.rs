//! `[[v2_send]]` in `node.toml`: where events may be sent as messages of HL7 v2.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use gateway::mllp::{MllpClientTls, MllpReceiver};
use interop::hl7v2::{Orders, Sender};
use serde::{Deserialize, Serialize};

use super::mllp::{SenderEntry, read};

/// As whom messages are sent, if nothing else is said.
const APPLICATION: &str = "CARELEDGER";
/// How long a receiver may take to acknowledge a message, if nothing else is said.
const ANSWER_SECONDS: u64 = 30;

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
    /// As what orders are sent; OML^O21 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orders: Option<OrdersEntry>,
    /// MSH-3.1 and MSH-4.1 of what it sends itself, which is not sent back; `application` and `facility` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    senders: Option<Vec<SenderEntry>>,
    /// How long it may take to acknowledge a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<ClientTlsEntry>,
}

/// The message of an order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum OrdersEntry {
    /// OML^O21.
    Oml,
    /// ORM^O01.
    Orm,
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
        let itself = || Sender {
            application: self.application.clone(),
            facility: self.facility.clone(),
        };
        let senders = match &self.senders {
            None => vec![itself()],
            Some(named) => named.iter().map(SenderEntry::sender).collect(),
        };
        Ok(MllpReceiver {
            name: self.name.clone(),
            address: self.address.clone(),
            from: (
                or(&self.from_application, APPLICATION),
                or(&self.from_facility, member),
            ),
            to: (self.application.clone(), self.facility.clone()),
            orders: match self.orders {
                None | Some(OrdersEntry::Oml) => Orders::Oml,
                Some(OrdersEntry::Orm) => Orders::Orm,
            },
            senders,
            tls: tls.map(|tls| tls.read(folder, &self.address)).transpose()?,
            answer_within: Duration::from_secs(self.answer_seconds.unwrap_or(ANSWER_SECONDS)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        v2_send: Vec<V2SendEntry>,
    }

    #[test]
    fn the_guide_names_what_there_is() {
        let guide = include_str!("../../../../docs/guides/hl7v2.md");
        let example = guide
            .split("```toml\n")
            .find(|part| part.contains("[[v2_send]]"));
        let example = example.and_then(|part| part.split("```").next()).unwrap();
        let without_tls = example.split("[v2_send.tls]").next().unwrap();
        let file: File = toml::from_str(without_tls).unwrap();
        let receiver = receivers(&file.v2_send, Path::new("/"), "clinic").unwrap();
        let [receiver] = receiver.as_slice() else {
            panic!("one receiver");
        };
        assert_eq!(
            receiver.from,
            ("CARELEDGER".to_owned(), "clinic".to_owned())
        );
        assert_eq!(receiver.orders, Orders::Orm);
        assert_eq!(receiver.senders[0].application, "HIS");
        assert!(toml::from_str::<File>(example).is_ok());
    }
}
