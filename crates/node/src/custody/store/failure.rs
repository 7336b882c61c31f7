//! Why the database does not do what the store asks.

use std::io::ErrorKind;

use super::super::CustodyError;

/// Why rows cannot be read or written. Holds nothing of a row.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no room.
    #[error("the disk is full")]
    DiskFull,
    /// The server does not answer, or no more; what was under way may have happened.
    #[error("the database does not answer: {0}")]
    Lost(String),
    /// The database refuses, or is damaged.
    #[error("{0}")]
    Refused(String),
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(io) if io.kind() == ErrorKind::StorageFull => Self::DiskFull,
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<Failure> for CustodyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::DiskFull => Self::DiskFull,
            Failure::Lost(error) => {
                tracing::warn!(error, "the database of the records does not answer");
                Self::Unavailable {
                    what: "the record store",
                }
            }
            Failure::Refused(error) => Self::Storage(error),
        }
    }
}
