//! Moving: all rows from one place to another, sealed as they are.

use aws_lc_rs::digest::{Context, SHA256};

use super::view::{Rows, Span};
use super::{Backend, Changes, RecordsConfig, Table};
use crate::custody::CustodyError;

/// Bytes that are written together.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ROWS: usize = 10_000;

/// Why records were not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of the places does not do what it should.
    #[error("{place}: {error}")]
    Place {
        /// Which.
        place: &'static str,
        /// Why.
        error: CustodyError,
    },
    /// What is there would be mixed with what comes.
    #[error("the new place holds {0} already: name an empty one")]
    NotEmpty(&'static str),
    /// The copy is not what it was made from.
    #[error("the copy of {0} is not what it was made from")]
    Differs(&'static str),
}

/// Copies all rows and compares both sides; the old place stays as it is. Neither may be in use, and the new one has no
/// rows. `progress` is told the rows that are copied, and of how many, about. Returns how many there were.
pub fn move_records(
    from: &RecordsConfig,
    to: &RecordsConfig,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, MoveError> {
    let (old, new) = ("the old place", "the new place");
    let from = Backend::open(from).map_err(|error| MoveError::Place { place: old, error })?;
    let to = Backend::open(to).map_err(|error| MoveError::Place { place: new, error })?;
    for &table in Table::ALL {
        if all(&to, table).next().is_some() {
            return Err(MoveError::NotEmpty(table.name()));
        }
    }
    let about = Table::ALL.iter().map(|table| from.about(*table)).sum();
    let mut done = 0_u64;
    for &table in Table::ALL {
        let mut changes = Changes::new();
        let mut bytes = 0_usize;
        let write = |changes: &mut Changes| {
            let written = to.commit(std::mem::take(changes));
            written.map_err(|failure| MoveError::Place {
                place: new,
                error: failure.into(),
            })
        };
        for row in all(&from, table) {
            let (key, value) = row.map_err(|error| MoveError::Place { place: old, error })?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            changes.insert((table, key.into_vec()), Some(value.into_vec()));
            done = done.saturating_add(1);
            if bytes >= BATCH_BYTES || changes.len() >= BATCH_ROWS {
                write(&mut changes)?;
                bytes = 0;
                progress(done, about);
            }
        }
        write(&mut changes)?;
        progress(done, about);
    }
    for &table in Table::ALL {
        let before = content(all(&from, table));
        let before = before.map_err(|error| MoveError::Place { place: old, error })?;
        let after = content(all(&to, table));
        if before != after.map_err(|error| MoveError::Place { place: new, error })? {
            return Err(MoveError::Differs(table.name()));
        }
    }
    Ok(done)
}

fn all(backend: &Backend, table: Table) -> Rows {
    backend.rows(table, Span::Prefix(Vec::new()))
}

/// How many rows there are, and the hash over all of them in order.
fn content(rows: Rows) -> Result<(u64, Vec<u8>), CustodyError> {
    let mut count = 0_u64;
    let mut hash = Context::new(&SHA256);
    for row in rows {
        let (key, value) = row?;
        for part in [&*key, &*value] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(&length.to_be_bytes());
            hash.update(part);
        }
        count = count.saturating_add(1);
    }
    Ok((count, hash.finish().as_ref().to_vec()))
}
