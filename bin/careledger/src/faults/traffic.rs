//! Writers that remember what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{Client, Request};

/// Between two writes of one writer.
const PAUSE: Duration = Duration::from_millis(20);
/// After a write that was not acknowledged.
const RETRY: Duration = Duration::from_millis(100);
/// How many new documents come to one with a second version.
const UPDATED: u64 = 3;

/// A version that a member acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) member: &'static str,
    /// `Observation/ID/_history/VERSION`.
    pub(super) reference: String,
    pub(super) value: u64,
}

/// Writers at work.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Traffic {
    pub(super) fn start(writers: Vec<(&'static str, Client, String)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = writers.into_iter();
        let writers = writers.map(|(member, client, patient)| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move { write_until(member, &client, &patient, &stop).await })
        });
        Self {
            writers: writers.collect(),
            stop,
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<Vec<Acknowledged>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for writer in self.writers {
            all.extend(writer.await?);
        }
        Ok(all)
    }
}

async fn write_until(
    member: &'static str,
    client: &Client,
    patient: &str,
    stop: &AtomicBool,
) -> Vec<Acknowledged> {
    let mut all: Vec<Acknowledged> = Vec::new();
    let mut value = 0;
    while !stop.load(Ordering::Relaxed) {
        value += 1;
        let last = all.last().filter(|_| value % UPDATED == 0);
        let written = match last.and_then(|last| last.reference.split("/_history/").next()) {
            Some(document) => update(client, patient, document, value).await,
            None => create(client, patient, value).await,
        };
        match written {
            Ok(reference) => {
                all.push(Acknowledged {
                    member,
                    reference,
                    value,
                });
                tokio::time::sleep(PAUSE).await;
            }
            // The node is down; what it did not acknowledge may be lost.
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
    all
}

/// Writes a heart rate; returns its version once it is acknowledged.
pub(super) async fn create(client: &Client, patient: &str, value: u64) -> anyhow::Result<String> {
    let created = client
        .post("Observation", &body(patient, value))
        .await?
        .ok()?;
    let id = created.created_id().context("no Location")?;
    Ok(format!("Observation/{id}/_history/1"))
}

pub(super) fn body(patient: &str, value: u64) -> Request {
    Request::json(&heart_rate(patient, value))
}

async fn update(
    client: &Client,
    patient: &str,
    document: &str,
    value: u64,
) -> anyhow::Result<String> {
    let mut body = heart_rate(patient, value);
    let id = document.rsplit('/').next().context("no id")?;
    body["id"] = Value::from(id);
    let updated = client.put(document, &Request::json(&body)).await?.ok()?;
    let version = updated.version().context("no version")?;
    Ok(format!("{document}/_history/{version}"))
}

/// A document that is too large for the database.
pub(super) async fn create_large(client: &Client, patient: &str) -> anyhow::Result<String> {
    let body = json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": { "reference": format!("Patient/{patient}") },
        "content": [{ "attachment": { "contentType": "image/png", "data": "A".repeat(200_000) } }],
    });
    let created = client
        .post("DocumentReference", &Request::json(&body))
        .await?;
    let id = created.ok()?.created_id().context("no Location")?;
    Ok(format!("DocumentReference/{id}"))
}

fn heart_rate(patient: &str, value: u64) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "valueQuantity": { "value": value, "unit": "/min" },
    })
}
