//! Filling a store up to a number of resources, and what is measured then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::MEMBER;
use super::people::{self, PATIENTS_PER_BUNDLE, RESOURCES};
use crate::bench::net::Net;
use crate::bench::timed::{Load, Run, Timed};
use crate::client::{Client, Request};

/// Bundles under way at once.
const BUNDLES_AT_ONCE: usize = 4;
/// Numbers that are far apart, so that requests go all over the store.
const STRIDE: usize = 7_919;

/// The member that is measured.
pub(super) struct Site {
    pub(super) client: Arc<Client>,
    pub(super) net: Net,
    /// The folder of its records.
    pub(super) records: PathBuf,
    pub(super) load: Load,
    /// Patients that are written.
    pub(super) patients: usize,
    pub(super) bare_per_s: f64,
}

/// What was measured at one size.
#[derive(Debug, Serialize)]
pub(super) struct Filled {
    pub(super) resources: usize,
    /// While it was filled, in transactions.
    pub(super) resources_per_s: f64,
    pub(super) memory_bytes: Option<u64>,
    pub(super) records_bytes: u64,
    pub(super) runs: Vec<Run>,
}

impl Site {
    pub(super) async fn measure_at(&mut self, resources: usize) -> anyhow::Result<Filled> {
        let patients = resources.div_ceil(RESOURCES).max(1);
        let resources_per_s = self.fill(patients).await?;
        let mut runs = vec![self.transactions().await];
        runs.push(self.creates().await);
        let one = |name, path| self.gets(name, self.load.requests, path);
        let few = |name, path| self.gets(name, self.load.requests / 10, path);
        runs.push(one("read", read).await);
        runs.push(one("search identifier", by_identifier).await);
        runs.push(one("search patient, code", by_patient_and_code).await);
        runs.push(few("search code", by_code).await);
        runs.push(few("search date", by_date).await);
        runs.push(few("search name", by_name).await);
        runs.push(few("search chained", chained).await);
        runs.push(few("$everything", everything).await);
        Ok(Filled {
            resources: patients * RESOURCES,
            resources_per_s,
            memory_bytes: self.net.resident(MEMBER),
            records_bytes: bytes_in(&self.records),
            runs,
        })
    }

    /// Writes patients until there are so many; returns the resources a second.
    async fn fill(&mut self, patients: usize) -> anyhow::Result<f64> {
        let first = self.patients;
        let missing = patients.saturating_sub(first);
        let load = Load {
            requests: missing.div_ceil(PATIENTS_PER_BUNDLE),
            at_once: BUNDLES_AT_ONCE,
        };
        let timed = load.measure(|at| {
            let from = first + at * PATIENTS_PER_BUNDLE;
            self.transact(from..(from + PATIENTS_PER_BUNDLE).min(patients))
        });
        let rate = timed.await?.rate();
        self.patients = patients.max(first);
        let bundles = load.requests.max(1);
        let each = u32::try_from(missing * RESOURCES / bundles).unwrap_or(u32::MAX);
        Ok(if missing == 0 {
            0.0
        } else {
            rate * f64::from(each)
        })
    }

    /// Transactions that replace what is there.
    async fn transactions(&self) -> Run {
        let bundles = self.patients.div_ceil(PATIENTS_PER_BUNDLE);
        let load = Load {
            requests: bundles.min(self.load.requests / 50).max(1),
            at_once: BUNDLES_AT_ONCE,
        };
        let timed = load.measure(|at| {
            let from = at % bundles * PATIENTS_PER_BUNDLE;
            self.transact(from..(from + PATIENTS_PER_BUNDLE).min(self.patients))
        });
        Timed::run("transaction of 100", timed.await, self.bare_per_s)
    }

    async fn creates(&self) -> Run {
        let timed = self.load.measure(|at| {
            let observation = people::observation(self.spread(at), at);
            let client = Arc::clone(&self.client);
            async move {
                client
                    .post("Observation", &Request::json(&observation))
                    .await?
                    .ok()?;
                Ok(())
            }
        });
        Timed::run("create", timed.await, self.bare_per_s)
    }

    async fn gets(
        &self,
        name: &'static str,
        requests: usize,
        path: fn(usize, usize) -> String,
    ) -> Run {
        let load = Load {
            requests: requests.max(1),
            ..self.load
        };
        let timed = load.measure(|at| {
            let path = path(self.spread(at), at);
            let client = Arc::clone(&self.client);
            async move {
                client.get(&path).await?.ok()?;
                Ok(())
            }
        });
        Timed::run(name, timed.await, self.bare_per_s)
    }

    fn transact(
        &self,
        patients: std::ops::Range<usize>,
    ) -> impl Future<Output = anyhow::Result<()>> {
        let client = Arc::clone(&self.client);
        async move {
            let request = Request::json(&people::bundle(patients));
            client.post("", &request).await?.ok()?;
            Ok(())
        }
    }

    /// A patient, another one each time.
    fn spread(&self, at: usize) -> usize {
        at.wrapping_mul(STRIDE) % self.patients.max(1)
    }
}

fn read(patient: usize, at: usize) -> String {
    format!("Observation/{}", people::observation_id(patient, at))
}

fn by_identifier(patient: usize, _: usize) -> String {
    format!("Patient?identifier={}", people::identifier(patient))
}

fn by_patient_and_code(patient: usize, at: usize) -> String {
    let (id, code) = (people::patient_id(patient), people::code(patient, at));
    format!("Observation?patient={id}&code=urn:bench:code|{code}&_count=20")
}

fn by_code(patient: usize, at: usize) -> String {
    let code = people::code(patient, at);
    format!("Observation?code=urn:bench:code|{code}&_count=20")
}

fn by_date(patient: usize, at: usize) -> String {
    format!("Observation?date={}&_count=20", people::day(patient, at))
}

fn by_name(patient: usize, _: usize) -> String {
    format!("Patient?family=Family{}&_count=20", patient % 997)
}

fn chained(patient: usize, at: usize) -> String {
    let (identifier, code) = (people::identifier(patient), people::code(patient, at));
    format!("Observation?patient.identifier={identifier}&code=urn:bench:code|{code}&_count=20")
}

fn everything(patient: usize, _: usize) -> String {
    format!("Patient/{}/$everything", people::patient_id(patient))
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => bytes_in(&entry.path()),
        Ok(of) => of.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
