//! What the gateway's authorization server keeps: sealed rows under names that the disk does not show.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::store::{Table, Transaction};
use super::{Custody, CustodyError};

/// A name and its value.
#[derive(Encode, Decode)]
struct Row {
    #[n(0)]
    name: String,
    #[n(1)]
    value: ByteVec,
}

impl Custody {
    /// The value under this name.
    pub fn authorization(&self, name: &str) -> Result<Option<Vec<u8>>, CustodyError> {
        let keys = &self.0.home.keys;
        let key = self.authorization_key(name);
        let row: Option<Row> = keys.get(&self.0.store, Table::Authorization, &key)?;
        Ok(row.map(|row| row.value.into()))
    }

    /// All values whose names begin with `prefix`.
    pub fn authorizations(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, CustodyError> {
        let keys = &self.0.home.keys;
        let mut found = BTreeMap::new();
        for row in self.0.store.scan(Table::Authorization, &[]) {
            let (key, sealed) = row?;
            let row: Row = keys.open_row(Table::Authorization, &key, &sealed)?;
            if row.name.starts_with(prefix) {
                found.insert(row.name, row.value.into());
            }
        }
        Ok(found)
    }

    /// Puts `next` where `expected` is, or where nothing is; `None` removes. Says whether it did: the value may be another
    /// by now. Durable when this returns.
    pub async fn exchange_authorization(
        &self,
        name: &str,
        expected: Option<Vec<u8>>,
        next: Option<Vec<u8>>,
    ) -> Result<bool, CustodyError> {
        let keys = Arc::clone(&self.0.home.keys);
        let (key, name) = (self.authorization_key(name), name.to_owned());
        let work = move |transaction: &mut Transaction<'_>| {
            let row: Option<Row> = keys.get_in(transaction, Table::Authorization, &key)?;
            let current: Option<Vec<u8>> = row.map(|row| row.value.into());
            if current != expected {
                return Ok(false);
            }
            match next {
                Some(value) => {
                    let value = value.into();
                    let row = Row { name, value };
                    keys.put(transaction, Table::Authorization, &key, &row);
                }
                None => transaction.remove(Table::Authorization, &key),
            }
            Ok(true)
        };
        self.0.store.transact(work).await
    }

    fn authorization_key(&self, name: &str) -> [u8; 16] {
        self.0.home.keys.document("authorization", name)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Row(..)")
    }
}
