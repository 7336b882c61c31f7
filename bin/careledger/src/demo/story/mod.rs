//! The story that `careledger demo --check` goes through: each step fails the check unless it holds.

mod accounting;
mod arrival;
mod attempt;
mod browser;
mod consent;
mod delegation;
mod emergency;
mod erasure;
mod faults;
mod history;
mod limits;
mod messages;
mod privacy;
mod proofs;
mod recovery;
mod root;
mod rotation;
mod rounds;
mod subscriber;
mod versions;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Processes, open_wallets};
use crate::client::{self, Client, User};
use crate::import::{Record, Source};
use crate::network::{Layout, read_json};
use crate::said::say;
use crate::status::{TipAnswer, tip};
use crate::wallet::{View, Wallet, WalletFolder};

use attempt::Attempted;

const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(60);

/// What the steps share.
pub(super) struct Story {
    layout: Layout,
    view: View,
    wallets: WalletFolder,
    processes: Processes,
    sources: Vec<Source>,
    records: Vec<Record>,
    hero: Option<Hero>,
    /// What was asked of members so far, for the access history.
    attempts: Vec<Attempted>,
}

/// The patient of the story, and some records of theirs.
#[derive(Debug, Clone)]
struct Hero {
    wallet: String,
    /// A prescription at the hospital.
    medication: Record,
    /// A laboratory result at the laboratory.
    result: Record,
    /// A diagnosis at the hospital.
    diagnosis: Record,
    /// A sensitive record at another member than the clinic, if the patient has one.
    restricted: Option<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    outbox_depth: u64,
}

/// Tells the whole story; prints a line for each step.
pub(super) async fn tell(layout: &Layout, sources: Vec<Source>) -> anyhow::Result<()> {
    let view = View::read(layout, client::http()?)?;
    let wallets = open_wallets(layout)?;
    let processes = Processes::start(layout, &view.network).await?;
    let mut story = Story {
        layout: layout.clone(),
        view,
        wallets,
        processes,
        sources,
        records: Vec::new(),
        hero: None,
        attempts: Vec::new(),
    };
    let outcome = story.steps().await;
    story.processes.stop().await?;
    outcome
}

impl Story {
    async fn steps(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        line(1, "enrolment and import", start, self.arrive().await)?;
        let start = Instant::now();
        line(
            2,
            "consent opens what it permits",
            start,
            self.consent().await,
        )?;
        let start = Instant::now();
        line(
            3,
            "purpose, time and revocation",
            start,
            self.limits().await,
        )?;
        let start = Instant::now();
        line(4, "access history", start, self.history().await)?;
        let start = Instant::now();
        line(5, "versions", start, self.versions().await)?;
        let start = Instant::now();
        line(6, "offline verification", start, self.proofs().await)?;
        let start = Instant::now();
        line(7, "failures", start, self.faults().await)?;
        let start = Instant::now();
        line(8, "what the ledger gives away", start, self.privacy().await)?;
        let start = Instant::now();
        line(9, "break-glass", start, self.emergency().await)?;
        let start = Instant::now();
        line(10, "delegation", start, self.delegation().await)?;
        let start = Instant::now();
        line(
            11,
            "accounting of disclosures",
            start,
            self.accounting().await,
        )?;
        let start = Instant::now();
        line(12, "erasure with proof", start, self.erasure().await)?;
        let start = Instant::now();
        line(13, "rotation of branch keys", start, self.rotation().await)?;
        let start = Instant::now();
        line(14, "HL7 v2 over MLLP", start, self.messages().await)?;
        let start = Instant::now();
        line(15, "recovery by guardians", start, self.recovery().await)?;
        let start = Instant::now();
        line(16, "another root", start, self.root().await)
    }

    fn hero(&self) -> anyhow::Result<Hero> {
        self.hero.clone().context("step 1 did not choose a patient")
    }

    fn wallet(&self, name: &str) -> anyhow::Result<Wallet> {
        self.wallets.wallet(name)
    }

    /// A clinician at `member`.
    fn clinician(&self, member: &str) -> anyhow::Result<Client> {
        self.system(member, "ehr", "TREAT", Some("physician"))
    }

    /// A client system of `member`.
    fn system(
        &self,
        member: &str,
        system: &str,
        purpose: &str,
        role: Option<&str>,
    ) -> anyhow::Result<Client> {
        let credential = read_json(&self.layout.member(member).credential(system))?;
        let scope = if system == "ehr" {
            "system/*.cruds"
        } else {
            "system/*.rs"
        };
        let user = User {
            purpose: purpose.to_owned(),
            practitioner: role.map(|_| format!("Practitioner/{member}-1")),
            role: role.map(str::to_owned),
        };
        Client::of_system(&self.view.http, &credential, user, scope)
    }

    /// Waits until nothing is on its way to the ledger, and all ledgers stand at one block; returns where.
    async fn settle(&self) -> anyhow::Result<TipAnswer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut calm = true;
            for _ in 0..2 {
                for member in &self.view.network.members {
                    let url = format!("{}/ready", member.base_url);
                    let ready: Ready = self.view.http.get(url).send().await?.json().await?;
                    calm &= ready.outbox_depth == 0;
                }
                tokio::time::sleep(POLL * 2).await;
            }
            let mut tips = Vec::new();
            for member in &self.view.network.members {
                tips.push(tip(&self.view.http, &member.base_url).await?);
            }
            let first = tips.pop().context("the network has no members")?;
            if calm && tips.iter().all(|tip| *tip == first) {
                return Ok(first);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the ledgers do not come to one block"
            );
        }
    }
}

fn line(
    number: u8,
    title: &str,
    start: Instant,
    outcome: anyhow::Result<String>,
) -> anyhow::Result<()> {
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(said) => say(&format!(
            "step {number}  ok    {title}: {said} ({seconds:.1} s)"
        )),
        Err(error) => {
            say(&format!("step {number}  FAILED  {title}: {error:#}"))?;
            Err(error.context(format!("step {number} does not hold")))
        }
    }
}
