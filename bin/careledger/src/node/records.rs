//! `[records]` in `node.toml`: where the records are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use ::node::custody::{PostgresqlConfig, RecordsConfig};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::network::NodeFile;

const SCHEMA: &str = "careledger";

/// Where the records are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum RecordsEntry {
    /// In the folder `records` beside the other data.
    #[default]
    Directory,
    /// In a database of a PostgreSQL server.
    Postgresql(DatabaseEntry),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseEntry {
    /// `postgresql://USER@HOST/DATABASE?sslmode=verify-full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// A file with the URL, in place of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    /// A file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    /// What the tables are in: no two nodes have the same in one database.
    #[serde(default = "schema")]
    schema: String,
    /// Certificates of the authorities that the server's may come from, PEM; without it those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    /// Searches that may read at the same time; each takes a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    views: Option<usize>,
}

fn schema() -> String {
    SCHEMA.to_owned()
}

impl fmt::Debug for DatabaseEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseEntry")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl RecordsEntry {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }

    /// The schema of the database, if they are in one.
    pub(crate) fn schema(&self) -> Option<&str> {
        match self {
            Self::Directory => None,
            Self::Postgresql(entry) => Some(&entry.schema),
        }
    }
}

/// The place that a node's configuration names; its paths are relative to `folder`.
pub(crate) fn records(file: &NodeFile, folder: &Path) -> anyhow::Result<RecordsConfig> {
    match &file.records {
        RecordsEntry::Directory => Ok(folder.join(&file.data).join("records").into()),
        RecordsEntry::Postgresql(entry) => {
            let place = entry.place(folder).context("[records] in node.toml")?;
            Ok(RecordsConfig::Postgresql(place))
        }
    }
}

impl DatabaseEntry {
    pub(crate) fn place(&self, folder: &Path) -> anyhow::Result<PostgresqlConfig> {
        let url = match (&self.url, &self.url_file) {
            (Some(url), None) => Zeroizing::new(url.clone()),
            (None, Some(file)) => secret(&folder.join(file))?,
            _ => anyhow::bail!("name either a `url` or a `url_file`"),
        };
        let mut place = PostgresqlConfig::parse(&url)?.with_schema(&self.schema)?;
        if let Some(file) = &self.password_file {
            place = place.with_password(secret(&folder.join(file))?.as_bytes());
        }
        if let Some(file) = &self.ca_file {
            place = place.with_authorities(folder.join(file));
        }
        Ok(match self.views {
            Some(views) => place.with_views(views),
            None => place,
        })
    }
}

/// The text of a file, whose last line end does not count.
fn secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let mut text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    let length = text.trim_end().len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<RecordsEntry, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_database_is_named_with_its_secrets_in_files_and_they_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "planted\n").unwrap();
        let url = "postgresql://me:planted@db.example.org/it?sslmode=verify-full";
        std::fs::write(folder.path().join("url"), url).unwrap();
        for text in [
            "store = \"postgresql\"\nurl_file = \"url\"\nschema = \"clinic\"",
            "store = \"postgresql\"\nurl = \"postgresql://me@db.example.org/it\"\n\
             password_file = \"password\"\nca_file = \"ca.pem\"\nviews = 4",
            "store = \"postgresql\"\nurl = \"postgresql://me:planted@db.example.org/it\"",
        ] {
            let RecordsEntry::Postgresql(entry) = entry(text).unwrap() else {
                panic!("no database")
            };
            assert!(!format!("{entry:?}").contains("planted"));
            let place = entry.place(folder.path()).unwrap();
            assert!(!format!("{place:?}").contains("planted"));
        }
    }

    #[test]
    fn what_is_misspelt_or_missing_is_refused() {
        assert!(entry("store = \"directory\"").is_ok());
        assert!(entry("store = \"postgres\"").is_err());
        assert!(entry("store = \"postgresql\"\nurl = \"\"\npasswort = \"x\"").is_err());
        let folder = Path::new(".");
        for text in [
            "store = \"postgresql\"",
            "store = \"postgresql\"\nurl = \"postgresql://me@localhost/it\"\nurl_file = \"url\"",
            "store = \"postgresql\"\nurl = \"postgresql://me@db.example.org/it?sslmode=require\"",
            "store = \"postgresql\"\nurl = \"postgresql://me@localhost/it\"\nschema = \"no such\"",
            "store = \"postgresql\"\nurl = \"postgresql://me@localhost/it\"\npassword_file = \"none\"",
        ] {
            let RecordsEntry::Postgresql(entry) = entry(text).unwrap() else {
                panic!("no database")
            };
            assert!(entry.place(folder).is_err(), "{text}");
        }
    }
}
