//! Five members, a committee of three of them, and patients whose records one member holds and another one opens.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::consent::template::DataClass;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::bench::net::{Net, unbounded};
use crate::client::{Client, Request};
use crate::demo::open_wallets;
use crate::network::NodeFile;
use crate::wallet::{Wallet, Wish, clerk};

const MEMBERS: [&str; 5] = ["clinic", "hospital", "laboratory", "payer", "pharmacy"];
/// Who asks, and keeps copies.
const MEMBER: &str = "clinic";
const CUSTODIAN: &str = "hospital";
const K: usize = 3;
/// More than half of the members.
const VOTERS: usize = 4;
const PORT_BASE: u16 = 13_401;
const PATIENCE: Duration = Duration::from_secs(120);
/// Within which the custodian has placed copies of all that it has written.
const PLACED: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// Between looks for finality: what it adds to what is measured is half of it.
const LOOK: Duration = Duration::from_millis(1);

pub(super) struct Site {
    net: Net,
    patients: Vec<Wallet>,
    clinician: Client,
}

/// A record at the custodian.
pub(super) struct Written {
    /// Where the member that asks opens it.
    open: String,
}

impl Site {
    /// Founds the network in `folder`, starts it, and enrols patients who let the member that asks see laboratory results.
    pub(super) async fn found(folder: &Path, patients: usize) -> anyhow::Result<Self> {
        let net = Net::start(folder, &MEMBERS, PORT_BASE, |layout| {
            for member in MEMBERS {
                unbounded(layout, member)?;
            }
            copies_at(&layout.member(CUSTODIAN).config())
        });
        let net = net.await?;
        let mut site = Self {
            clinician: net.clinician(MEMBER)?,
            net,
            patients: Vec::new(),
        };
        let names: Vec<String> = (0..patients).map(|at| format!("patient-{at}")).collect();
        let wallets = open_wallets(&site.net.layout)?;
        wallets.create(&names)?;
        for name in names {
            let mut wallet = wallets.wallet(&name)?;
            site.enroll(&mut wallet).await?;
            site.patients.push(wallet);
        }
        Ok(site)
    }

    async fn enroll(&self, wallet: &mut Wallet) -> anyhow::Result<()> {
        for member in MEMBERS {
            let credential = self.net.layout.member(member).credential("clerk");
            let clerk = clerk(&self.net.view, &credential)?;
            wallet.enroll(&self.net.view, member, &clerk).await?;
        }
        let wish = Wish {
            through: MEMBER,
            grantee: MEMBER,
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            lasts: Duration::from_secs(86_400),
        };
        wallet.grant(&self.net.view, &wish).await?;
        Ok(())
    }

    /// Has the members vote for a committee of all of them, and waits until it has its key.
    pub(super) async fn form_committee(&self) -> anyhow::Result<()> {
        let (k, members) = (K.to_string(), MEMBERS.join(","));
        let action = ["set-committee", "--k", &k, "--members", &members];
        self.governs(MEMBER, "propose", &action).await?;
        for voter in MEMBERS.iter().skip(1).take(VOTERS - 1) {
            self.governs(voter, "vote", &["1", "approve"]).await?;
        }
        let url = format!("{}/network/members", self.net.view.base_url(MEMBER)?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said: Value = self.net.view.http.get(&url).send().await?.json().await?;
            if said["committee"].is_object() {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the committee does not form");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn governs(&self, member: &str, task: &str, rest: &[&str]) -> anyhow::Result<()> {
        let config = self.net.layout.member(member).config();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["governance", task, "--config"]).arg(config);
        let output = command.args(rest).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{member} cannot {task}: {said}");
        Ok(())
    }

    /// Writes `each` records of every patient at the custodian, patient after patient.
    pub(super) async fn write(&self, each: usize) -> anyhow::Result<Vec<Written>> {
        let custodian = self.net.clinician(CUSTODIAN)?;
        let mut records = Vec::new();
        for wallet in &self.patients {
            for _ in 0..each {
                let id = observe(&custodian, wallet.patient_at(CUSTODIAN)?).await?;
                let open = format!(
                    "Patient/{}/$open?member={CUSTODIAN}&reference=Observation/{id}",
                    wallet.patient_at(MEMBER)?
                );
                records.push(Written { open });
            }
        }
        Ok(records)
    }

    /// Milliseconds from a write's answer until its entry is final, `count` times.
    pub(super) async fn finality(&self, count: usize) -> anyhow::Result<Vec<f64>> {
        let patient = self.patients.first().context("no patients")?;
        let patient = patient.patient_at(MEMBER)?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let id = observe(&self.clinician, patient).await?;
            let receipt = format!("Observation/{id}/_history/1/$receipt");
            let start = Instant::now();
            while self.clinician.get(&receipt).await?.ok()?.status() != 200 {
                anyhow::ensure!(start.elapsed() < PATIENCE, "a write does not become final");
                tokio::time::sleep(LOOK).await;
            }
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(times)
    }

    /// Milliseconds that each record takes to open.
    pub(super) async fn open_all(&self, records: &[Written]) -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::with_capacity(records.len());
        for record in records {
            let start = Instant::now();
            self.clinician.get(&record.open).await?.ok()?;
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(times)
    }

    /// Kills the custodian's node, and waits until the last record is released.
    pub(super) async fn lose_custodian(&mut self, records: &[Written]) -> anyhow::Result<()> {
        tokio::time::sleep(PLACED).await;
        self.net.processes.kill(CUSTODIAN).await?;
        let last = records.last().context("no records")?;
        let deadline = Instant::now() + PATIENCE;
        while self.clinician.get(&last.open).await?.status() != 200 {
            anyhow::ensure!(Instant::now() < deadline, "the last record is not released");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.net.processes.stop().await
    }
}

/// Has a member place copies with the one that asks.
fn copies_at(config: &Path) -> anyhow::Result<()> {
    let mut file = NodeFile::read(config)?;
    file.release.copies_at = vec![MEMBER.to_owned()];
    std::fs::write(config, toml::to_string_pretty(&file)?)?;
    Ok(())
}

/// Writes a laboratory result; gives its id.
async fn observe(clinician: &Client, patient: &str) -> anyhow::Result<String> {
    let observation = json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory",
        }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "718-7" }] },
        "subject": { "reference": format!("Patient/{patient}") },
    });
    let request = Request::json(&observation);
    let created = clinician.post("Observation", &request).await?.ok()?;
    created.created_id().context("no Location")
}
