//! Shelves: sealed rows that others keep beside the records, such as the gateway its subscriptions.

use super::store::Table;
use super::{Custody, CustodyError};

/// Whose rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Subscriptions, their events, and what could not be delivered.
    Subscriptions,
    /// Bulk jobs and their results.
    Bulk,
    /// Shares of committees, what is needed to form them, and copies for release.
    Release,
    /// Messages of HL7 v2, until they are filed, and what became of them.
    Messages,
    /// How far other members' care services are followed.
    CareServices,
}

/// A row's key, and its content; none removes it.
pub type ShelfChange = (Vec<u8>, Option<Vec<u8>>);

/// A row's key and content.
pub type ShelfRow = (Vec<u8>, Vec<u8>);

impl Shelf {
    fn table(self) -> Table {
        match self {
            Self::Subscriptions => Table::Subscriptions,
            Self::Bulk => Table::Bulk,
            Self::Release => Table::Release,
            Self::Messages => Table::Messages,
            Self::CareServices => Table::CareServices,
        }
    }
}

impl Custody {
    /// Puts and removes rows, all or none; they are durable when this returns.
    pub async fn shelve(
        &self,
        shelf: Shelf,
        changes: Vec<ShelfChange>,
    ) -> Result<(), CustodyError> {
        let table = shelf.table();
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (key, row) in changes {
                    match row {
                        Some(row) => {
                            let sealed = home.keys.seal_row(table, &key, &row);
                            transaction.put(table, &key, sealed);
                        }
                        None => transaction.remove(table, &key),
                    }
                }
                Ok(())
            })
            .await
    }

    /// One row.
    pub fn shelved(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        let table = shelf.table();
        let row = self.0.store.get(table, key)?;
        row.map(|row| self.0.home.keys.open_bytes(table, key, &row))
            .transpose()
    }

    /// Rows whose keys start with `prefix`, in key order, `limit` at most.
    pub fn shelved_under(
        &self,
        shelf: Shelf,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<ShelfRow>, CustodyError> {
        let table = shelf.table();
        let rows = self.0.store.scan(table, prefix).take(limit);
        rows.map(|row| {
            let (key, row) = row?;
            let row = self.0.home.keys.open_bytes(table, &key, &row)?;
            Ok((key, row))
        })
        .collect()
    }
}
