//! The rows behind a search, many at a time: what a database elsewhere answers in one turn is asked in one.

use std::collections::BTreeSet;

use interop::fhir::ResourceType;

use super::labelling::{searched, undecided};
use super::postings::{Asked, Filed, Place};
use super::read::Loaded;
use super::rows::{DocumentKey, Head, SubjectId, TermsRow, version_key};
use super::search::Match;
use super::store::{Stored, Table, View};
use super::{Custody, CustodyError};

/// Rows of the terms that are opened together.
const TERMS_AT_ONCE: usize = 512;
/// Versions that are loaded together; they hold payloads.
pub(super) const VERSIONS_AT_ONCE: usize = 64;

/// The terms in a row; `None` if they are ruled out or were erased.
type Terms = Result<Option<TermsRow>, CustodyError>;

impl Custody {
    /// Current versions of one type and subject.
    pub(super) async fn current_of(
        &self,
        resource_type: ResourceType,
        subject: &SubjectId,
    ) -> Result<Vec<(DocumentKey, TermsRow)>, CustodyError> {
        let mut found = Vec::new();
        let all = Asked::default();
        self.collect(resource_type, Some(subject), &all, &mut found, |_| true)
            .await?;
        let rows = found.into_iter().map(|one| (one.document, one.row));
        Ok(rows.collect())
    }

    /// Current versions of a type that are `wanted`, among those that what is asked of the index leaves.
    pub(super) async fn collect(
        &self,
        resource_type: ResourceType,
        subject: Option<&SubjectId>,
        asked: &Asked,
        found: &mut Vec<Match>,
        wanted: impl Fn(&TermsRow) -> bool,
    ) -> Result<(), CustodyError> {
        let keys = &self.0.home.keys;
        // Asked before the view is taken: an index that is made meanwhile is not what the view shows.
        let is_complete = self.0.indexing.is_complete();
        let nothing = Asked::default();
        let asked = if is_complete { asked } else { &nothing };
        let view = self.0.store.view()?;
        let rest: Vec<_> = subject.into_iter().collect();
        let prefix = keys.terms(resource_type.as_str(), &rest);
        let candidates = match &asked.documents {
            Some(documents) => Some(self.places_of(documents, subject)?),
            None if is_complete => asked.candidates(&view, &prefix, subject)?,
            None => None,
        };
        let mut stale = Vec::new();
        let mut judge = |rows: &[(Stored, Stored)]| {
            for ((subject, document), row) in self.terms_among(rows, asked)? {
                let row = match row {
                    // Of an older form of the index: made anew below, as the indexing will.
                    Err(_) if !is_complete => {
                        stale.push((subject, document));
                        continue;
                    }
                    row => row?,
                };
                // Erased since, or without what is asked for.
                found.extend(
                    row.filter(&wanted)
                        .map(|row| Match::found((document, subject), resource_type, row)),
                );
            }
            Ok::<_, CustodyError>(())
        };
        match candidates {
            None => {
                let mut rows = view.scan(Table::Terms, &prefix);
                loop {
                    let some = rows.by_ref().take(TERMS_AT_ONCE);
                    let some: Vec<_> = some.collect::<Result<_, _>>()?;
                    if some.is_empty() {
                        break;
                    }
                    judge(&some)?;
                }
            }
            Some(candidates) => {
                for some in candidates.chunks(TERMS_AT_ONCE) {
                    let some = some.iter().map(|(subject, document)| {
                        keys.terms(resource_type.as_str(), &[subject, document])
                    });
                    let some: Vec<_> = some.collect();
                    let rows = view.get_all(Table::Terms, &some)?;
                    let rows = some.into_iter().zip(rows);
                    let rows = rows.filter_map(|(key, row)| Some((Stored::Fetched(key), row?)));
                    judge(&rows.collect::<Vec<_>>())?;
                }
            }
        }
        drop(view);
        for (subject, document) in stale {
            let row = self.renewed_terms(&document).await?;
            found.extend(
                row.filter(&wanted)
                    .map(|row| Match::found((document, subject), resource_type, row)),
            );
        }
        Ok(())
    }

