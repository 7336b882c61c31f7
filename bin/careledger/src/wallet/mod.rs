//! The patient's side: the root of a patient's keys, and what a patient does with it.

mod args;
mod command;
mod consent;
mod enroll;
mod guardians;
mod history;
mod learned;
mod life;
mod lineage;
mod notices;
mod recovery;
mod rotate;
mod share;
mod shown;
mod store;
mod succession;
mod take;

use std::collections::BTreeMap;

use anyhow::Context as _;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName, NetworkId};
use ledger::receipt::Trust;
use ledger::stream::{Branch, GrantedBranch, KeyEpoch, StreamKey};
use ledger::succession::Succession;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::lineage::Identity;
use crate::client::{Client, ClientKey, User};
use crate::network::{Layout, NetworkFile, read_genesis};

pub(crate) use args::WalletArgs;
pub(crate) use command::{clerk, run};
pub(crate) use consent::{Form, Power, Wish};
pub(crate) use enroll::enroll_with;
pub(crate) use guardians::{Circle, Guards};
pub(crate) use history::{Attempt, History};
pub(crate) use lineage::{Era, Lineage};
pub(crate) use store::WalletFolder;
pub(crate) use succession::rotate_root;

/// What a wallet knows of the network.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) network: NetworkFile,
    pub(crate) genesis: Genesis,
    pub(crate) http: reqwest::Client,
}

/// One patient's wallet.
pub(crate) struct Wallet {
    pub(crate) name: String,
    lineage: Lineage,
    /// The identity of a wallet that has recovered another one.
    own: Option<Identity>,
    pub(crate) state: State,
}

/// What a wallet remembers; no health data.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The patient's id at each member.
    pub(crate) patients: BTreeMap<String, String>,
    /// The consents that were filed.
    pub(crate) consents: Vec<Filed>,
    /// The number of the newest key of each branch that was rotated.
    #[serde(default)]
    pub(crate) epochs: BTreeMap<String, KeyEpoch>,
    /// What each later root began, the oldest first.
    #[serde(default)]
    pub(crate) eras: Vec<Era>,
    /// How many later roots there were when the wallet recovered them from another.
    #[serde(default)]
    pub(crate) recovered_eras: usize,
    /// The guardians that were set up, by the member that keeps what their shares open.
    #[serde(default)]
    pub(crate) guards: BTreeMap<String, Guards>,
}

/// A consent that was filed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filed {
    pub(crate) member: String,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) grantee: String,
    /// The resource as it was posted.
    pub(crate) consent: serde_json::Value,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({})", self.name)
    }
}

impl View {
    pub(crate) fn read(layout: &Layout, http: reqwest::Client) -> anyhow::Result<Self> {
        Ok(Self {
            network: layout.read()?,
            genesis: read_genesis(&layout.genesis_file())?,
            http,
        })
    }

    pub(crate) fn network_id(&self) -> NetworkId {
        self.genesis.network()
    }

    pub(crate) fn base_url(&self, member: &str) -> anyhow::Result<&str> {
        let entries = &self.network.members;
        let entry = entries.iter().find(|entry| entry.member == member);
        let entry = entry.with_context(|| format!("the network has no member `{member}`"))?;
        Ok(&entry.base_url)
    }

    fn members(&self) -> impl Iterator<Item = &MemberName> {
        self.genesis.members.iter().map(|member| &member.name)
    }

    /// What receipts are checked against.
    pub(crate) fn trust(
        &self,
        succession: Option<&Succession>,
    ) -> anyhow::Result<
        Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey> + use<>>,
    > {
        Ok(contracts::trust::trust(&self.genesis, succession)?)
    }
}

impl Wallet {
    fn new(name: &str, lineage: Lineage, own: Option<Identity>, state: State) -> Self {
        Self {
            name: name.to_owned(),
            lineage,
            own,
            state,
        }
    }

    /// The number of a branch's newest key.
    fn epoch(&self, branch: &Branch) -> KeyEpoch {
        self.state.epochs.get(&branch.name()).copied().unwrap_or(0)
    }

    /// All keys of a branch, the oldest first.
    fn keys(&self, network: NetworkId, branch: &Branch) -> Vec<GrantedBranch> {
        let epochs = 0..=self.epoch(branch);
        let key = |epoch| self.lineage.grant(network, branch, epoch);
        epochs.map(key).collect()
    }

    /// The streams of entries that members write about the patient.
    pub(crate) fn streams(&self, view: &View) -> Vec<(MemberName, StreamKey)> {
        let mut streams = Vec::new();
        for member in view.members() {
            for branch in Branch::all_of(member) {
                let keys = self.keys(view.network_id(), &branch);
                let keyed = keys.iter().map(|one| (member.clone(), one.key.entries()));
                streams.extend(keyed);
            }
        }
        streams
    }

    /// The patient's id at a member where the wallet is enrolled.
    pub(crate) fn patient_at(&self, member: &str) -> anyhow::Result<&str> {
        let id = self.state.patients.get(member);
        let id = id.with_context(|| format!("the wallet is not enrolled at {member}"))?;
        Ok(id)
    }

    /// A client that speaks for the patient at a member.
    pub(crate) fn client(&self, view: &View, member: &str) -> anyhow::Result<Client> {
        self.speaks(view, member, self.identity_at(member).seed())
    }

    fn speaks(
        &self,
        view: &View,
        member: &str,
        seed: Zeroizing<[u8; 32]>,
    ) -> anyhow::Result<Client> {
        let key = ClientKey::of_wallet(self.patient_at(member)?, seed);
        let user = User {
            purpose: "PATRQT".to_owned(),
            practitioner: None,
            role: None,
        };
        Ok(Client::new(&view.http, view.base_url(member)?, key, user))
    }
}
