//! Works on jobs, one at a time, patient by patient.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType};
use node::custody::{CustodyError, Opened, Selection, Shelf, ShelfChange};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::job::{ERRORS, JobRow, Part, Progress, patients, patients_key, removal};
use super::{Desk, asked};

/// Lines that are gathered before they are written.
const GATHERED_BYTES: usize = 1 << 20;
/// How long results are kept.
pub(super) const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(desk: Arc<Desk>) {
    loop {
        sweep(&desk).await;
        let next = {
            let jobs = desk.jobs.lock().await;
            let running = jobs
                .iter()
                .filter(|(_, job)| job.progress == Progress::Running);
            running
                .min_by_key(|(_, job)| job.started_at)
                .map(|(id, _)| *id)
        };
        let Some(id) = next else {
            // Whichever comes first: both lead to another look.
            let _either = tokio::time::timeout(LOOK_AGAIN, desk.waiting.notified()).await;
            continue;
        };
        match step(&desk, id).await {
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

/// Exports patients until there is enough to write, and writes it with how far the job is.
async fn step(desk: &Desk, id: Uuid) -> Result<(), CustodyError> {
    let Some(mut job) = desk.jobs.lock().await.get(&id).cloned() else {
        return Ok(());
    };
    let listed = patients(&desk.custody, id)?;
    let selection = selection(&job)?;
    let by = job.requester(&desk.member);
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut gathered = 0_usize;
    let units = job.patients.saturating_add(u64::from(job.with_directory));
    while job.done < units && gathered < GATHERED_BYTES {
        let at = usize::try_from(job.done).unwrap_or(usize::MAX);
        let patient = listed.get(at).map(String::as_str);
        let exported = desk.custody.export_of(&by, patient, &selection).await;
        match exported {
            Ok(opened) => {
                for one in &opened {
                    gathered = gathered.saturating_add(add(&mut parts, &job, one));
                }
            }
            // Who is named and not here.
            Err(CustodyError::NotFound) => {}
            Err(CustodyError::Storage(_) | CustodyError::DamagedBlob(_)) => {
                tracing::error!("records of a patient cannot be exported: they are damaged");
                let outcome = OperationOutcome::of(Issue::error(
                    IssueType::Exception,
                    "the records of one patient cannot be read",
                ));
                let part = parts.entry(ERRORS.to_owned()).or_default();
                line(part, &outcome.to_value());
            }
            Err(error) => return Err(error),
        }
        job.done = job.done.saturating_add(1);
    }
    let mut writes: Vec<ShelfChange> = Vec::new();
    for (name, part) in parts {
        writes.push(job.append(id, &name, part));
    }
    if job.done >= units {
        job.progress = Progress::Done;
        job.ended_at = desk.now();
        writes.push((patients_key(id), None));
    }
    writes.push(job.saved(id));
    let mut jobs = desk.jobs.lock().await;
    // Whoever cancelled it meanwhile has removed its rows.
    let Some(current) = jobs.get_mut(&id) else {
        return Ok(());
    };
    desk.custody.shelve(Shelf::Bulk, writes).await?;
    *current = job;
    Ok(())
}

fn selection(job: &JobRow) -> Result<Selection, CustodyError> {
    let unreadable = || CustodyError::Storage("a job asks for what is not known".to_owned());
    let types = job.types.iter().map(|name| ResourceType::parse(name));
    let filters = job.filters.iter().map(|text| asked::query(text));
    Ok(Selection {
        types: types.collect::<Option<_>>().ok_or_else(unreadable)?,
        since_ms: job.since,
        filters: filters.collect::<Option<_>>().ok_or_else(unreadable)?,
    })
}

/// Adds a resource to the result of its type; how many bytes that are.
fn add(parts: &mut BTreeMap<String, Part>, job: &JobRow, opened: &Opened) -> usize {
    let kind = opened.resource.resource_type();
    let shown = only_elements(kind, opened.presented(), &job.elements);
    let part = parts.entry(kind.as_str().to_owned()).or_default();
    let before = part.lines.len();
    line(part, &shown);
    part.lines.len().saturating_sub(before)
}

fn line(part: &mut Part, value: &Value) {
    part.lines.extend(value.to_string().into_bytes());
    part.lines.push(b'\n');
    part.resources = part.resources.saturating_add(1);
}

/// `_elements`, of all types or as `Type.element`: these alone, with what every resource needs, and a tag that says so.
fn only_elements(kind: ResourceType, resource: Value, elements: &[String]) -> Value {
    let wanted: Vec<&str> = elements
        .iter()
        .filter_map(|element| match element.split_once('.') {
            Some((of, element)) => (of == kind.as_str()).then_some(element),
            None => Some(element.as_str()),
        })
        .collect();
    let Value::Object(object) = resource else {
        return resource;
    };
    if wanted.is_empty() {
        return object.into();
    }
    let always = ["resourceType", "id", "meta"];
    let mut kept: Map<String, Value> = object
        .into_iter()
        .filter(|(name, _)| {
            let base = name.trim_start_matches('_');
            always.contains(&base) || wanted.contains(&base)
        })
        .collect();
    let subsetted = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    if let Some(Value::Object(meta)) = kept.get_mut("meta") {
        match meta.get_mut("tag") {
            Some(Value::Array(tags)) => tags.push(subsetted),
            _ => {
                meta.insert("tag".to_owned(), json!([subsetted]));
            }
        }
    }
    kept.into()
}
