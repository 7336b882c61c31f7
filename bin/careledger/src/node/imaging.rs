//! `[dicom_web]` in `node.toml`: the member's image archive, before which the node stands.

use std::path::{Path, PathBuf};

use gateway::ArchiveConfig;
use serde::{Deserialize, Serialize};

/// Where the archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DicomWebEntry {
    /// The base of its DICOMweb services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// A file with what the header `Authorization` says to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_file: Option<PathBuf>,
}

impl DicomWebEntry {
    /// Paths are from the configuration's folder.
    pub(super) fn config(&self, folder: &Path) -> ArchiveConfig {
        ArchiveConfig {
            url: self.url.clone(),
            credential: self.credential_file.as_ref().map(|file| folder.join(file)),
        }
    }
}
