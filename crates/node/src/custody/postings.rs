//! Postings: which documents have a lookup key, so that a search does not open what it cannot find.
//!
//! A row's key is what stands for the lookup key, then subject and document. The terms of a document name its postings
//! in clear, so that they go with it and a scan passes over what lacks them. What is found has a keyed hash in common
//! with the query, no more: [`Part::matches`] over the opened terms decides.

use std::collections::BTreeSet;

use interop::fhir::search::{IndexTerms, Part};

use super::CustodyError;
use super::keys::Keys;
use super::rows::{DocumentKey, SubjectId};
use super::store::{Table, Transaction, View};

/// The first bytes of the keyed hash of a type and a lookup key.
pub(crate) type Posting = [u8; POSTING_BYTES];
/// Whose a document is, and its name.
pub(crate) type Place = (SubjectId, DocumentKey);

const POSTING_BYTES: usize = 8;
/// Rows that are read to choose between the filters of a query, in rounds.
const ROUNDS: [usize; 4] = [128, 2_048, 32_768, 524_288];
/// Where no more documents are in question than this, a scan is at hand.
const SCANNED: usize = 2_048;
/// The first byte of a row of terms; rows of older releases start with that of a number that is never as high.
const LAYOUT: u8 = 1;

/// A row of the terms as it is stored.
#[derive(Debug)]
pub(crate) struct Filed<'a> {
    pub(crate) version: u64,
    /// `None` in rows of older releases.
    pub(crate) postings: Option<&'a [Posting]>,
    pub(crate) sealed: &'a [u8],
}

impl<'a> Filed<'a> {
    pub(crate) fn read(row: &'a [u8]) -> Result<Self, CustodyError> {
        let malformed = || CustodyError::Storage("a row of the index has another form".to_owned());
        let Some((&LAYOUT, rest)) = row.split_first() else {
            let (version, sealed) = row.split_first_chunk().ok_or_else(malformed)?;
            return Ok(Self {
                version: u64::from_be_bytes(*version),
                postings: None,
                sealed,
            });
        };
        let (version, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let (count, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let count = usize::try_from(u32::from_be_bytes(*count)).map_err(|_| malformed())?;
        let bytes = count.checked_mul(POSTING_BYTES).ok_or_else(malformed)?;
        let (postings, sealed) = rest.split_at_checked(bytes).ok_or_else(malformed)?;
        Ok(Self {
            version: u64::from_be_bytes(*version),
            postings: Some(postings.as_chunks().0),
            sealed,
        })
    }

    pub(crate) fn write(version: u64, postings: &[Posting], sealed: &[u8]) -> Vec<u8> {
        let count = u32::try_from(postings.len()).unwrap_or(u32::MAX);
        [
            [LAYOUT].as_slice(),
            &version.to_be_bytes(),
            &count.to_be_bytes(),
            postings.as_flattened(),
            sealed,
        ]
        .concat()
    }
}

impl Keys {
    /// The postings of a document with these terms, in order.
    pub(crate) fn postings(&self, resource_type: &str, terms: &IndexTerms) -> Vec<Posting> {
        let keys = terms.lookup_keys();
        let postings = keys.iter().map(|key| self.posting(resource_type, key));
        let mut postings: BTreeSet<Posting> = postings.collect();
        if resource_type == "Patient" {
            postings.extend(self.blocked(terms));
        }
        postings.into_iter().collect()
    }

    /// What a part of a query asks of the postings.
    pub(super) fn asked(&self, part: &Part) -> Asked {
        let posting = |key| self.posting(part.resource_type.as_str(), key);
        let lookups = part.lookups();
        let filters = lookups
            .iter()
            .map(|alternatives| alternatives.iter().map(posting).collect());
        let named = |id| self.document(part.resource_type.as_str(), id);
        let ids = part.ids();
        Asked {
            filters: filters.collect(),
            documents: ids.map(|ids| ids.into_iter().map(named).collect()),
        }
    }
}

/// Puts a document's postings in the place of those it had.
pub(crate) fn replace(
    transaction: &mut Transaction<'_>,
    (subject, document): (&SubjectId, &DocumentKey),
    before: &[Posting],
    now: &[Posting],
) {
    for gone in before.iter().filter(|one| !now.contains(one)) {
        transaction.remove(Table::Postings, &posting_key(gone, subject, document));
    }
    for new in now.iter().filter(|one| !before.contains(one)) {
        let key = posting_key(new, subject, document);
        transaction.put(Table::Postings, &key, Vec::new());
    }
}

/// What a part of a query says of its matches.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// For each filter that chooses, the postings of which a match has at least one.
    filters: Vec<BTreeSet<Posting>>,
    /// The documents that are named, if it is by their ids.
    pub(super) documents: Option<BTreeSet<DocumentKey>>,
}

impl Asked {
    /// Whether a document with these postings can match.
    pub(super) fn leaves(&self, postings: &[Posting]) -> bool {
        let has_one = |filter: &BTreeSet<Posting>| postings.iter().any(|one| filter.contains(one));
        self.filters.iter().all(has_one)
    }

    /// The documents that one filter leaves, by the filter that leaves the fewest; `None` if a scan of the terms costs
    /// no more.
    pub(super) fn candidates(
        &self,
        view: &View,
        terms_prefix: &[u8],
        subject: Option<&SubjectId>,
    ) -> Result<Option<Vec<Place>>, CustodyError> {
        if self.filters.is_empty() {
            return Ok(None);
        }
        for round in ROUNDS {
            let is_small = || view.keys(Table::Terms, terms_prefix).nth(round).is_none();
            if round <= SCANNED && is_small() {
                return Ok(None);
            }
            for filter in &self.filters {
                if let Some(places) = gather(view, filter, subject, round)? {
                    return Ok(Some(places));
                }
            }
        }
        Ok(None)
    }
}

/// The documents that have one of the postings, if they are no more than `most`.
pub(super) fn gather(
    view: &View,
    filter: &BTreeSet<Posting>,
    subject: Option<&SubjectId>,
    most: usize,
) -> Result<Option<Vec<Place>>, CustodyError> {
    let mut places = Vec::new();
    for posting in filter {
        let subject = subject.map(<[u8; 16]>::as_slice).unwrap_or_default();
        let prefix = [posting.as_slice(), subject].concat();
        for key in view.keys(Table::Postings, &prefix) {
            places.push(place(&key?)?);
            if places.len() > most {
                return Ok(None);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(Some(places))
}

/// Whose posting it is.
pub(super) fn place(key: &[u8]) -> Result<Place, CustodyError> {
    let rest = key.get(POSTING_BYTES..);
    rest.and_then(|rest| {
        let (subject, document) = rest.split_first_chunk()?;
        Some((*subject, document.try_into().ok()?))
    })
    .ok_or_else(|| CustodyError::Storage("a posting's key has another form".to_owned()))
}

pub(super) fn posting_key(
    posting: &Posting,
    subject: &SubjectId,
    document: &DocumentKey,
) -> Vec<u8> {
    [posting.as_slice(), subject, document].concat()
}
