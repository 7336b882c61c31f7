//! The step of an import: a file, some lines at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use interop::fhir::{IssueType, Resource, ResourceType};
use node::custody::{Change, CustodyError, Requester, ShelfChange};
use serde_json::{Value, json};
use uuid::Uuid;

use super::files::{FetchError, Line, Lines};
use crate::bulk::Desk;
use crate::bulk::job::{ImportRow, JobRow, Part, PlannedRow, Progress, Work};
use crate::fhir::written_as_sent;
use crate::problem::Problem;

/// Lines that are written together, and how many of them at once; their writes share syncs.
const LINES: usize = 256;
const AT_ONCE: usize = 32;
const BYTES: usize = 4 << 20;
const ATTEMPTS_MAX: u32 = 5;
/// The first pause after a fetch that failed; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Refusals of an input that are kept; more are counted.
const REFUSALS_MAX: u64 = 10_000;

/// Lines that come next.
#[derive(Default)]
struct Batch {
    lines: Vec<(u64, Result<Resource, Problem>)>,
    names: BTreeSet<(ResourceType, String)>,
    bytes: usize,
    /// The one that names a document which is in the batch already.
    held: Option<(u64, Resource, u64)>,
    is_last: bool,
    /// Where the file goes on behind it.
    end: (u64, u64),
}

