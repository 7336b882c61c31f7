//! Kick-off, status, results and cancellation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use interop::fhir::{IssueType, ResourceType};
use ledger::codec;
use node::custody::Shelf;
use serde_json::{Value, json};
use uuid::Uuid;

use super::asked::Asked;
use super::job::{
    ERRORS, ExportRow, FileRow, JobRow, Progress, Work, chunk_key, patients_key, removal,
};
use super::worker::{KEPT_MS, Kind};
use super::{Desk, JOBS_MAX, import};
use crate::asker::Asker;
use crate::auth::Permission;
use crate::fhir::Caller;
use crate::problem::Problem;

/// Jobs of one client that run at once.
const RUNNING_MAX: usize = 4;
const RETRY_SECONDS: u64 = 2;

pub(super) async fn of_system(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let asked = Asked::read(&headers, &query, &body)?;
    let patients = desk.custody.patients()?;
    let url = format!("{}/$export?{query}", desk.base);
    start(&desk, &caller, asked, (url, patients, true)).await
}

pub(super) async fn of_patients(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let asked = Asked::read(&headers, &query, &body)?;
    let patients = desk.custody.patients()?;
    let url = format!("{}/Patient/$export?{query}", desk.base);
    start(&desk, &caller, asked, (url, patients, false)).await
}

pub(super) async fn of_group(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let asked = Asked::read(&headers, &query, &body)?;
    let kind = ResourceType::parse("Group").ok_or_else(Problem::not_found)?;
    caller.may(kind, Permission::Read)?;
    let by = caller.requester();
    let group = desk.custody.read(by, kind, &id).await?;
    let members = group.resource.get("member").and_then(Value::as_array);
    let named: BTreeSet<String> = members
        .into_iter()
        .flatten()
        .filter(|member| member["inactive"] != true)
        .filter_map(|member| member["entity"]["reference"].as_str())
        .filter_map(|reference| reference.strip_prefix("Patient/"))
        .map(str::to_owned)
        .collect();
    let url = format!("{}/Group/{id}/$export?{query}", desk.base);
    let patients = named.into_iter().collect();
    start(&desk, &caller, asked, (url, patients, false)).await
}

/// Starts a job, if the caller may have it.
async fn start(
    desk: &Desk,
    caller: &Caller,
    asked: Asked,
    (request, mut patients, with_directory): (String, Vec<String>, bool),
) -> Result<Response, Problem> {
    if caller.patient().is_some() {
        return Err(Problem::forbidden("a patient's token exports nothing"));
    }
    if asked.types.is_empty() {
        caller.may_on_all_types(Permission::Read)?;
    }
    for resource_type in &asked.types {
        caller.may(*resource_type, Permission::Read)?;
    }
    if !asked.patients.is_empty() {
        patients.retain(|id| asked.patients.contains(id));
    }
    let export = ExportRow {
        types: asked.types.iter().map(ToString::to_string).collect(),
        since: asked.since,
        filters: asked.filters,
        elements: asked.elements,
        patients: u64::try_from(patients.len()).unwrap_or(u64::MAX),
        done: 0,
        with_directory,
    };
    let listed = codec::encode(&patients);
    let work = (Work::Export(export), Some(listed));
    begin(desk, caller, request, work).await
}

/// Puts a job down, and answers where it can be asked about.
pub(super) async fn begin(
    desk: &Desk,
    caller: &Caller,
    request: String,
    (work, patients): (Work, Option<Vec<u8>>),
) -> Result<Response, Problem> {
    let (now, id) = (desk.now(), Uuid::new_v4());
    let place = match work {
        Work::Export(_) => format!("{}/$export-status/{id}", desk.base),
        Work::Import(_) => format!("{}/$import-status/{id}", desk.base),
    };
    let job = JobRow {
        by: Asker::of(caller),
        request,
        started_at: now,
        progress: Progress::Running,
        ended_at: now,
        files: Vec::new(),
        work,
    };
    let kind = Kind::of(&job.work);
    let mut jobs = desk.jobs.lock().await;
    let running = jobs
        .values()
        .filter(|job| job.by.client == caller.client() && job.progress == Progress::Running);
    if running.count() >= RUNNING_MAX || jobs.len() >= JOBS_MAX {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            IssueType::Throttled,
            "there are too many bulk jobs: ask again when one has ended",
        ));
    }
    let mut writes = vec![job.saved(id)];
    writes.extend(patients.map(|listed| (patients_key(id), Some(listed))));
    desk.custody.shelve(Shelf::Bulk, writes).await?;
    jobs.insert(id, job);
    drop(jobs);
    kind.bell(desk).notify_one();
    let mut response = StatusCode::ACCEPTED.into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response
            .headers_mut()
            .insert(header::CONTENT_LOCATION, place);
    }
    Ok(response)
}

