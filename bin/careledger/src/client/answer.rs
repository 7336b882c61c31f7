//! What a member answers.

use anyhow::Context as _;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    pub(super) async fn of(answer: reqwest::Response) -> anyhow::Result<Self> {
        Ok(Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            bytes: answer.bytes().await?.to_vec(),
        })
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.bytes).context("the answer is not JSON")
    }

    /// The version in the `ETag`.
    pub(crate) fn version(&self) -> Option<u64> {
        let etag = self.headers.get("etag")?.to_str().ok()?;
        etag.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
    }

    /// The logical id in the `Location` of what was created.
    pub(crate) fn created_id(&self) -> Option<String> {
        let location = self.headers.get("location")?.to_str().ok()?;
        let before = location.split("/_history/").next()?;
        before.rsplit('/').next().map(str::to_owned)
    }

    /// The answer if it is a success; otherwise what the member says is wrong.
    pub(crate) fn ok(self) -> anyhow::Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        anyhow::bail!("{} ({})", self.problem(), self.status)
    }

    /// What an `OperationOutcome` or an OAuth error says, in one line.
    pub(crate) fn problem(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let issues = body.get("issue").and_then(Value::as_array);
        let said: Vec<&str> = issues
            .into_iter()
            .flatten()
            .filter_map(|issue| issue.get("diagnostics").and_then(Value::as_str))
            .collect();
        if !said.is_empty() {
            return said.join("; ");
        }
        let description = body.get("error_description").or_else(|| body.get("error"));
        let description = description.and_then(Value::as_str);
        description
            .unwrap_or("the member gave no reason")
            .to_owned()
    }
}