    /// The terms of a document's current version; `None` if it was erased.
    pub(super) async fn current_terms(
        &self,
        resource_type: ResourceType,
        subject: &SubjectId,
        document: &DocumentKey,
    ) -> Result<Option<TermsRow>, CustodyError> {
        let keys = &self.0.home.keys;
        let key = keys.terms(resource_type.as_str(), &[subject, document]);
        let is_complete = self.0.indexing.is_complete();
        let Some(row) = self.0.store.get(Table::Terms, &key)? else {
            return Ok(None);
        };
        match self.open_terms(&key, document, &row) {
            // Of an older form of the index.
            Err(_) if !is_complete => self.renewed_terms(document).await,
            row => row,
        }
    }

    /// Current versions of a type at these places; those that were erased, or are of an older form of the index, are left
    /// out.
    pub(super) fn at_places(
        &self,
        view: &View,
        resource_type: ResourceType,
        places: &[Place],
    ) -> Result<Vec<Match>, CustodyError> {
        let keys = &self.0.home.keys;
        let named = places
            .iter()
            .map(|(subject, document)| keys.terms(resource_type.as_str(), &[subject, document]));
        let named: Vec<_> = named.collect();
        let rows = view.get_all(Table::Terms, &named)?;
        let rows = named.into_iter().zip(rows);
        let rows = rows.filter_map(|(key, row)| Some((Stored::Fetched(key), row?)));
        let rows: Vec<_> = rows.collect();
        let found = self.terms_among(&rows, &Asked::default())?.into_iter();
        Ok(found
            .filter_map(|((subject, document), row)| {
                let row = row.ok()??;
                Some(Match::found((document, subject), resource_type, row))
            })
            .collect())
    }

    /// Where the terms of documents are, those of one subject if it is given.
    fn places_of(
        &self,
        documents: &BTreeSet<DocumentKey>,
        subject: Option<&SubjectId>,
    ) -> Result<Vec<Place>, CustodyError> {
        let mut places = Vec::new();
        for document in documents {
            let head: Option<Head> = self
                .0
                .home
                .keys
                .get(&self.0.store, Table::Heads, document)?;
            let owner = head.map(|head| head.subject);
            let owner = owner.filter(|owner| subject.is_none_or(|wanted| wanted == owner));
            places.extend(owner.map(|owner| (owner, *document)));
        }
        Ok(places)
    }

    /// Opens a row of the terms; `None` if the document was erased.
    fn open_terms(
        &self,
        key: &[u8],
        document: &DocumentKey,
        row: &[u8],
    ) -> Result<Option<TermsRow>, CustodyError> {
        let filed = Filed::read(row)?;
        let (keys, store) = (&self.0.home.keys, &self.0.store);
        let erase = keys.erase_key(store, document, filed.version)?;
        let row = erase.map(|erase| erase.open(Table::Terms, key, filed.sealed));
        Ok(row.transpose()?.map(labelled))
    }

    /// Opens rows of the terms, unless their postings rule them out.
    fn terms_among(
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
                row.transpose().map(|row| row.map(labelled))
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

/// Assigned labels are searched as they are shown, whatever was filed: they change without the index.
pub(super) fn labelled(mut row: TermsRow) -> TermsRow {
    let labels = searched(&row.facts.disclosure.labels);
    let labels = labels.chain(undecided(row.facts.labelling.as_ref()));
    row.terms.add_tokens("_security", labels);
    row
}

/// Subject and document in a key of the terms.
fn place_of(key: &[u8]) -> Result<Place, CustodyError> {
    let rest = key.get(8..).and_then(<[u8]>::split_first_chunk::<16>);
    rest.and_then(|(subject, document)| Some((*subject, document.try_into().ok()?)))
        .ok_or_else(|| CustodyError::Storage("a key of the index has another form".to_owned()))
}
