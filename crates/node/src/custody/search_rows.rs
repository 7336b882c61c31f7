//! The rows behind a search, many at a time: what a database elsewhere answers in one turn is asked in one.

use super::postings::{Asked, Filed, Place};
use super::read::Loaded;
use super::rows::{DocumentKey, TermsRow, version_key};
use super::store::{Stored, Table};
use super::{Custody, CustodyError};

/// Rows of the terms that are opened together.
pub(super) const TERMS_AT_ONCE: usize = 512;
/// Versions that are loaded together; they hold payloads.
pub(super) const VERSIONS_AT_ONCE: usize = 64;

/// The terms in a row; `None` if they are ruled out or were erased.
pub(super) type Terms = Result<Option<TermsRow>, CustodyError>;

impl Custody {
    /// Opens rows of the terms, unless their postings rule them out.
    pub(super) fn terms_among(
        &self,
        rows: &[(Stored, Stored)],
        asked: &Asked,
    ) -> Result<Vec<(Place, Terms)>, CustodyError> {
        let is_complete = self.0.indexing.is_complete();
        let mut filed = Vec::with_capacity(rows.len());
        let mut versions = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let place = place_of(key)?;
            let read = Filed::read(row);
            let listed = read.as_ref().ok().and_then(|filed| filed.postings);
            if is_complete && listed.is_some_and(|postings| !asked.leaves(postings)) {
                continue;
            }
            // What cannot be read is of no version; its key is looked for in vain.
            let version = read.as_ref().map_or(0, |filed| filed.version);
            versions.push((place.1, version));
            filed.push((place, key, read));
        }
        let erase = self.0.home.keys.erase_keys(&self.0.store, &versions)?;
        let opened = filed.into_iter().zip(erase);
        let opened = opened.map(|((place, key, filed), erase)| {
            let open = || {
                let filed = filed?;
                let row = erase?.map(|erase| erase.open(Table::Terms, key, filed.sealed));
                row.transpose()
            };
            (place, open())
        });
        Ok(opened.collect())
    }

    /// The rows of versions; `None` for those that were erased or never written.
    pub(super) fn load_all(
        &self,
        versions: &[(DocumentKey, u64)],
    ) -> Result<Vec<Option<Loaded>>, CustodyError> {
        let store = &self.0.store;
        let erase = self.0.home.keys.erase_keys(store, versions)?;
        let keys = versions.iter();
        let keys: Vec<_> = keys
            .map(|(document, version)| version_key(document, *version))
            .collect();
        let rows = store.get_all(Table::Versions, &keys)?;
        let both = erase.into_iter().zip(rows).zip(&keys);
        both.map(|((erase, row), key)| {
            let Some((erase, row)) = erase?.zip(row) else {
                return Ok(None);
            };
            let row = erase.open(Table::Versions, key, &row)?;
            Ok(Some(Loaded { row, erase }))
        })
        .collect()
    }
}

/// Subject and document in a key of the terms.
fn place_of(key: &[u8]) -> Result<Place, CustodyError> {
    let rest = key.get(8..).and_then(<[u8]>::split_first_chunk::<16>);
    rest.and_then(|(subject, document)| Some((*subject, document.try_into().ok()?)))
        .ok_or_else(|| CustodyError::Storage("a key of the index has another form".to_owned()))
}
