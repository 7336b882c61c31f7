//! The request of an entry, as a server would get it alone.

use std::fmt;

use serde_json::{Map, Value};

use super::EntryProblem;

/// The verbs of a Bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// `Bundle.entry.request`.
///
/// Debug shows the method alone: URLs and queries hold identifiers of patients.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryRequest {
    /// The verb.
    pub method: Method,
    /// The URL, relative to the base and without a slash before it.
    pub url: String,
    /// `ifMatch`.
    pub if_match: Option<String>,
    /// `ifNoneMatch`.
    pub if_none_match: Option<String>,
    /// `ifModifiedSince`, an instant.
    pub if_modified_since: Option<String>,
    /// `ifNoneExist`.
    pub if_none_exist: Option<String>,
}

impl fmt::Debug for EntryRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EntryRequest({:?})", self.method)
    }
}

impl Method {
    /// The verb as HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl EntryRequest {
    /// Whether the request only reads.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }

    /// The URL before its query.
    pub fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    /// What follows `?`.
    pub fn query(&self) -> Option<&str> {
        self.url.split_once('?').map(|(_, query)| query)
    }

    pub(super) fn read(request: &Map<String, Value>) -> Result<Self, EntryProblem> {
        let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
        let method = match request.get("method").and_then(Value::as_str) {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some("PUT") => Method::Put,
            Some("PATCH") => Method::Patch,
            Some("DELETE") => Method::Delete,
            _ => return Err(EntryProblem::MethodUnknown),
        };
        let url = text("url").unwrap_or_default();
        let url = url.strip_prefix('/').unwrap_or(&url).to_owned();
        if url.is_empty() {
            return Err(EntryProblem::UrlMissing);
        }
        Ok(Self {
            method,
            url,
            if_match: text("ifMatch"),
            if_none_match: text("ifNoneMatch"),
            if_modified_since: text("ifModifiedSince"),
            // Some senders write the whole search URL.
            if_none_exist: text("ifNoneExist").map(|text| match text.split_once('?') {
                Some((_, query)) => query.to_owned(),
                None => text,
            }),
        })
    }
}