pub(super) async fn status(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, job) = own(&desk, &caller, &id).await?;
    match job.progress {
        Progress::Running => {
            let mut response = StatusCode::ACCEPTED.into_response();
            let headers = response.headers_mut();
            if let Ok(said) = HeaderValue::from_str(&said_of(&job.work)) {
                headers.insert("x-progress", said);
            }
            headers.insert(header::RETRY_AFTER, RETRY_SECONDS.into());
            Ok(response)
        }
        Progress::Failed => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueType::Exception,
            "the job cannot go on; start another one",
        )),
        Progress::Done => Ok(manifest(&desk, id, &job)),
    }
}

/// How far it is.
fn said_of(work: &Work) -> String {
    match work {
        Work::Export(export) => {
            let done = export.done.min(export.patients);
            format!("{done} of {} patients", export.patients)
        }
        Work::Import(import) => import::progress(import),
    }
}

fn manifest(desk: &Desk, id: Uuid, job: &JobRow) -> Response {
    let manifest = match &job.work {
        Work::Export(_) => of_export(desk, id, job),
        Work::Import(import) => import::manifest(&desk.base, id, job, import),
    };
    let mut response = axum::Json(manifest).into_response();
    let expires = Duration::from_millis(job.ended_at.saturating_add(KEPT_MS));
    let expires = UNIX_EPOCH.checked_add(expires).map(httpdate::fmt_http_date);
    if let Some(Ok(expires)) = expires.map(|text| HeaderValue::from_str(&text)) {
        response.headers_mut().insert(header::EXPIRES, expires);
    }
    response
}

fn of_export(desk: &Desk, id: Uuid, job: &JobRow) -> Value {
    let listed = |file: &FileRow| {
        let kind = if file.name == ERRORS {
            "OperationOutcome"
        } else {
            &file.name
        };
        json!({
            "type": kind,
            "url": format!("{}/$export-file/{id}/{}", desk.base, file.name),
            "count": file.resources,
        })
    };
    let (errors, output): (Vec<&FileRow>, Vec<&FileRow>) =
        job.files.iter().partition(|file| file.name == ERRORS);
    let output: Vec<Value> = output.into_iter().map(listed).collect();
    let errors: Vec<Value> = errors.into_iter().map(listed).collect();
    json!({
        "transactionTime": job.started(),
        "request": job.request,
        "requiresAccessToken": true,
        "output": output,
        "error": errors,
    })
}

pub(super) async fn file(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (id, job) = own(&desk, &caller, &id).await?;
    let file = job.files.iter().find(|file| file.name == name);
    let chunks = match file {
        Some(file) if job.progress == Progress::Done => file.chunks,
        _ => return Err(Problem::not_found()),
    };
    // The token says what its bearer may read now, which may be less than when the export began.
    if let Some(kind) = ResourceType::parse(&name) {
        caller.may(kind, Permission::Read)?;
    }
    let custody = desk.custody.clone();
    let lines = (0..chunks).map(move |chunk| {
        let lines = custody.shelved(Shelf::Bulk, &chunk_key(id, &name, chunk));
        match lines {
            Ok(Some(lines)) => Ok(Bytes::from(lines)),
            // Expired or cancelled meanwhile: the answer ends without its end.
            Ok(None) => Err(std::io::Error::other("a result is gone")),
            Err(_) => Err(std::io::Error::other("a result cannot be read")),
        }
    });
    let mut response = Response::new(Body::from_stream(stream::iter(lines)));
    let kind = HeaderValue::from_static("application/fhir+ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Ends a job, and removes what there is of it.
pub(super) async fn cancel(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, _) = own(&desk, &caller, &id).await?;
    let mut jobs = desk.jobs.lock().await;
    let job = jobs.get(&id).ok_or_else(Problem::not_found)?;
    desk.custody.shelve(Shelf::Bulk, removal(id, job)).await?;
    jobs.remove(&id);
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A job of the caller that has not expired; others' are not there.
async fn own(desk: &Desk, caller: &Caller, id: &str) -> Result<(Uuid, JobRow), Problem> {
    let id: Uuid = id.parse().map_err(|_| Problem::not_found())?;
    let jobs = desk.jobs.lock().await;
    let job = jobs.get(&id).filter(|job| job.by.client == caller.client());
    let is_kept = |job: &&JobRow| {
        let until = job.ended_at.saturating_add(KEPT_MS);
        job.progress == Progress::Running || desk.now() < until
    };
    let job = job.filter(is_kept).filter(|_| caller.patient().is_none());
    job.map(|job| (id, job.clone()))
        .ok_or_else(Problem::not_found)
}
