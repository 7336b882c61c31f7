//! Step 7: one node is killed while everybody writes; then three are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::{PATIENCE, POLL, Story};
use crate::client::{Client, Request};
use crate::receipt::fetch;

const VICTIM: &str = "laboratory";
const SURVIVOR: &str = "clinic";
const BEFORE: Duration = Duration::from_secs(2);
const WITHOUT: Duration = Duration::from_secs(3);
const ALONE: usize = 5;
/// Between two writes of one writer.
const PAUSE: Duration = Duration::from_millis(10);
const CHECKS_AT_ONCE: usize = 16;

/// What a member acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    references: Vec<(Instant, String)>,
}

impl Story {
    pub(super) async fn faults(&mut self) -> anyhow::Result<String> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for member in ["hospital", SURVIVOR, VICTIM] {
            let client = self.clinician(member)?;
            let patient = self.hero_wallet()?.patient_at(member)?.to_owned();
            let stop = Arc::clone(&stop);
            writers.push((member, tokio::spawn(write_until(client, patient, stop))));
        }
        tokio::time::sleep(BEFORE).await;
        let killed = Instant::now();
        self.processes.kill(VICTIM).await?;
        tokio::time::sleep(WITHOUT).await;
        self.processes.restart(VICTIM).await?;
        let back = Instant::now();
        tokio::time::sleep(BEFORE).await;
        stop.store(true, Ordering::Relaxed);
        let (mut all, mut meanwhile) = (0, 0);
        let mut written = Vec::new();
        for (member, writer) in writers {
            let acknowledged = writer.await?;
            let during = |(at, _): &&(Instant, String)| *at > killed && *at < back;
            let count = acknowledged.references.iter().filter(during).count();
            anyhow::ensure!(
                member == VICTIM || count > 0,
                "{member} did not go on while {VICTIM} was down"
            );
            meanwhile += count;
            all += acknowledged.references.len();
            written.push((member, acknowledged));
        }
        self.settle().await?;
        let caught_up = back.elapsed();
        for (member, acknowledged) in &written {
            self.check_all(member, acknowledged).await?;
        }
        let alone = self.alone().await?;
        Ok(format!(
            "{VICTIM} was killed during writes: the others had {meanwhile} more acknowledged before it was back; all \
             {all} acknowledged versions are there and final ({:.1} s after its return at the latest); {alone}",
            caught_up.as_secs_f64()
        ))
    }

    /// With three of four members down, the last one works on its own records and anchors them afterwards.
    async fn alone(&mut self) -> anyhow::Result<String> {
        let others: Vec<String> = self
            .processes
            .members()
            .into_iter()
            .filter(|member| member != SURVIVOR)
            .collect();
        for member in &others {
            self.processes.kill(member).await?;
        }
        let client = self.clinician(SURVIVOR)?;
        let patient = self.hero_wallet()?.patient_at(SURVIVOR)?.to_owned();
        let mut acknowledged = Acknowledged::default();
        for _ in 0..ALONE {
            acknowledged
                .references
                .push((Instant::now(), write(&client, &patient).await?));
        }
        for (_, reference) in &acknowledged.references {
            client.get(reference).await?.ok()?;
            let receipt = client
                .get(&format!("{reference}/_history/1/$receipt"))
                .await?
                .ok()?;
            anyhow::ensure!(
                receipt.status() == 202,
                "a receipt was given without a quorum"
            );
        }
        for member in &others {
            self.processes.restart(member).await?;
        }
        self.settle().await?;
        self.check_all(SURVIVOR, &acknowledged).await?;
        Ok(format!(
            "with three of four killed, {SURVIVOR} wrote and read {ALONE} of its own records, which became final when \
             the others returned"
        ))
    }

    async fn check_all(&self, member: &str, acknowledged: &Acknowledged) -> anyhow::Result<()> {
        let client = &self.clinician(member)?;
        let check = |(_, reference): &(Instant, String)| {
            let reference = reference.clone();
            async move {
                let context = || format!("an acknowledged version at {member}");
                client.get(&reference).await?.ok().with_context(context)?;
                let receipt = fetch(client, &format!("{reference}/_history/1")).await;
                receipt.map(|_| ()).with_context(context)
            }
        };
        stream::iter(acknowledged.references.iter().map(check))
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_collect()
            .await
    }
}

async fn write_until(client: Client, patient: String, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let deadline = Instant::now() + PATIENCE;
    while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
        match write(&client, &patient).await {
            Ok(reference) => {
                acknowledged.references.push((Instant::now(), reference));
                tokio::time::sleep(PAUSE).await;
            }
            // The node is down; what it did not acknowledge may be lost.
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
    acknowledged
}

/// Writes a heart rate; returns its reference once it is acknowledged.
pub(super) async fn write(client: &Client, patient: &str) -> anyhow::Result<String> {
    let created = client
        .post("Observation", &Request::json(&heart_rate(patient)))
        .await?
        .ok()?;
    let id = created.created_id().context("no Location")?;
    Ok(format!("Observation/{id}"))
}

fn heart_rate(patient: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "vital-signs",
        }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "valueQuantity": { "value": 72, "unit": "/min" },
    })
}
