//! C-CDA documents, each of another patient.

use interop::ccda::{self, Record, ccd, map};
use interop::synth::patient_bundle;
use serde::Serialize;
use serde_json::Value;

use super::MEMBER;
use crate::bench::limits::rate;
use crate::bench::net::Net;
use crate::bench::timed::{Load, Run, Timed};
use crate::client::Request;

const SEED: u64 = 6;
/// 1 June 2026.
const NOON: i64 = 1_780_315_200_000;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    document_bytes: usize,
    /// A document read and mapped to FHIR, one core.
    map_per_s: f64,
    run: Run,
}

pub(super) async fn measure(net: &Net, load: Load, bare_per_s: f64) -> anyhow::Result<Report> {
    let client = net.clinician(MEMBER)?;
    let documents: Vec<String> = (0..load.requests).map(document).collect();
    let (client, all) = (&client, &documents);
    let timed = load.measure(|at| async move {
        let content = all.get(at).cloned().unwrap_or_default();
        let request = Request {
            body: content.into_bytes(),
            ..Request::default()
        };
        let request = request.with("content-type", "application/cda+xml")?;
        let path = "DocumentReference/$import-ccda";
        client.post(path, &request).await?.ok()?;
        Ok(())
    });
    let run = Timed::run("C-CDA imported", timed.await, bare_per_s);
    let bytes = documents.iter().map(String::len).sum::<usize>() / documents.len().max(1);
    Ok(Report {
        document_bytes: bytes,
        map_per_s: mapped(documents.first().map_or("", String::as_str)),
        run,
    })
}

impl Report {
    pub(super) fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "documents of {} KB, read and mapped {:.0}/s on a core\n{}",
            self.document_bytes / 1_000,
            self.map_per_s,
            self.run
        )
    }
}

fn mapped(document: &str) -> f64 {
    let limits = ccda::Limits::default();
    rate(|| {
        let read = ccda::read(document.as_bytes(), &limits);
        let mut new_url = || "urn:uuid:6f1c1d1e-0000-4000-8000-000000000000".to_owned();
        read.is_ok_and(|document| map(&document, &mut new_url).is_ok())
    })
}

/// The record of a synthetic patient.
fn document(number: usize) -> String {
    let bundle = patient_bundle(SEED, u64::try_from(number).unwrap_or_default());
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let resources: Vec<Value> = entries.map(|entry| entry["resource"].clone()).collect();
    let (patients, resources): (Vec<_>, Vec<_>) = resources
        .into_iter()
        .partition(|resource| resource["resourceType"] == "Patient");
    ccd(&Record {
        patient: patients.first().unwrap_or(&Value::Null),
        resources: &resources,
        custodian: "bench",
        id: &uuid::Uuid::from_u128(u128::try_from(number).unwrap_or_default()).to_string(),
        time_ms: NOON,
        gaps: &[],
    })
}
