//! `Patient/$match` among many patients.

use interop::synth::labelled_patients;
use serde::Serialize;
use serde_json::{Value, json};

use super::MEMBER;
use crate::bench::figures::mebibytes;
use crate::bench::net::Net;
use crate::bench::timed::{Load, Run, Timed};
use crate::client::Request;

const SEED: u64 = 7;
/// Patients in a transaction.
const TOGETHER: usize = 100;
const BUNDLES_AT_ONCE: usize = 4;
/// Numbers that are far apart, so that queries go all over the store.
const STRIDE: usize = 7_919;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    patients: usize,
    /// Transactions of a hundred patients.
    filled: Run,
    memory_mib: Option<f64>,
    /// One query at a time.
    alone: Run,
    together: Run,
    /// Of the queries, how many found the patient they are about as the first.
    found: usize,
    asked: usize,
}

pub(super) async fn measure(
    net: &Net,
    patients: usize,
    load: Load,
    bare_per_s: f64,
) -> anyhow::Result<Report> {
    let client = net.clinician(MEMBER)?;
    let people = u64::try_from(patients)?;
    let mut records = labelled_patients(SEED, people, 0).map(|one| one.resource);
    let bundles: Vec<Vec<u8>> = std::iter::from_fn(|| {
        let some: Vec<Value> = records.by_ref().take(TOGETHER).collect();
        (!some.is_empty()).then(|| bundle(some).to_string().into_bytes())
    })
    .collect();
    let filling = Load {
        requests: bundles.len(),
        at_once: BUNDLES_AT_ONCE,
    };
    let (client, bundles) = (&client, &bundles);
    let filled = filling.measure(|at| async move {
        let body = bundles.get(at).cloned().unwrap_or_default();
        let request = Request {
            body,
            ..Request::default()
        };
        client.post("", &request).await?.ok()?;
        Ok(())
    });
    let filled = Timed::run("100 patients written", filled.await, bare_per_s);
    let queries: Vec<Value> = labelled_patients(SEED, people, 0)
        .step_by((STRIDE % patients.max(1)).max(1))
        .take(load.requests)
        .map(|one| one.resource)
        .collect();
    let found = std::cell::Cell::new(0);
    let (queries, found) = (&queries, &found);
    let ask = |at: usize| async move {
        let query = queries.get(at % queries.len().max(1));
        let query = query.cloned().unwrap_or_default();
        let identifier = query["identifier"][0]["value"].clone();
        let asked = json!({ "resourceType": "Parameters",
            "parameter": [{ "name": "resource", "resource": query }] });
        let answer = client
            .post("Patient/$match", &Request::json(&asked))
            .await?;
        let first = answer.ok()?.json()?["entry"][0]["resource"].take();
        found.set(found.get() + usize::from(first["identifier"][0]["value"] == identifier));
        Ok(())
    };
    let alone = Load { at_once: 1, ..load }.measure(ask).await;
    let together = load.measure(ask).await;
    Ok(Report {
        patients,
        filled,
        memory_mib: net.resident(MEMBER).map(mebibytes),
        alone: Timed::run("$match, one at a time", alone, bare_per_s),
        together: Timed::run("$match", together, bare_per_s),
        found: found.get(),
        asked: load.requests * 2,
    })
}

impl Report {
    pub(super) fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{} patients; {:.0} MiB in memory\n{}\n{}\n{}\nfound as the first: {} of {}",
            self.patients,
            self.memory_mib.unwrap_or_default(),
            self.filled,
            self.alone,
            self.together,
            self.found,
            self.asked
        )
    }
}

fn bundle(patients: Vec<Value>) -> Value {
    let entries = patients.into_iter().map(|resource| {
        json!({ "resource": resource, "request": { "method": "POST", "url": "Patient" } })
    });
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries.collect::<Vec<_>>() })
}
