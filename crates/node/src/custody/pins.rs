//! Lists of what a search's first page found in the index, for its further pages.
//!
//! They live in memory: after a restart, or when newer searches need the room, a client searches
//! again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use interop::fhir::ResourceType;
use interop::fhir::search::IndexTerms;

use super::rows::{DocumentKey, SubjectId, TermsRow};
use super::search::Match;
use super::{Custody, CustodyError};

/// Matches that are kept at most, of all searches together.
const KEPT_MAX: usize = 1_000_000;

/// A version on a list.
#[derive(Clone)]
pub(super) struct Place {
    document: DocumentKey,
    subject: SubjectId,
    resource_type: ResourceType,
    id: Box<str>,
    version: u64,
}

/// The lists, the newest last.
#[derive(Default)]
pub(super) struct Pins(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lists: BTreeMap<u64, Arc<[Place]>>,
    places: usize,
    next: u64,
}

impl Pins {
    /// Keeps the list, and forgets the oldest ones if there are too many.
    pub(super) fn keep(&self, list: Arc<[Place]>) -> u64 {
        let mut kept = self.kept();
        kept.places = kept.places.saturating_add(list.len());
        let pin = kept.next;
        kept.next = pin.wrapping_add(1);
        kept.lists.insert(pin, list);
        while kept.places > KEPT_MAX && kept.lists.len() > 1 {
            let Some((_, oldest)) = kept.lists.pop_first() else {
                break;
            };
            kept.places = kept.places.saturating_sub(oldest.len());
        }
        pin
    }

    /// A list; `None` if it is no longer kept.
    pub(super) fn list(&self, pin: u64) -> Option<Arc<[Place]>> {
        self.kept().lists.get(&pin).cloned()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn of(one: &Match) -> Self {
        Self {
            document: one.document,
            subject: one.subject,
            resource_type: one.resource_type,
            id: one.row.id.as_str().into(),
            version: one.row.version,
        }
    }
}

impl Custody {
    /// The version on a list, to be decided again; `None` if its document was deleted or erased since.
    pub(super) async fn pinned(&self, place: Place) -> Result<Option<Match>, CustodyError> {
        let head = self.head(place.resource_type, &place.id)?;
        if head.is_none_or(|head| head.deleted) {
            return Ok(None);
        }
        let Some(loaded) = self.load(&place.document, place.version)? else {
            return Ok(None);
        };
        // The index has the terms of the current version alone.
        let content = self.open_content(&loaded).await?;
        Ok(content.map(|content| {
            let row = TermsRow {
                id: place.id.into_string(),
                version: place.version,
                facts: loaded.row.facts,
                terms: IndexTerms::of(&content),
            };
            Match::found((place.document, place.subject), place.resource_type, row)
        }))
    }
}
