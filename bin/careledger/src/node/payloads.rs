//! `[payloads]` in `node.toml`: where payloads are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::node::custody::upstream::{HttpServer, HttpServerConfig, UpstreamOptions};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vault::blob::{BlobConfig, S3Config, S3Credentials};

use crate::network::NodeFile;

const POLL_SECONDS_MAX: u64 = 3_600;

/// Where large payloads are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum PayloadsEntry {
    /// In the folder `blobs` beside the other data.
    #[default]
    Directory,
    /// In a bucket of an S3-compatible object store.
    S3(BucketEntry),
    /// In an existing FHIR server; what stays here of them is in the folder `blobs`.
    Fhir(ServerEntry),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerEntry {
    /// The server's base URL.
    url: String,
    /// A file with the bearer token that the server wants.
    token_file: Option<PathBuf>,
    /// The seconds between two questions what has changed there.
    #[serde(default = "poll_seconds")]
    poll_seconds: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BucketEntry {
    bucket: String,
    /// The store's URL; without one it is AWS's for the region.
    endpoint: Option<String>,
    region: String,
    /// What the names of this node's objects begin with: no two nodes have the same in one bucket.
    #[serde(default)]
    prefix: String,
    /// Whether the bucket stands in the path of URLs, as most stores other than AWS want it.
    #[serde(default)]
    path_style: bool,
    /// A file as AWS's tools write it. Without it the keys are taken from the environment.
    credentials_file: Option<PathBuf>,
}

impl PayloadsEntry {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }

    pub(crate) fn is_bucket(&self) -> bool {
        matches!(self, Self::S3(_))
    }
}

/// The place that a node's configuration names; its paths are relative to `folder`.
pub(crate) fn blobs(file: &NodeFile, folder: &Path) -> anyhow::Result<BlobConfig> {
    match &file.payloads {
        PayloadsEntry::Directory | PayloadsEntry::Fhir(_) => {
            Ok(folder.join(&file.data).join("blobs").into())
        }
        PayloadsEntry::S3(entry) => entry.place(folder),
    }
}

/// The existing server that a node's configuration names.
pub(crate) fn upstream(file: &NodeFile, folder: &Path) -> anyhow::Result<Option<UpstreamOptions>> {
    let PayloadsEntry::Fhir(entry) = &file.payloads else {
        return Ok(None);
    };
    anyhow::ensure!(
        (1..=POLL_SECONDS_MAX).contains(&entry.poll_seconds),
        "`poll_seconds` of [payloads] in node.toml is from 1 to {POLL_SECONDS_MAX}"
    );
    let server = HttpServer::new(HttpServerConfig {
        base_url: entry.url.clone(),
        token_file: entry.token_file.as_ref().map(|path| folder.join(path)),
    });
    Ok(Some(UpstreamOptions {
        server: Arc::new(server.context("`url` of [payloads] in node.toml")?),
        poll: Duration::from_secs(entry.poll_seconds),
    }))
}

fn poll_seconds() -> u64 {
    10
}

impl BucketEntry {
    fn place(&self, folder: &Path) -> anyhow::Result<BlobConfig> {
        if let Some(endpoint) = &self.endpoint {
            let is_url = ["https://", "http://"]
                .iter()
                .any(|scheme| endpoint.starts_with(scheme));
            anyhow::ensure!(
                is_url,
                "`endpoint` of [payloads] in node.toml is no http(s) URL"
            );
        }
        let credentials = match &self.credentials_file {
            Some(path) => S3Credentials::from_file(&folder.join(path)),
            None => S3Credentials::from_environment(),
        };
        let credentials = credentials.context(
            "the bucket of [payloads] in node.toml takes credentials: \
             set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a `credentials_file`",
        )?;
        Ok(BlobConfig::S3(S3Config {
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            path_style: self.path_style,
            credentials,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<PayloadsEntry, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_bucket_is_named_whole_and_its_keys_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let keys = "[node]\naws_access_key_id = one\naws_secret_access_key = planted\n";
        std::fs::write(folder.path().join("keys"), keys).unwrap();
        let text = "store = \"s3\"\nbucket = \"records\"\nendpoint = \"https://s3.example.org\"\n\
            region = \"eu-central-1\"\nprefix = \"clinic\"\npath_style = true\ncredentials_file = \"keys\"";
        let PayloadsEntry::S3(bucket) = entry(text).unwrap() else {
            panic!("no bucket")
        };
        let place = bucket.place(folder.path()).unwrap();
        assert!(!format!("{place:?}").contains("planted"));
        let BlobConfig::S3(place) = place else {
            panic!("no bucket")
        };
        assert_eq!((place.bucket.as_str(), place.path_style), ("records", true));
        assert_eq!(
            place.credentials,
            S3Credentials::new("one", "planted", None)
        );
    }

    #[test]
    fn what_is_misspelt_or_missing_is_refused() {
        assert!(entry("store = \"directory\"").is_ok());
        assert!(entry("store = \"fhir\"\nurl = \"https://ehr.example/fhir\"").is_ok());
        for text in [
            "store = \"s4\"",
            "store = \"s3\"\nregion = \"x\"",
            "store = \"s3\"\nbucket = \"b\"\nregion = \"x\"\npathstyle = true",
            "bucket = \"b\"\nregion = \"x\"",
            "store = \"fhir\"",
            "store = \"fhir\"\nurl = \"https://ehr.example\"\nbucket = \"b\"",
        ] {
            assert!(entry(text).is_err(), "{text}");
        }
    }
}
