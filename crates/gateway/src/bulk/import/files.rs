//! Fetching files, line by line, from where the operator allows it.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, IF_RANGE, RANGE,
};
use reqwest::{Response, StatusCode};
use thiserror::Error;

use super::ImportConfig;
use crate::http::{BODY_BYTES_MAX, Origins, outgoing};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest file.
const FILE_BYTES_MAX: u64 = 64 << 30;

/// Why a file cannot be fetched, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum FetchError {
    #[error("this node may not fetch from the file's origin any more")]
    NotAllowed,
    #[error("the file's server cannot be reached")]
    Unreachable,
    #[error("the file's server answered {0}")]
    Status(StatusCode),
    #[error("the file's server sends it in an encoding that was not asked for")]
    Encoded,
    #[error("the file is longer than 64 GiB")]
    TooLong,
    #[error("the file has changed since its import began")]
    Changed,
}

impl FetchError {
    /// Whether another attempt may succeed.
    pub(super) fn passes(self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Status(status) => {
                status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::NotAllowed | Self::Encoded | Self::TooLong | Self::Changed => false,
        }
    }
}

/// What fetches.
pub(in crate::bulk) struct Files {
    http: Option<reqwest::Client>,
    allowed: Origins,
}

impl Files {
    pub(in crate::bulk) fn new(config: &ImportConfig) -> Self {
        let http = outgoing().read_timeout(SILENCE).build();
        if let Err(error) = &http {
            tracing::error!(%error, "files cannot be fetched");
        }
        Self {
            http: http.ok(),
            allowed: Origins::new(&config.allowed_origins),
        }
    }

    pub(super) fn permit(&self, url: &str) -> bool {
        self.allowed.permit(url)
    }

    /// A file from this byte on; it must be in the state that the tag names, if there is one.
    pub(super) async fn open(
        &self,
        url: &str,
        from: u64,
        etag: Option<&str>,
    ) -> Result<Lines, FetchError> {
        // The operator may have changed what is allowed since.
        if !self.permit(url) {
            return Err(FetchError::NotAllowed);
        }
        let http = self.http.as_ref().ok_or(FetchError::Unreachable)?;
        let mut request = http
            .get(url)
            .header(ACCEPT, "application/fhir+ndjson")
            .header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
            if let Some(etag) = etag.filter(|etag| !etag.starts_with("W/")) {
                request = request.header(IF_RANGE, etag);
            }
        }
        let answer = request.send().await;
        let answer = answer.map_err(|_| FetchError::Unreachable)?;
        let header = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let skipped = match answer.status() {
            StatusCode::OK => from,
            StatusCode::PARTIAL_CONTENT if from > 0 => {
                let starts = header(CONTENT_RANGE).and_then(start_of);
                if starts != Some(from) {
                    return Err(FetchError::Changed);
                }
                0
            }
            // There is nothing behind the last byte.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => return Ok(Lines::ended(from)),
            status => return Err(FetchError::Status(status)),
        };
        if header(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Encoded);
        }
        let now = header(ETAG).map(str::to_owned);
        if from > 0 && etag.is_some() && now.as_deref() != etag {
            return Err(FetchError::Changed);
        }
        Ok(Lines {
            answer: Some(answer),
            etag: now,
            held: Vec::new(),
            looked: 0,
            skip: skipped,
            at: from,
        })
    }
}

fn start_of(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// A line.
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Longer than a resource may be.
    TooLong,
}

/// The lines of a file that is arriving.
pub(super) struct Lines {
    answer: Option<Response>,
    pub(super) etag: Option<String>,
    held: Vec<u8>,
    /// How much of it has no line end.
    looked: usize,
    /// How much is thrown away first.
    skip: u64,
    /// The byte after the last line that was taken.
    pub(super) at: u64,
}

impl Lines {
    fn ended(at: u64) -> Self {
        Self {
            answer: None,
            etag: None,
            held: Vec::new(),
            looked: 0,
            skip: 0,
            at,
        }
    }

    /// The next line without its end; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, FetchError> {
        let mut is_too_long = false;
        loop {
            if self.at > FILE_BYTES_MAX {
                return Err(FetchError::TooLong);
            }
            let rest = self.held.get(self.looked..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.map(|end| self.looked.saturating_add(end)) {
                let mut line: Vec<u8> = self.held.drain(..=end).collect();
                self.taken(line.len());
                line.pop();
                return Ok(Some(if is_too_long {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                }));
            }
            if self.held.len() > BODY_BYTES_MAX {
                is_too_long = true;
                self.taken(self.held.len());
                self.held.clear();
            } else {
                self.looked = self.held.len();
            }
            if !self.more().await? {
                let line = std::mem::take(&mut self.held);
                self.taken(line.len());
                return Ok(match (is_too_long, line.is_empty()) {
                    (true, _) => Some(Line::TooLong),
                    (false, true) => None,
                    (false, false) => Some(Line::Whole(line)),
                });
            }
        }
    }

    fn taken(&mut self, bytes: usize) {
        self.looked = 0;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.at = self.at.saturating_add(bytes);
    }

    /// Holds more of the file, if there is more.
    async fn more(&mut self) -> Result<bool, FetchError> {
        let Some(answer) = self.answer.as_mut() else {
            return Ok(false);
        };
        let chunk = answer.chunk().await.map_err(|_| FetchError::Unreachable)?;
        let Some(chunk) = chunk else {
            self.answer = None;
            return Ok(false);
        };
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let skip = usize::try_from(self.skip.min(length)).unwrap_or(chunk.len());
        self.skip = self.skip.saturating_sub(length);
        self.held
            .extend_from_slice(chunk.get(skip..).unwrap_or_default());
        Ok(true)
    }
}
