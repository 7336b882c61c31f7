//! Bulk export (Bulk Data Access 2.0): a job that goes from patient to patient, decides and records each as a read does, and
//! keeps its results sealed until they expire. Bulk import (the manifest of the proposal for `$import`): a job that fetches
//! files and writes them line by line.
//!
//! # Invariants
//! - **B1** Each patient's access is on record before anything of that patient is in a result.
//! - **B2** Results, and how far the job has come, become durable together: after a crash it goes on from there.
//! - **B3** A job and its results are there for the client alone that started it, until they expire.
//! - **B4** A line is written once: before it is, it is durable which version the document had. After a crash a document that
//!   has a later one was written.
//! - **B5** Files are fetched from origins that the operator has named, and from nowhere else.

mod asked;
mod export;
mod import;
mod job;
mod routes;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use ledger::ids::MemberName;
use node::custody::{Custody, CustodyError, Shelf, ShelfChange};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::auth::{AuthorizationServer, Clock};
use crate::fhir::{WriteRules, authenticate};
use import::Files;
use job::{JOBS, JobRow, Progress, read};
use worker::Kind;

pub use import::ImportConfig;

/// Jobs that are kept at most, running or not.
const JOBS_MAX: usize = 1_000;

/// The bulk jobs of one node; the last handle to go ends what works on them.
pub(crate) struct Bulk {
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

struct Desk {
    custody: Custody,
    member: MemberName,
    /// `…/fhir`, without a slash at its end.
    base: String,
    clock: Clock,
    files: Files,
    rules: WriteRules,
    jobs: Mutex<BTreeMap<Uuid, JobRow>>,
    exports: Notify,
    imports: Notify,
}

impl Bulk {
    /// Goes on with the jobs that a stop interrupted.
    pub(crate) fn start(
        custody: Custody,
        member: MemberName,
        base: String,
        clock: Clock,
        (import, rules): (&ImportConfig, WriteRules),
    ) -> Self {
        let jobs = load(&custody).unwrap_or_else(|error| {
            tracing::error!(%error, "bulk jobs cannot be read: none goes on");
            BTreeMap::new()
        });
        let desk = Arc::new(Desk {
            custody,
            member,
            base,
            clock,
            files: Files::new(import),
            rules,
            jobs: Mutex::new(jobs),
            exports: Notify::new(),
            imports: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        for kind in [Kind::Export, Kind::Import] {
            tasks.spawn(worker::run(Arc::clone(&desk), kind));
        }
        Self { desk, tasks }
    }
}

fn load(custody: &Custody) -> Result<BTreeMap<Uuid, JobRow>, CustodyError> {
    let mut jobs = BTreeMap::new();
    for (key, row) in custody.shelved_under(Shelf::Bulk, JOBS, JOBS_MAX)? {
        let id = key
            .get(JOBS.len()..)
            .and_then(|id| Uuid::from_slice(id).ok());
        if let Some(id) = id {
            jobs.insert(id, read(&row)?);
        }
    }
    Ok(jobs)
}

/// The routes of bulk export and import; they go before those of all types.
pub(crate) fn routes(bulk: Bulk, auth: Arc<AuthorizationServer>) -> Router {
    let system = get(routes::of_system).post(routes::of_system);
    let patients = get(routes::of_patients).post(routes::of_patients);
    let group = get(routes::of_group).post(routes::of_group);
    Router::new()
        .route("/fhir/$export", system)
        .route("/fhir/Patient/$export", patients)
        .route("/fhir/Group/{id}/$export", group)
        .route(
            "/fhir/$export-status/{id}",
            get(routes::status).delete(routes::cancel),
        )
        .route("/fhir/$export-file/{id}/{name}", get(routes::file))
        .route("/fhir/$import", post(import::kick_off))
        .route(
            "/fhir/$import-status/{id}",
            get(routes::status).delete(routes::cancel),
        )
        .route("/fhir/$import-file/{id}/{name}", get(routes::file))
        .route_layer(from_fn_with_state(auth, authenticate))
        .with_state(bulk.desk)
        // The tasks end with the last route.
        .layer(Extension(Arc::new(bulk.tasks)))
}

impl Desk {
    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        self.clock.now().saturating_mul(1_000)
    }

    /// Puts a job down, with what its results gained; whether it is still wanted. Whoever cancelled it has removed its rows.
    async fn advance(
        &self,
        id: Uuid,
        mut job: JobRow,
        mut writes: Vec<ShelfChange>,
    ) -> Result<bool, CustodyError> {
        if job.progress != Progress::Running {
            job.ended_at = self.now();
        }
        writes.push(job.saved(id));
        let mut jobs = self.jobs.lock().await;
        let Some(current) = jobs.get_mut(&id) else {
            return Ok(false);
        };
        self.custody.shelve(Shelf::Bulk, writes).await?;
        *current = job;
        Ok(true)
    }
}
