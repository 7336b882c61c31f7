//! Four members on this machine, a patient at each, and what all of them have to agree on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::{export, trust};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ledger::genesis::Rules;
use ledger::succession::Succession;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use super::traffic::{Acknowledged, Traffic};
use crate::client::{self, Client, User};
use crate::demo::{Processes, free_ports, interfaces, open_wallets};
use crate::network::{Founding, KeyType, Layout, found, read_genesis, read_json};
use crate::receipt::fetch;
use crate::status::{ReadyAnswer, TipAnswer, tip};
use crate::wallet::{View, clerk};

pub(super) const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
const PORT_BASE: u16 = 12_101;
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
const CHECKS_AT_ONCE: usize = 16;

pub(super) struct Net {
    pub(super) layout: Layout,
    pub(super) processes: Processes,
    pub(super) random: StdRng,
    view: View,
    folder: PathBuf,
    patients: BTreeMap<&'static str, String>,
}

impl Net {
    pub(super) async fn start(seed: u64) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("careledger-faults-{}", std::process::id()));
        let layout = Layout::at(&folder);
        let members = MEMBERS.iter().map(|name| name.parse());
        let founding = Founding {
            name: "faults".to_owned(),
            key_type: KeyType::default(),
            members: members.collect::<Result<_, _>>()?,
            port_base: free_ports(PORT_BASE, 4)?,
            // Short, so that nodes fall behind over the ends of epochs, too.
            rules: Rules {
                epoch_blocks: 50,
                ..Rules::default()
            },
        };
        found(&layout, &founding)?;
        interfaces::configure(&layout)?;
        let view = View::read(&layout, client::http()?)?;
        let processes = Processes::start(&layout, &view.network).await?;
        let mut net = Self {
            layout,
            processes,
            random: StdRng::seed_from_u64(seed),
            view,
            folder,
            patients: BTreeMap::new(),
        };
        net.enroll().await?;
        Ok(net)
    }

    async fn enroll(&mut self) -> anyhow::Result<()> {
        let wallets = open_wallets(&self.layout)?;
        wallets.create(&["patient".to_owned()])?;
        let mut wallet = wallets.wallet("patient")?;
        for member in MEMBERS {
            let credential = self.layout.member(member).credential("clerk");
            let clerk = clerk(&self.view, &credential)?;
            wallet.enroll(&self.view, member, &clerk).await?;
            let patient = wallet.patient_at(member)?.to_owned();
            self.patients.insert(member, patient);
        }
        Ok(())
    }

    /// Starts to write at all members.
    pub(super) fn write(&self) -> anyhow::Result<Traffic> {
        self.write_at(&MEMBERS)
    }

    pub(super) fn write_at(&self, members: &[&'static str]) -> anyhow::Result<Traffic> {
        let mut writers = Vec::new();
        for member in members {
            let patient = self.patients.get(member).context("no patient")?;
            writers.push((*member, self.client(member)?, patient.clone()));
        }
        Ok(Traffic::start(writers))
    }

    /// The patient's id at a member.
    pub(super) fn patient(&self, member: &str) -> anyhow::Result<String> {
        let patient = self.patients.get(member);
        Ok(patient.context("no patient")?.clone())
    }

    pub(super) fn client(&self, member: &str) -> anyhow::Result<Client> {
        let credential = read_json(&self.layout.member(member).credential("ehr"))?;
        let user = User {
            purpose: "TREAT".to_owned(),
            practitioner: None,
            role: Some("physician".to_owned()),
        };
        Client::of_system(&self.view.http, &credential, user, "system/*.cruds")
    }

    pub(super) fn url(&self, member: &str) -> anyhow::Result<String> {
        let mut entries = self.view.network.members.iter();
        let entry = entries.find(|entry| entry.member == member);
        Ok(entry.context("no such member")?.base_url.clone())
    }

    /// Waits until nothing is on its way, and all ledgers stand at one block.
    pub(super) async fn settle(&self) -> anyhow::Result<TipAnswer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut is_calm = true;
            let mut tips = Vec::new();
            for member in MEMBERS {
                let url = self.url(member)?;
                let ready = self.view.http.get(format!("{url}/ready")).send().await?;
                let ready: ReadyAnswer = ready.json().await?;
                is_calm &= ready.outbox_depth == 0 && ready.outbox_stopped == 0;
                tips.push(tip(&self.view.http, &url).await?);
            }
            let first = tips.pop().context("no members")?;
            if is_calm && tips.iter().all(|tip| *tip == first) {
                return Ok(first);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the ledgers do not come to one block"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Reads each acknowledged version, compares it, and verifies its receipt from the genesis.
    pub(super) async fn check_all(&self, all: &[Acknowledged]) -> anyhow::Result<()> {
        let genesis = read_genesis(&self.layout.genesis_file())?;
        let succession = self.succession().await?;
        let trust = trust::trust(&genesis, succession.as_ref())?;
        let clients = MEMBERS.map(|member| Ok((member, self.client(member)?)));
        let clients: BTreeMap<_, _> = clients.into_iter().collect::<anyhow::Result<_>>()?;
        let check = |one: &Acknowledged| {
            let (one, clients, trust) = (one.clone(), &clients, &trust);
            async move {
                let context = || format!("{} acknowledged by {}", one.reference, one.member);
                let client = clients.get(one.member).with_context(context)?;
                let read = client
                    .get(&one.reference)
                    .await?
                    .ok()
                    .with_context(context)?;
                let value = read.json()?.pointer("/valueQuantity/value").cloned();
                anyhow::ensure!(
                    value == Some(Value::from(one.value)),
                    "{} is not what was acknowledged",
                    one.reference
                );
                let proof = fetch(client, &one.reference).await.with_context(context)?;
                let proof = export::Export::decode(&proof)?;
                export::verify(&proof, trust).with_context(context)?;
                anyhow::Ok(())
            }
        };
        stream::iter(all.iter().map(check))
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn succession(&self) -> anyhow::Result<Option<Succession>> {
        let url = format!("{}/network/succession", self.url("clinic")?);
        let answer = self.view.http.get(url).send().await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        Ok(Some(Succession::decode(&answer.bytes().await?)?))
    }

    /// Kills all nodes, and has `verify --self` find each of them sound.
    pub(super) async fn all_sound(&mut self) -> anyhow::Result<()> {
        for member in MEMBERS {
            if self.processes.is_running(member) {
                self.processes.kill(member).await?;
            }
        }
        for member in MEMBERS {
            let output = self.verify(member, &[])?;
            anyhow::ensure!(
                output.status.success(),
                "{member} is not sound: {}",
                said(&output)
            );
        }
        Ok(())
    }

    /// `careledger verify --self` on a member's stopped node.
    pub(super) fn verify(&self, member: &str, options: &[&str]) -> anyhow::Result<Output> {
        let config = self.layout.member(member).config();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["verify", "--self", "--config"])
            .arg(config)
            .args(options);
        Ok(command.output()?)
    }

    /// Stops all; removes the folder if nothing has to be looked at.
    pub(super) async fn end(self, is_done: bool) -> anyhow::Result<PathBuf> {
        self.processes.stop().await?;
        if is_done {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(self.folder)
    }
}

/// What a process printed.
pub(super) fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}
