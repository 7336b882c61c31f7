//! What is durable of a job; `docs/formats/custody-store.md` has the rows.

use interop::fhir::timespan::format_instant;
use ledger::codec;
use minicbor::{Decode, Encode};
use node::custody::{Custody, CustodyError, Shelf, ShelfChange};
use serde_json::Value;
use uuid::Uuid;

use crate::asker::Asker;

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum Progress {
    #[n(0)]
    Running,
    #[n(1)]
    Done,
    /// It cannot go on.
    #[n(2)]
    Failed,
}

/// A job.
#[derive(Clone, Encode, Decode)]
pub(super) struct JobRow {
    #[n(0)]
    pub(super) by: Asker,
    /// The URL of the request.
    #[n(1)]
    pub(super) request: String,
    #[n(2)]
    pub(super) started_at: u64,
    #[n(3)]
    pub(super) progress: Progress,
    /// When it ended; until then when it was started.
    #[n(4)]
    pub(super) ended_at: u64,
    #[n(5)]
    pub(super) files: Vec<FileRow>,
    #[n(6)]
    pub(super) work: Work,
}

/// What a job does.
#[derive(Clone, Encode, Decode)]
pub(super) enum Work {
    #[n(0)]
    Export(#[n(0)] ExportRow),
    #[n(1)]
    Import(#[n(0)] ImportRow),
}

/// What is exported, and how far that is.
#[derive(Clone, Encode, Decode)]
pub(super) struct ExportRow {
    #[n(0)]
    pub(super) types: Vec<String>,
    #[n(1)]
    pub(super) since: Option<u64>,
    /// Searches, as they were sent.
    #[n(2)]
    pub(super) filters: Vec<String>,
    #[n(3)]
    pub(super) elements: Vec<String>,
    /// How many patients there are to do.
    #[n(4)]
    pub(super) patients: u64,
    /// How many are done.
    #[n(5)]
    pub(super) done: u64,
    /// Whether the member's directory comes after the patients.
    #[n(6)]
    pub(super) with_directory: bool,
}

/// What is imported, and how far that is.
#[derive(Clone, Encode, Decode)]
pub(super) struct ImportRow {
    /// Where the data is from, for `meta.source`.
    #[n(0)]
    pub(super) source: String,
    #[n(1)]
    pub(super) inputs: Vec<InputRow>,
    /// The input that is next in the order of work.
    #[n(2)]
    pub(super) at: u64,
    /// Bytes and lines of that input that are done.
    #[n(3)]
    pub(super) bytes: u64,
    #[n(4)]
    pub(super) lines: u64,
    /// Which state of the input that is, as its server names it.
    #[n(5)]
    pub(super) etag: Option<String>,
    /// Attempts to fetch it that failed in a row.
    #[n(6)]
    pub(super) attempts: u32,
    /// What is written next, from these lines on: each with the document's last version before.
    #[n(7)]
    pub(super) planned: Vec<PlannedRow>,
}

/// A file to import.
#[derive(Clone, Encode, Decode)]
pub(super) struct InputRow {
    #[n(0)]
    pub(super) kind: String,
    #[n(1)]
    pub(super) url: String,
    /// Its place in the request.
    #[n(2)]
    pub(super) place: u64,
    #[n(3)]
    pub(super) written: u64,
    #[n(4)]
    pub(super) refused: u64,
}

/// A line that is about to be written.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct PlannedRow {
    #[n(0)]
    pub(super) line: u64,
    #[n(1)]
    pub(super) last: Option<u64>,
}

/// A result: the resources of one type, or what could not be exported.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct FileRow {
    /// The type; `errors` for what could not be exported.
    #[n(0)]
    pub(super) name: String,
    #[n(1)]
    pub(super) resources: u64,
    #[n(2)]
    pub(super) chunks: u32,
}

/// The name of the file of what could not be exported.
pub(super) const ERRORS: &str = "errors";
/// The prefix of jobs.
pub(super) const JOBS: &[u8] = b"k";

impl JobRow {
    /// Appends to a result; what is to be written.
    pub(super) fn append(&mut self, id: Uuid, name: &str, part: Part) -> ShelfChange {
        let at = self.files.iter().position(|file| file.name == name);
        let at = at.unwrap_or_else(|| {
            self.files.push(FileRow {
                name: name.to_owned(),
                resources: 0,
                chunks: 0,
            });
            self.files.len().saturating_sub(1)
        });
        let mut chunk = 0;
        if let Some(file) = self.files.get_mut(at) {
            chunk = file.chunks;
            file.chunks = file.chunks.saturating_add(1);
            file.resources = file.resources.saturating_add(part.resources);
        }
        (chunk_key(id, name, chunk), Some(part.lines))
    }

    /// When it was started, as FHIR writes it.
    pub(super) fn started(&self) -> String {
        format_instant(i64::try_from(self.started_at).unwrap_or(i64::MAX))
    }

    pub(super) fn saved(&self, id: Uuid) -> ShelfChange {
        (job_key(id), Some(codec::encode(self)))
    }
}

/// Lines of NDJSON.
#[derive(Default)]
pub(super) struct Part {
    pub(super) lines: Vec<u8>,
    pub(super) resources: u64,
}

impl Part {
    pub(super) fn add(&mut self, value: &Value) {
        self.lines.extend(value.to_string().into_bytes());
        self.lines.push(b'\n');
        self.resources = self.resources.saturating_add(1);
    }
}

pub(super) fn job_key(id: Uuid) -> Vec<u8> {
    [JOBS, id.as_bytes()].concat()
}

/// The key of the list of a job's patients.
pub(super) fn patients_key(id: Uuid) -> Vec<u8> {
    [b"l".as_slice(), id.as_bytes()].concat()
}

fn chunks_of(id: Uuid) -> Vec<u8> {
    [b"f".as_slice(), id.as_bytes()].concat()
}

pub(super) fn chunk_key(id: Uuid, name: &str, chunk: u32) -> Vec<u8> {
    let mut key = chunks_of(id);
    key.extend(name.as_bytes());
    key.push(b'/');
    key.extend(chunk.to_be_bytes());
    key
}

/// What removes a job with its results.
pub(super) fn removal(id: Uuid, job: &JobRow) -> Vec<ShelfChange> {
    let mut writes = vec![(job_key(id), None), (patients_key(id), None)];
    for file in &job.files {
        let chunks = 0..file.chunks;
        writes.extend(chunks.map(|chunk| (chunk_key(id, &file.name, chunk), None)));
    }
    writes
}

/// The patients of a job.
pub(super) fn patients(custody: &Custody, id: Uuid) -> Result<Vec<String>, CustodyError> {
    let row = custody.shelved(Shelf::Bulk, &patients_key(id))?;
    let row = row.ok_or_else(|| CustodyError::Storage("a job has no patients".to_owned()))?;
    read(&row)
}

/// Reads a row that this node wrote.
pub(super) fn read<T>(bytes: &[u8]) -> Result<T, CustodyError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode("bulk job", bytes).map_err(|error| CustodyError::Storage(error.to_string()))
}
