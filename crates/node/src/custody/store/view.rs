//! Rows of all tables at one moment.

use std::ops::Deref;
use std::sync::Arc;

use fjall::Slice;

use super::embedded::Moment;
use super::postgresql::{Pages, Snapshot};
use super::{Backend, Failure, Table};
use crate::custody::CustodyError;

/// Rows of all tables at one moment.
pub(crate) enum View {
    Embedded(Moment),
    Postgresql(Arc<Snapshot>),
}

/// Bytes of a row or of its key, as the database gave them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Embedded(Slice),
    Fetched(Vec<u8>),
}

/// Which rows of a table.
#[derive(Debug, Clone)]
pub(crate) enum Span {
    /// Those whose keys start with this.
    Prefix(Vec<u8>),
    /// Those from this key on.
    From(Vec<u8>),
}

/// Rows in key order.
pub(crate) struct Rows(Source);

enum Source {
    Embedded(Option<fjall::Iter>),
    Postgresql(Pages),
}

impl View {
    pub(super) fn of(backend: &Backend) -> Result<Self, Failure> {
        Ok(match backend {
            Backend::Embedded(tables) => Self::Embedded(tables.snapshot()),
            Backend::Postgresql(tables) => Self::Postgresql(tables.snapshot()?),
        })
    }

    /// The rows under `keys`, in their order.
    pub(crate) fn get_all(
        &self,
        table: Table,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Stored>>, CustodyError> {
        Ok(match self {
            Self::Embedded(moment) => each(keys, |key| moment.get(table, key))?,
            Self::Postgresql(snapshot) => fetched(snapshot.get_all(table, keys)?),
        })
    }

    /// Rows whose keys start with `prefix`, in key order.
    pub(crate) fn scan(&self, table: Table, prefix: &[u8]) -> Rows {
        self.rows(table, Span::Prefix(prefix.to_vec()))
    }

    /// Rows from key `first` on, in key order.
    pub(crate) fn scan_from(&self, table: Table, first: &[u8]) -> Rows {
        self.rows(table, Span::From(first.to_vec()))
    }

    /// The keys of the rows whose keys start with `prefix`.
    pub(crate) fn keys(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Stored, CustodyError>> + use<> {
        let span = Span::Prefix(prefix.to_vec());
        let mut source = match self {
            Self::Embedded(moment) => Source::Embedded(moment.rows(table, &span)),
            Self::Postgresql(snapshot) => Source::Postgresql(snapshot.keys(table, span)),
        };
        std::iter::from_fn(move || source.next_key())
    }

    fn rows(&self, table: Table, span: Span) -> Rows {
        match self {
            Self::Embedded(moment) => moment.rows(table, &span).into(),
            Self::Postgresql(snapshot) => snapshot.rows(table, span).into(),
        }
    }
}

/// Rows that are read one by one.
pub(super) fn each(
    keys: &[impl AsRef<[u8]>],
    get: impl Fn(&[u8]) -> Result<Option<Slice>, Failure>,
) -> Result<Vec<Option<Stored>>, Failure> {
    let rows = keys.iter().map(|key| get(key.as_ref()));
    rows.map(|row| Ok(row?.map(Stored::Embedded))).collect()
}

/// Rows that were read together.
pub(super) fn fetched(rows: Vec<Option<Vec<u8>>>) -> Vec<Option<Stored>> {
    let rows = rows.into_iter();
    rows.map(|row| row.map(Stored::Fetched)).collect()
}

impl From<Option<fjall::Iter>> for Rows {
    fn from(rows: Option<fjall::Iter>) -> Self {
        Self(Source::Embedded(rows))
    }
}

impl From<Pages> for Rows {
    fn from(pages: Pages) -> Self {
        Self(Source::Postgresql(pages))
    }
}

impl Iterator for Rows {
    type Item = Result<(Stored, Stored), CustodyError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Embedded(rows) => {
                let row = rows.as_mut()?.next()?.into_inner();
                Some(match row {
                    Ok((key, value)) => Ok((Stored::Embedded(key), Stored::Embedded(value))),
                    Err(error) => Err(Failure::from(error).into()),
                })
            }
            Source::Postgresql(pages) => Some(match pages.next()? {
                Ok((key, value)) => Ok((Stored::Fetched(key), Stored::Fetched(value))),
                Err(failure) => Err(failure.into()),
            }),
        }
    }
}

impl Source {
    fn next_key(&mut self) -> Option<Result<Stored, CustodyError>> {
        match self {
            Self::Embedded(rows) => {
                let key = rows.as_mut()?.next()?.key();
                let key = key.map(Stored::Embedded).map_err(Failure::from);
                Some(key.map_err(CustodyError::from))
            }
            Self::Postgresql(pages) => {
                let key = pages.next()?.map(|(key, _)| Stored::Fetched(key));
                Some(key.map_err(CustodyError::from))
            }
        }
    }
}

impl Stored {
    pub(super) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Embedded(bytes) => bytes.to_vec(),
            Self::Fetched(bytes) => bytes,
        }
    }
}

impl Deref for Stored {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Embedded(bytes) => bytes,
            Self::Fetched(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stored").field(&self.len()).finish()
    }
}
