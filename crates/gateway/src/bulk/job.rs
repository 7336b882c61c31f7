//! What is durable of a job; `docs/formats/custody-store.md` has the rows.

use ledger::codec;
use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use node::custody::{Custody, CustodyError, Reach, Requester, Shelf, ShelfChange};
use uuid::Uuid;

use crate::fhir::reach;

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
    pub(super) client: String,
    #[n(1)]
    pub(super) practitioner: Option<String>,
    #[n(2)]
    pub(super) role: Option<String>,
    #[n(3)]
    pub(super) purpose: String,
    /// The URL of the request.
    #[n(4)]
    pub(super) request: String,
    #[n(5)]
    pub(super) types: Vec<String>,
    #[n(6)]
    pub(super) since: Option<u64>,
    /// Searches, as they were sent.
    #[n(7)]
    pub(super) filters: Vec<String>,
    #[n(8)]
    pub(super) elements: Vec<String>,
    #[n(9)]
    pub(super) started_at: u64,
    #[n(10)]
    pub(super) progress: Progress,
    /// When it ended; until then when it was started.
    #[n(11)]
    pub(super) ended_at: u64,
    /// How many patients there are to do.
    #[n(12)]
    pub(super) patients: u64,
    /// How many are done.
    #[n(13)]
    pub(super) done: u64,
    /// Whether the member's directory comes after the patients.
    #[n(14)]
    pub(super) with_directory: bool,
    #[n(15)]
    pub(super) files: Vec<FileRow>,
    /// Of the token that asked.
    #[n(16)]
    pub(super) scopes: String,
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
pub(super) const JOBS: &[u8] = b"j";

impl JobRow {
    pub(super) fn requester(&self, member: &MemberName) -> Requester {
        Requester {
            member: member.clone(),
            client: self.client.clone(),
            practitioner: self.practitioner.clone(),
            role: self.role.clone(),
            patient: None,
            purpose: self.purpose.clone(),
            request_id: None,
            // Scopes that cannot be read any more reach nothing.
            reach: self.scopes.parse().map_or_else(
                |_| Reach::limited(|_, _| false),
                |scopes| reach(&scopes, None),
            ),
        }
    }

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
