//! Where the record store is.

use std::path::PathBuf;

use super::postgresql::PostgresqlConfig;

/// Where the records' rows are kept.
#[derive(Debug, Clone)]
pub enum RecordsConfig {
    /// In a folder of this machine.
    Local {
        /// The folder, made if it is not there.
        folder: PathBuf,
    },
    /// In a schema of a database of a PostgreSQL server.
    Postgresql(PostgresqlConfig),
}

impl From<PathBuf> for RecordsConfig {
    fn from(folder: PathBuf) -> Self {
        Self::Local { folder }
    }
}
