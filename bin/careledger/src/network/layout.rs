//! Where the files of a network and of its members are, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::node::custody::RetentionSchedule;
use anyhow::Context as _;
use gateway::auth::{ClientConfig, ProviderConfig};
use ledger::genesis::Genesis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::node::{
    AuditEntry, CareServicesEntry, ConsentEntry, DicomWebEntry, EmergencyEntry, KeysEntry,
    LabelsEntry, LimitsEntry, LinkageEntry, MllpEntry, PayloadsEntry, RecordsEntry, ReleaseEntry,
    SearchEntry, TerminologyEntry, V2SendEntry, ValidationEntry, is_default,
};

/// The folder of a network.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    folder: PathBuf,
}

/// The folder of one member.
#[derive(Debug, Clone)]
pub(crate) struct MemberLayout {
    folder: PathBuf,
}

/// `network.json`: what a client needs to know of the network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NetworkFile {
    pub(crate) name: String,
    /// The network id, hex.
    pub(crate) network: String,
    /// The genesis file, relative to the folder.
    pub(crate) genesis: PathBuf,
    pub(crate) members: Vec<MemberEntry>,
}

/// A member in `network.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemberEntry {
    pub(crate) member: String,
    pub(crate) base_url: String,
    /// The member's folder, relative to the network's.
    pub(crate) folder: PathBuf,
}

/// `node.toml`: what a node is started with. Paths are relative to the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeFile {
    pub(crate) member: String,
    pub(crate) base_url: String,
    /// Where the gateway listens.
    pub(crate) listen: SocketAddr,
    pub(crate) genesis: PathBuf,
    /// Where the node's keys are: the name of a key file, or a table that names a token.
    pub(crate) keys: KeysEntry,
    /// Without it the passphrase is taken from `CARELEDGER_PASSPHRASE`.
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) data: PathBuf,
    /// The gateways of other members, which are asked for the ledger when this node joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) peers: Vec<String>,
    /// How long bodies of other members' statements are kept: `all`, or a number of `blocks` or `days`.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub(crate) keep: String,
    /// Origins to which notifications of subscriptions may be posted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rest_hooks: Vec<String>,
    /// FHIR packages, as folders or packed (`.tgz`), whose profiles what is written may claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) profiles: Vec<PathBuf>,
    pub(crate) addresses: BTreeMap<String, AddressEntry>,
    pub(crate) clients: Vec<ClientConfig>,
    /// The accounts of people who sign in here: made by `careledger users add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<PathBuf>,
    /// The organisation's identity provider, at which people sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity_provider: Option<ProviderEntry>,
    /// Origins of browser apps beside those of clients' redirect URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) origins: Vec<String>,
    /// Outsiders who cosign the log's checkpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnesses: Vec<WitnessEntry>,
    /// Where messages of HL7 v2 are taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mllp: Vec<MllpEntry>,
    /// Where events may be sent as messages of HL7 v2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) v2_send: Vec<V2SendEntry>,
    /// Where bulk imports come from.
    #[serde(default, skip_serializing_if = "ImportEntry::is_empty")]
    pub(crate) import: ImportEntry,
    /// Where large payloads are kept.
    #[serde(default, skip_serializing_if = "PayloadsEntry::is_directory")]
    pub(crate) payloads: PayloadsEntry,
    /// What searches find.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) search: SearchEntry,
    /// What makes a resource sensitive, beside the rules of the release and of the network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) labels: LabelsEntry,
    /// What counts where patients have said nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) consent: ConsentEntry,
    /// How what is written is checked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) validation: ValidationEntry,
    /// What is done with the codes of what is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) terminology: TerminologyEntry,
    /// How much a client may ask for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) limits: LimitsEntry,
    /// How long records are kept, and when they go.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) retention: RetentionSchedule,
    /// What a committee can release while this member does not answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) release: ReleaseEntry,
    /// Whether others are asked who knows a patient, and what those hear that ask.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) linkage: LinkageEntry,
    /// How emergencies are declared and reviewed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) emergency: EmergencyEntry,
    /// What of this member is in the directory of care services.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) care_services: CareServicesEntry,
    /// The image archive before which the node stands.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) dicom_web: DicomWebEntry,
    /// Where the audit log goes beside this node.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) audit: AuditEntry,
    /// Where the records are kept.
    #[serde(default, skip_serializing_if = "RecordsEntry::is_directory")]
    pub(crate) records: RecordsEntry,
}

