//! Asks witnesses to cosign what the node publishes, and keeps the newest checkpoint with their lines.

use std::sync::Arc;
use std::time::Duration;

use ledger::checkpoint::witness::AddCheckpoint;
use ledger::checkpoint::{CheckpointError, SignedCheckpoint, VerifierKey};
use node::chain::{PublicLog, StoreError};
use reqwest::StatusCode;
use thiserror::Error;

/// How often witnesses are asked, if the log has grown.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A witness of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its submission prefix, such as `https://witness.example.org`.
    pub url: String,
    /// Its keys; lines by others do not count.
    pub keys: Vec<VerifierKey>,
}

#[derive(Debug, Error)]
enum AskError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the witness answered {0}")]
    Status(StatusCode),
    #[error("the witness's answer is malformed")]
    Malformed,
    #[error("none of the witness's keys signed")]
    NotSigned,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A witness, and the size that it cosigned last.
struct Asked {
    witness: Witness,
    last: u64,
}

/// Has `witnesses` cosign each newest checkpoint of `log`, until dropped.
pub async fn follow(log: Arc<dyn PublicLog>, witnesses: Vec<Witness>) {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "witnesses cannot be asked");
            return;
        }
    };
    let mut asked: Vec<Asked> = witnesses
        .into_iter()
        .map(|witness| Asked { witness, last: 0 })
        .collect();
    loop {
        if let Err(error) = round(&client, &*log, &mut asked).await {
            tracing::error!(%error, "the witnessed checkpoint cannot be kept");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn round(
    client: &reqwest::Client,
    log: &dyn PublicLog,
    asked: &mut [Asked],
) -> Result<(), AskError> {
    let Some(note) = log.checkpoint() else {
        return Ok(());
    };
    let published = SignedCheckpoint::decode(&note)?;
    let mut witnessed = published.clone();
    let mut lines = 0;
    for one in asked.iter_mut() {
        if one.last >= published.checkpoint.size {
            continue;
        }
        match ask(client, log, one, &published).await {
            Ok(answer) => lines += witnessed.add_lines(&answer)?,
            Err(error) => {
                tracing::warn!(witness = %one.witness.url, %error, "a witness does not cosign");
            }
        }
    }
    if lines > 0 {
        log.keep_witnessed(&witnessed.encode()?)?;
    }
    Ok(())
}

/// The lines of a witness; one that names another size than was thought is asked again.
async fn ask(
    client: &reqwest::Client,
    log: &dyn PublicLog,
    asked: &mut Asked,
    published: &SignedCheckpoint,
) -> Result<String, AskError> {
    let url = format!("{}/add-checkpoint", asked.witness.url.trim_end_matches('/'));
    for _ in 0..2 {
        let path = log.consistency_path(asked.last, published.checkpoint.size)?;
        let request = AddCheckpoint {
            old_size: asked.last,
            proof: path.hashes,
            signed: published.clone(),
        };
        let answer = client.post(&url).body(request.encode()?).send().await?;
        match answer.status() {
            StatusCode::OK => {
                let lines = checked(&asked.witness, published, &answer.text().await?)?;
                asked.last = published.checkpoint.size;
                return Ok(lines);
            }
            StatusCode::CONFLICT => {
                let size = answer.text().await?.trim().parse();
                asked.last = size.map_err(|_| AskError::Malformed)?;
                if asked.last > published.checkpoint.size {
                    return Err(AskError::Status(StatusCode::CONFLICT));
                }
            }
            status => return Err(AskError::Status(status)),
        }
    }
    Err(AskError::Status(StatusCode::CONFLICT))
}

/// The lines of the answer that are by the witness's keys and verify.
fn checked(
    witness: &Witness,
    published: &SignedCheckpoint,
    answer: &str,
) -> Result<String, AskError> {
    let mut note = SignedCheckpoint::unsigned(published.checkpoint.clone());
    note.add_lines(answer).map_err(|_| AskError::Malformed)?;
    let note = note.signed_by_only(&witness.keys);
    let mut signed = false;
    for key in &witness.keys {
        signed |= note.signed_by(key)?.is_some();
    }
    signed.then(|| note.lines()).ok_or(AskError::NotSigned)
}
