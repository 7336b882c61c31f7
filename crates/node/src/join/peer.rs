//! A peer's gateway.

use std::time::Duration;

use futures::future::BoxFuture;
use ledger::snapshot::ANSWER_BYTES_MAX;

use super::Source;

/// How long a peer may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a peer did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It cannot be reached, or stopped in the middle.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with an error.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It does not stop talking.
    #[error("its answer is longer than an answer may be")]
    TooLong,
}

/// Another member's node, as anybody reaches it.
#[derive(Debug, Clone)]
pub struct Peer {
    base_url: String,
    client: reqwest::Client,
}

impl Peer {
    /// The peer whose gateway is at `base_url`.
    pub fn at(base_url: &str) -> Result<Self, PeerError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        Ok(Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            client: client.build().map_err(PeerError::Unreachable)?,
        })
    }
}

impl Source for Peer {
    fn name(&self) -> &str {
        &self.base_url
    }

    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, PeerError>> {
        Box::pin(async move {
            let request = self.client.get(format!("{}{path}", self.base_url));
            let mut answer = request.send().await.map_err(PeerError::Unreachable)?;
            match answer.status().as_u16() {
                200 => {}
                404 => return Ok(None),
                status => return Err(PeerError::Status(status)),
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(PeerError::Unreachable)? {
                if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                    return Err(PeerError::TooLong);
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(bytes))
        })
    }
}
