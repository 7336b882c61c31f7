//! A witness: it keeps the last checkpoint that it cosigned of each log, and cosigns what continues it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ledger::checkpoint::witness::{AddCheckpoint, Refusal};
use ledger::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifierKey};
use ledger::ids::Digest;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::auth::Clock;

/// Cosignatures of a hundred validators with both kinds of key.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Signs bytes with a key of the witness.
pub type Sign = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, CannotSign> + Send + Sync>;

/// A key of the witness, and what signs with it.
#[derive(Clone)]
pub struct WitnessKey {
    /// The public key under the witness's name.
    pub key: VerifierKey,
    /// What signs with it.
    pub sign: Sign,
}

/// What a witness is made of.
#[derive(Clone)]
pub struct WitnessParts {
    /// Its keys.
    pub keys: Vec<WitnessKey>,
    /// The keys of the logs that it witnesses.
    pub logs: Vec<VerifierKey>,
    /// Where it keeps checkpoints.
    pub directory: PathBuf,
    /// What its cosignatures are dated by.
    pub clock: Clock,
}

/// A key could not sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a key of the witness cannot sign: {0}")]
pub struct CannotSign(pub String);

#[derive(Debug, Error)]
enum WitnessError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    CannotSign(#[from] CannotSign),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the witness's folder: {0}")]
    Io(#[from] io::Error),
}

struct Witness {
    parts: WitnessParts,
    /// Comparing with the last checkpoint and replacing it is one step.
    turn: Mutex<()>,
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WitnessKey").field(&self.key).finish()
    }
}

impl fmt::Debug for WitnessParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessParts")
            .field("keys", &self.keys)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// The routes of a witness: `POST /add-checkpoint`, and `GET /ORIGIN-HASH/checkpoint` for monitors.
pub fn witness_router(parts: WitnessParts) -> Router {
    let witness = Arc::new(Witness {
        parts,
        turn: Mutex::new(()),
    });
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .route("/{origin}/checkpoint", get(checkpoint))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    match witness.add(&body).await {
        Ok(lines) => lines.into_response(),
        Err(WitnessError::Refused(Refusal::OtherSize(size))) => {
            let headers = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            (StatusCode::CONFLICT, headers, format!("{size}\n")).into_response()
        }
        Err(WitnessError::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status());
            let status = status.unwrap_or(StatusCode::BAD_REQUEST);
            (status, format!("{refusal}\n")).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a checkpoint cannot be cosigned");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn checkpoint(
    State(witness): State<Arc<Witness>>,
    UrlPath(origin): UrlPath<String>,
) -> Response {
    let Some(hash) = Digest::from_hex(&origin) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match tokio::fs::read(witness.file(hash)).await {
        Ok(note) => note.into_response(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a checkpoint cannot be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

impl Witness {
    async fn add(&self, body: &[u8]) -> Result<String, WitnessError> {
        let asked = AddCheckpoint::decode(body)?;
        let file = self.file(Digest::of(asked.signed.checkpoint.origin.as_bytes()));
        let _turn = self.turn.lock().await;
        let last = last(&file).await?;
        asked.judge(&self.parts.logs, last.as_ref())?;
        let (kept, lines) = self.cosign(&asked.signed)?;
        replace(&file, &kept).await?;
        Ok(lines)
    }

    /// The checkpoint to keep, with the log's signatures and this witness's, and the lines of the answer.
    fn cosign(&self, signed: &SignedCheckpoint) -> Result<(Vec<u8>, String), WitnessError> {
        let seconds = self.parts.clock.now();
        let mut kept = signed.signed_by_only(&self.parts.logs);
        let mut own = SignedCheckpoint::unsigned(signed.checkpoint.clone());
        for WitnessKey { key, sign } in &self.parts.keys {
            let signature = sign(&key.message(&signed.checkpoint, seconds)?)?;
            kept.add(key, seconds, &signature);
            own.add(key, seconds, &signature);
        }
        Ok((kept.encode()?, own.lines()))
    }

    fn file(&self, origin: Digest) -> PathBuf {
        self.parts.directory.join(format!("{origin}.checkpoint"))
    }
}

async fn last(file: &Path) -> Result<Option<Checkpoint>, WitnessError> {
    match tokio::fs::read(file).await {
        Ok(note) => Ok(Some(SignedCheckpoint::decode(&note)?.checkpoint)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The new checkpoint is there, or the old one is, whatever happens.
async fn replace(file: &Path, note: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension("new");
    let mut written = tokio::fs::File::create(&fresh).await?;
    written.write_all(note).await?;
    written.sync_all().await?;
    tokio::fs::rename(&fresh, file).await?;
    let folder = file.parent().unwrap_or(Path::new("."));
    tokio::fs::File::open(folder).await?.sync_all().await
}
