//! Works on jobs: one export and one import at a time.

use std::sync::Arc;
use std::time::Duration;

use node::custody::{CustodyError, Shelf};
use tokio::sync::Notify;
use uuid::Uuid;

use super::job::{Progress, Work, removal};
use super::{Desk, export, import};

/// How long results are kept.
pub(super) const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// What one task works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Export,
    Import,
}

impl Kind {
    pub(super) fn of(work: &Work) -> Self {
        match work {
            Work::Export(_) => Self::Export,
            Work::Import(_) => Self::Import,
        }
    }

    /// What rings when there is such a job.
    pub(super) fn bell(self, desk: &Desk) -> &Notify {
        match self {
            Self::Export => &desk.exports,
            Self::Import => &desk.imports,
        }
    }
}

pub(super) async fn run(desk: Arc<Desk>, kind: Kind) {
    loop {
        sweep(&desk).await;
        let next = {
            let jobs = desk.jobs.lock().await;
            let running = jobs.iter().filter(|(_, job)| {
                job.progress == Progress::Running && Kind::of(&job.work) == kind
            });
            running
                .min_by_key(|(_, job)| job.started_at)
                .map(|(id, _)| *id)
        };
        let Some(id) = next else {
            // Whichever comes first: both lead to another look.
            let _either = tokio::time::timeout(LOOK_AGAIN, kind.bell(&desk).notified()).await;
            continue;
        };
        let done = match kind {
            Kind::Export => export::step(&desk, id).await,
            Kind::Import => import::step(&desk, id).await,
        };
        match done {
            Ok(()) => {}
            Err(CustodyError::Unavailable { .. } | CustodyError::DiskFull) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => fail(&desk, id, &error).await,
        }
    }
}

/// Lets go of results that have expired.
async fn sweep(desk: &Desk) {
    let now = desk.now();
    let mut jobs = desk.jobs.lock().await;
    let expired: Vec<Uuid> = jobs
        .iter()
        .filter(|(_, job)| job.progress != Progress::Running)
        .filter(|(_, job)| now >= job.ended_at.saturating_add(KEPT_MS))
        .map(|(id, _)| *id)
        .collect();
    for id in expired {
        if let Some(job) = jobs.get(&id) {
            let removed = desk.custody.shelve(Shelf::Bulk, removal(id, job)).await;
            match removed {
                Ok(()) => drop(jobs.remove(&id)),
                Err(error) => tracing::warn!(%error, "expired results wait to be removed"),
            }
        }
    }
}

async fn fail(desk: &Desk, id: Uuid, error: &CustodyError) {
    tracing::error!(%error, "a bulk job cannot go on");
    let mut jobs = desk.jobs.lock().await;
    if let Some(job) = jobs.get_mut(&id) {
        job.progress = Progress::Failed;
        job.ended_at = desk.now();
        let saved = desk.custody.shelve(Shelf::Bulk, vec![job.saved(id)]).await;
        if let Err(error) = saved {
            tracing::error!(%error, "that a bulk job failed is not durable");
        }
    }
}