/// An identity provider, and the file with this node's secret there, if it has one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProviderEntry {
    #[serde(flatten)]
    pub(crate) provider: ProviderConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret_file: Option<PathBuf>,
}

/// Where bulk imports (`$import`) may fetch files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportEntry {
    /// Origins, such as `https://files.example.org`.
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
}

/// A witness of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessEntry {
    /// Its submission prefix (C2SP tlog-witness).
    pub(crate) url: String,
    /// Its keys, as vkeys.
    pub(crate) keys: Vec<String>,
}

/// Where a member's node talks to other nodes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressEntry {
    pub(crate) consensus: SocketAddr,
    pub(crate) exchange: SocketAddr,
}

/// What a client system needs to ask a member for tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Credential {
    pub(crate) client_id: String,
    pub(crate) token_url: String,
    /// A private JWK, OKP with Ed25519.
    pub(crate) key: Value,
}

/// What opens a key file.
pub(crate) struct Passphrase(Zeroizing<Vec<u8>>);

fn all() -> String {
    "all".to_owned()
}

fn is_all(keep: &str) -> bool {
    keep == "all"
}

impl Layout {
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn network_file(&self) -> PathBuf {
        self.folder.join("network.json")
    }

    pub(crate) fn genesis_file(&self) -> PathBuf {
        self.folder.join("genesis.cbor")
    }

    pub(crate) fn member(&self, member: &str) -> MemberLayout {
        MemberLayout {
            folder: self.folder.join(member),
        }
    }

    /// Where the demo keeps all patients' wallets.
    pub(crate) fn wallets(&self) -> PathBuf {
        self.folder.join("wallets")
    }

    /// The file with the wallets' passphrase, made if it is not there.
    pub(crate) fn wallets_passphrase(&self) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(self.wallets())?;
        let path = self.wallets().join("passphrase");
        if !path.exists() {
            write_secret(&path, hex::encode(rand::random::<[u8; 32]>()).as_bytes())?;
        }
        Ok(path)
    }

    /// A folder for files that are looked at once.
    pub(crate) fn scratch(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("scratch");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub(crate) fn is_founded(&self) -> bool {
        self.network_file().exists()
    }

    pub(crate) fn read(&self) -> anyhow::Result<NetworkFile> {
        read_json(&self.network_file())
    }

    /// Makes the folder; one with something in it is refused.
    pub(super) fn claim(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        if fs::read_dir(&self.folder)?.next().is_some() {
            anyhow::bail!("the folder is not empty: name another one");
        }
        Ok(())
    }
}

impl MemberLayout {
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// By which the others admit this member.
    pub(super) fn admission(&self) -> PathBuf {
        self.folder.join("admission.cbor")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.folder.join("keys.bin")
    }

    pub(super) fn passphrase(&self) -> PathBuf {
        self.folder.join("passphrase")
    }

    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join("certificates").join(format!("{name}.pem"))
    }

    pub(crate) fn credential(&self, client: &str) -> PathBuf {
        self.folder.join("clients").join(format!("{client}.json"))
    }

    /// The demo's password of somebody who signs in here.
    pub(crate) fn password(&self, account: &str) -> PathBuf {
        self.folder.join("people").join(account)
    }

    pub(super) fn make(&self) -> anyhow::Result<()> {
        for folder in ["certificates", "clients", "data"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        Ok(())
    }
}

impl ImportEntry {
    fn is_empty(&self) -> bool {
        self.allowed_origins.is_empty()
    }
}

impl NodeFile {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
    }
}

impl Passphrase {
    /// From a file, whose last line end does not count, or else from the environment.
    pub(crate) fn find(file: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(file) = file {
            let bytes = fs::read(file)
                .with_context(|| format!("the passphrase file {}", file.display()))?;
            let mut bytes = Zeroizing::new(bytes);
            while bytes.last().is_some_and(u8::is_ascii_whitespace) {
                bytes.pop();
            }
            return Ok(Self(bytes));
        }
        let variable = std::env::var("CARELEDGER_PASSPHRASE");
        let text = variable.context("set CARELEDGER_PASSPHRASE, or name a passphrase file")?;
        Ok(Self(Zeroizing::new(text.into_bytes())))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Genesis::decode(&bytes).with_context(|| format!("{} is no genesis", path.display()))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)?;
    Ok(())
}
