//! The key table apart from the other rows: a backup is made without it, and put back with the newest there is.

use std::path::Path;
use std::sync::Arc;

use ledger::codec;
use minicbor::{Decode, Encode};

use super::embedded::Embedded;
use super::view::Rows;
use super::{Changes, Span, Table};
use crate::custody::CustodyError;

/// Rows that are put back in one batch.
const BATCH: usize = 10_000;

/// The key table's rows.
#[derive(Encode, Decode)]
struct KeyTable {
    #[n(0)]
    rows: Vec<KeyRow>,
}

#[derive(Encode, Decode)]
struct KeyRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    key: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    wrapped: Vec<u8>,
}

/// Takes the key table out of the records in a folder that no node has open; no file there has its rows any more.
pub fn take_keys(folder: &Path) -> Result<Vec<u8>, CustodyError> {
    let tables = Arc::new(Embedded::open(folder)?);
    let rows = Rows::from(
        tables
            .snapshot()
            .rows(Table::EraseKeys, &Span::Prefix(Vec::new())),
    );
    let rows = rows.map(|row| {
        let (key, wrapped) = row?;
        Ok(KeyRow {
            key: key.into_vec(),
            wrapped: wrapped.into_vec(),
        })
    });
    let table = KeyTable {
        rows: rows.collect::<Result<_, CustodyError>>()?,
    };
    for some in table.rows.chunks(BATCH) {
        let gone = some
            .iter()
            .map(|row| ((Table::EraseKeys, row.key.clone()), None));
        tables.commit(gone.collect::<Changes>())?;
    }
    tables.purge(Table::EraseKeys)?;
    Ok(codec::encode(&table))
}

/// Puts a key table back into the records in a folder that no node has open: the keys of versions that are there.
pub fn put_keys(folder: &Path, table: &[u8]) -> Result<(), CustodyError> {
    let table: KeyTable = codec::decode("key table", table)
        .map_err(|error| CustodyError::Storage(error.to_string()))?;
    let tables = Embedded::open(folder)?;
    for some in table.rows.chunks(BATCH) {
        let mut changes = Changes::new();
        for row in some {
            if tables.get(Table::Versions, &row.key)?.is_some() {
                let place = (Table::EraseKeys, row.key.clone());
                changes.insert(place, Some(row.wrapped.clone()));
            }
        }
        tables.commit(changes)?;
    }
    Ok(())
}