/// Imports one file, or ends the job.
pub(in crate::bulk) async fn step(desk: &Desk, id: Uuid) -> Result<(), CustodyError> {
    let Some(mut job) = desk.jobs.lock().await.get(&id).cloned() else {
        return Ok(());
    };
    let Work::Import(mut import) = job.work.clone() else {
        return Ok(());
    };
    let at = usize::try_from(import.at).unwrap_or(usize::MAX);
    let Some(input) = import.inputs.get(at).cloned() else {
        job.progress = Progress::Done;
        desk.advance(id, job, Vec::new()).await?;
        return Ok(());
    };
    let opened = desk
        .files
        .open(&input.url, import.bytes, import.etag.as_deref())
        .await;
    let outcome = match opened {
        Ok(mut lines) => {
            import.etag.clone_from(&lines.etag);
            let kind = ResourceType::parse(&input.kind);
            let kind = kind.ok_or_else(|| {
                CustodyError::Storage("a job imports a type that is not known".to_owned())
            })?;
            let file = File { desk, id, at, kind };
            file.import(&mut job, &mut import, &mut lines).await?
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => failed(desk, (id, at), job, (import, error)).await,
    }
}

/// Tries again later, or leaves the file.
async fn failed(
    desk: &Desk,
    (id, at): (Uuid, usize),
    mut job: JobRow,
    (mut import, error): (ImportRow, FetchError),
) -> Result<(), CustodyError> {
    let pause = PAUSE.saturating_mul(1 << import.attempts.min(8));
    import.attempts = import.attempts.saturating_add(1);
    let mut writes = Vec::new();
    let is_over = !error.passes() || import.attempts >= ATTEMPTS_MAX;
    if is_over {
        let problem = Problem::new(
            axum::http::StatusCode::BAD_GATEWAY,
            IssueType::Incomplete,
            format!("{error}: what comes after this line was not imported"),
        );
        let line = import.lines;
        writes.extend(refuse(
            &mut job,
            &mut import,
            (id, at),
            vec![(line, problem)],
        ));
        next_input(&mut import);
    }
    job.work = Work::Import(import);
    let is_wanted = desk.advance(id, job, writes).await?;
    if is_wanted && !is_over {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

fn next_input(import: &mut ImportRow) {
    import.at = import.at.saturating_add(1);
    (import.bytes, import.lines, import.attempts) = (0, 0, 0);
    import.etag = None;
    import.planned = Vec::new();
}

/// A file that is being imported.
struct File<'a> {
    desk: &'a Desk,
    id: Uuid,
    at: usize,
    kind: ResourceType,
}

impl File<'_> {
    /// Imports to the end, or until it is cancelled or cannot be fetched.
    async fn import(
        &self,
        job: &mut JobRow,
        import: &mut ImportRow,
        lines: &mut Lines,
    ) -> Result<Result<(), FetchError>, CustodyError> {
        let by = job.by.requester(&self.desk.member);
        let mut batch = Batch::starting(import);
        loop {
            if let Err(error) = self.gather(&mut batch, lines, &import.source).await {
                return Ok(Err(error));
            }
            // What a crash left is known by the versions that were noted before it.
            let before = std::mem::take(&mut import.planned);
            import.planned = self.plan(&batch, &before)?;
            job.work = Work::Import(import.clone());
            if !self.desk.advance(self.id, job.clone(), Vec::new()).await? {
                return Ok(Ok(()));
            }
            let next = batch.next();
            let (written, refused) = self.write(&by, batch, &import.planned, &before).await?;
            let writes = refuse(job, import, (self.id, self.at), refused);
            if let Some(input) = import.inputs.get_mut(self.at) {
                input.written = input.written.saturating_add(written);
            }
            (import.bytes, import.lines) = next.end;
            import.attempts = 0;
            import.planned = Vec::new();
            let is_last = next.is_last;
            if is_last {
                next_input(import);
            }
            job.work = Work::Import(import.clone());
            let is_wanted = self.desk.advance(self.id, job.clone(), writes).await?;
            if is_last || !is_wanted {
                return Ok(Ok(()));
            }
            batch = next;
        }
    }

    /// Fills the batch.
    async fn gather(
        &self,
        batch: &mut Batch,
        lines: &mut Lines,
        source: &str,
    ) -> Result<(), FetchError> {
        if let Some((number, resource, end)) = batch.held.take() {
            batch.add(number, Ok(resource), end);
        }
        while batch.lines.len() < LINES && batch.bytes < BYTES {
            let Some(line) = lines.next().await? else {
                batch.is_last = true;
                return Ok(());
            };
            let number = batch.end.1.saturating_add(1);
            let read = match line {
                Line::TooLong => Err(Problem::malformed("the line is too long")),
                Line::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => {
                    batch.end = (lines.at, number);
                    continue;
                }
                Line::Whole(text) => {
                    batch.bytes = batch.bytes.saturating_add(text.len());
                    written_as_sent(&self.desk.rules, self.kind, &text, source)
                }
            };
            match read {
                Ok(resource) if batch.has(&resource) => {
                    batch.held = Some((number, resource, lines.at));
                    return Ok(());
                }
                read => batch.add(number, read, lines.at),
            }
        }
        Ok(())
    }

    /// Which version each document of the batch has now; what was noted before a crash stands.
    fn plan(&self, batch: &Batch, before: &[PlannedRow]) -> Result<Vec<PlannedRow>, CustodyError> {
        let mut planned = Vec::new();
        for (line, read) in &batch.lines {
            let Some(id) = read.as_ref().ok().and_then(Resource::id) else {
                continue;
            };
            let noted = before.iter().find(|one| one.line == *line);
            planned.push(match noted {
                Some(noted) => noted.clone(),
                None => PlannedRow {
                    line: *line,
                    last: self.desk.custody.last_version(self.kind, id)?,
                },
            });
        }
        Ok(planned)
    }

    /// Writes the batch: how many lines were, and which were refused.
    async fn write(
        &self,
        by: &Requester,
        batch: Batch,
        planned: &[PlannedRow],
        before: &[PlannedRow],
    ) -> Result<(u64, Vec<(u64, Problem)>), CustodyError> {
        let done = stream::iter(batch.lines).map(|(line, read)| async move {
            let resource = match read {
                Ok(resource) => resource,
                Err(problem) => return Ok((line, Some(problem))),
            };
            let plan = planned.iter().find(|one| one.line == line);
            let last = plan.and_then(|plan| plan.last);
            let was_noted = before.iter().any(|one| one.line == line);
            let outcome = self.update(by, resource, last).await;
            match outcome {
                Ok(()) => Ok((line, None)),
                Err(CustodyError::Exists | CustodyError::VersionConflict { .. }) if was_noted => {
                    Ok((line, None))
                }
                Err(error @ (CustodyError::Unavailable { .. } | CustodyError::DiskFull)) => {
                    Err(error)
                }
                Err(error @ CustodyError::Storage(_)) => Err(error),
                Err(error) => Ok((line, Some(error.into()))),
            }
        });
        let done: Vec<Result<(u64, Option<Problem>), CustodyError>> =
            done.buffered(AT_ONCE).collect().await;
        let (mut written, mut refused) = (0_u64, Vec::new());
        for one in done {
            match one? {
                (_, None) => written = written.saturating_add(1),
                (line, Some(problem)) => refused.push((line, problem)),
            }
        }
        Ok((written, refused))
    }

    /// Writes a document on top of this version.
    async fn update(
        &self,
        by: &Requester,
        resource: Resource,
        last: Option<u64>,
    ) -> Result<(), CustodyError> {
        let change = match last {
            None => Change::CreateAs { resource },
            Some(_) => Change::Update {
                resource,
                if_match: last,
            },
        };
        self.desk.custody.write(by, vec![change]).await.map(drop)
    }
}

impl Batch {
    fn starting(import: &ImportRow) -> Self {
        Self {
            end: (import.bytes, import.lines),
            ..Self::default()
        }
    }

    /// The batch after this one.
    fn next(&mut self) -> Self {
        Self {
            held: self.held.take(),
            is_last: self.is_last,
            end: self.end,
            ..Self::default()
        }
    }

    fn has(&self, resource: &Resource) -> bool {
        let id = resource.id().unwrap_or_default().to_owned();
        self.names.contains(&(resource.resource_type(), id))
    }

    fn add(&mut self, number: u64, read: Result<Resource, Problem>, end: u64) {
        if let Ok(resource) = &read {
            let id = resource.id().unwrap_or_default().to_owned();
            self.names.insert((resource.resource_type(), id));
        }
        self.lines.push((number, read));
        self.end = (end, number);
    }
}

/// Puts down what was refused, with the line and without what stands in it.
fn refuse(
    job: &mut JobRow,
    import: &mut ImportRow,
    (id, at): (Uuid, usize),
    refused: Vec<(u64, Problem)>,
) -> Vec<ShelfChange> {
    let Some(input) = import.inputs.get_mut(at) else {
        return Vec::new();
    };
    let mut part = Part::default();
    for (line, problem) in refused {
        input.refused = input.refused.saturating_add(1);
        if input.refused <= REFUSALS_MAX {
            part.add(&outcome(line, problem));
        }
    }
    if part.resources == 0 {
        return Vec::new();
    }
    vec![job.append(id, &input.refusals(), part)]
}

fn outcome(line: u64, problem: Problem) -> Value {
    let mut outcome = problem.into_outcome().to_value();
    outcome["extension"] = json!([{
        "url": "urn:careledger:extension:import-line",
        "valueUnsignedInt": line,
    }]);
    outcome
}
