//! Lists of what a first page of `$everything` found, for its further pages.
//!
//! They live in memory: after a restart, or when newer ones need the room, a client asks again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use interop::fhir::ResourceType;
use ledger::ids::MemberName;
use node::custody::Opened;

/// Places that are kept at most, of all lists together.
const KEPT_MAX: usize = 1_000_000;

/// A document of a member.
pub(super) type Place = (MemberName, ResourceType, String);

/// The lists, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lists: BTreeMap<u64, Arc<[(Place, u64)]>>,
    places: usize,
    next: u64,
}

impl Lists {
    /// Keeps the documents with their versions, and forgets the oldest lists if there are too many.
    pub(super) fn keep(&self, opened: &[Opened]) -> u64 {
        let list: Arc<[(Place, u64)]> =
            opened.iter().map(|one| (place(one), one.version)).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.places = kept.places.saturating_add(list.len());
        let number = kept.next;
        kept.next = number.wrapping_add(1);
        kept.lists.insert(number, list);
        while kept.places > KEPT_MAX && kept.lists.len() > 1 {
            let Some((_, oldest)) = kept.lists.pop_first() else {
                break;
            };
            kept.places = kept.places.saturating_sub(oldest.len());
        }
        number
    }

    /// A list; `None` if it is no longer kept.
    pub(super) fn list(&self, number: u64) -> Option<Arc<[(Place, u64)]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lists.get(&number).cloned()
    }
}

pub(super) fn place(one: &Opened) -> Place {
    let kind = one.resource.resource_type();
    (one.member.clone(), kind, one.id.clone())
}
