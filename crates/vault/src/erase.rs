//! Erasure: a version's erase key goes, and with it payload, descriptor, rows and opening.
//!
//! Removing the row is enough for everyone who reads the table. Databases, file systems and backups keep older bytes,
//! though; [`Eraser::rotate`] wraps what is left under a new epoch and destroys the old wrapping key, after which
//! those bytes are noise too (**V5**).

use std::sync::Arc;

use crate::keystore::{KeyStore, KeyStoreError, SecretName};
use crate::keytable::WrappedEraseKey;
use crate::wrap::{UnwrapError, WrappingKey};

const ROWS_PER_PAGE: usize = 1_024;

/// The key table as erasure needs it; the node implements it over its store.
pub trait KeyTable {
    /// What the store fails with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Removes a row, durably before it returns; answers whether there was one.
    fn remove(&self, locator: &[u8]) -> Result<bool, Self::Error>;

    /// Up to `limit` rows in the order of their locators, after `after`.
    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<TableRow>, Self::Error>;

    /// Replaces rows, durably before it returns. A row that has gone meanwhile stays gone.
    fn replace(&self, rows: &[TableRow]) -> Result<(), Self::Error>;
}

/// A row of the key table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Where the record version is.
    pub locator: Vec<u8>,
    /// Its erase key.
    pub wrapped: WrappedEraseKey,
}

/// What an erasure found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// The erase key was there and is destroyed.
    Destroyed,
    /// There was no erase key: it was destroyed before, or never held here.
    NotHeld,
}

/// Why an erasure or a rotation did not complete.
#[derive(Debug, thiserror::Error)]
pub enum EraseError<E: std::error::Error + 'static> {
    /// The key table's store failed.
    #[error("key table cannot be read or written")]
    Table(#[source] E),
    /// The key store failed.
    #[error("wrapping key cannot be used")]
    Keys(#[from] KeyStoreError),
    /// A row does not unwrap; the old wrapping key is kept.
    #[error("row of the key table does not unwrap")]
    Row(#[from] UnwrapError),
    /// The new epoch is not after the old one.
    #[error("epoch {to} does not follow epoch {from}")]
    EpochNotNewer {
        /// The epoch to leave.
        from: u32,
        /// The epoch asked for.
        to: u32,
    },
}

/// Destroys erase keys.
#[derive(Debug, Clone)]
pub struct Eraser<T> {
    table: T,
    keys: Arc<dyn KeyStore>,
}

impl<T: KeyTable> Eraser<T> {
    /// Works on one member's key table and key store.
    pub fn new(table: T, keys: Arc<dyn KeyStore>) -> Self {
        Self { table, keys }
    }

    /// Destroys the erase key of the version at `locator`, durably. Calling it again is harmless.
    pub fn erase(&self, locator: &[u8]) -> Result<Erasure, EraseError<T::Error>> {
        let held = self.table.remove(locator).map_err(EraseError::Table)?;
        Ok(if held {
            Erasure::Destroyed
        } else {
            Erasure::NotHeld
        })
    }

    /// Wraps every row of epoch `from` under epoch `to` and destroys the key of `from`; answers how many rows moved.
    ///
    /// Writers must wrap under `to` before this begins; it makes the key of `to` if there is none. After a crash, call it again.
    pub fn rotate(&self, from: u32, to: u32) -> Result<u64, EraseError<T::Error>> {
        if to <= from {
            return Err(EraseError::EpochNotNewer { from, to });
        }
        let old = SecretName::wrapping(from);
        if !self.keys.contains(&old) {
            // An earlier call got as far as destroying the key, and that only once no row needed it.
            return Ok(0);
        }
        if !self.keys.contains(&SecretName::wrapping(to)) {
            self.keys.generate_wrapping_key(to)?;
        }
        let keys = (self.keys.wrapping_key(from)?, self.keys.wrapping_key(to)?);
        let mut moved = 0;
        // Until a pass finds nothing: a writer may have added a row of the old epoch behind the first one.
        loop {
            match self.rewrap_all(&keys.0, &keys.1)? {
                0 => break,
                rows => moved += rows,
            }
        }
        self.keys.destroy(&old)?;
        Ok(moved)
    }

    fn rewrap_all(
        &self,
        old: &WrappingKey,
        new: &WrappingKey,
    ) -> Result<u64, EraseError<T::Error>> {
        let mut moved = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .table
                .page(after.as_deref(), ROWS_PER_PAGE)
                .map_err(EraseError::Table)?;
            let Some(last) = page.last() else {
                return Ok(moved);
            };
            after = Some(last.locator.clone());
            let rows = page
                .into_iter()
                .filter(|row| row.wrapped.epoch == old.epoch())
                .map(|row| {
                    let erase_key = old.unwrap(&row.locator, &row.wrapped)?;
                    let wrapped = new.wrap(&row.locator, &erase_key);
                    Ok(TableRow { wrapped, ..row })
                })
                .collect::<Result<Vec<_>, UnwrapError>>()?;
            self.table.replace(&rows).map_err(EraseError::Table)?;
            moved += rows.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests;
