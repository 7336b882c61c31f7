//! What is held here, to be gone over as it was at one moment: beside a node that runs, or of one that does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::descriptor::{AccessDescriptor, Descriptor};
use ledger::ids::{MemberName, Tag};
use ledger::item::{ITEM_BYTES, Item, Opening};
use ledger::stream::RootKey;
use vault::blob::BlobConfig;
use vault::wrap::WrappingKey;

use crate::custody::keys::Keys;
use crate::custody::payload::Payloads;
use crate::custody::rows::{AccessRow, Own, SubjectId};
use crate::custody::store::{Disk, RecordsConfig, Store, Table, View};
use crate::custody::subject::{Subject, Subjects};
use crate::custody::{Anchor, Custody, CustodyError};

/// What a member holds: records, keys and the ledger.
pub struct Held {
    pub(super) view: View,
    pub(super) store: Arc<Store>,
    pub(super) keys: Arc<Keys>,
    pub(super) subjects: Subjects,
    pub(super) payloads: Payloads,
    pub(super) anchor: Arc<dyn Anchor>,
    pub(super) member: MemberName,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}

/// An access entry as it is stored.
pub(super) struct Entry {
    pub(super) position: u64,
    /// `None` if it cannot be opened.
    pub(super) stored: Option<Stored>,
}

pub(super) struct Stored {
    pub(super) access: AccessDescriptor,
    pub(super) descriptor: Vec<u8>,
    pub(super) opening: Opening,
}

impl Held {
    /// What a node that does not run holds.
    pub fn at_rest(
        records: &RecordsConfig,
        blobs: &BlobConfig,
        (member, keys): (&MemberName, &(RootKey, Vec<WrappingKey>)),
        anchor: Arc<dyn Anchor>,
    ) -> Result<Self, CustodyError> {
        let store = Arc::new(Store::open(records, Disk)?);
        let keys = Keys::new(&keys.0, &keys.1);
        let (network, owner) = (anchor.network(), member.clone());
        Ok(Self {
            view: store.view()?,
            subjects: Subjects::new(Arc::clone(&store), Arc::clone(&keys), owner, network),
            payloads: Payloads::open_in(blobs)?,
            store,
            keys,
            anchor,
            member: member.clone(),
        })
    }

    /// Every patient's subject and the directory's, by id.
    pub(super) fn owners(&self) -> Result<BTreeMap<SubjectId, Arc<Subject>>, CustodyError> {
        let mut owners = BTreeMap::new();
        let directory = self.subjects.directory();
        owners.insert(directory.id, directory);
        for subject in self.subjects.all() {
            let subject = subject?;
            owners.insert(subject.id, subject);
        }
        Ok(owners)
    }

    /// The stored entries of a subject's access stream at this member.
    pub(super) fn entries(&self, subject: &SubjectId) -> Result<Vec<Entry>, CustodyError> {
        let mut entries = Vec::new();
        for row in self.view.scan(Table::Accesses, subject) {
            let (key, row) = row?;
            let position = key.last_chunk().copied().unwrap_or_default();
            let opened: Option<AccessRow> = self.keys.open_row(Table::Accesses, &key, &row).ok();
            let stored = opened.and_then(|row| match Descriptor::decode(&row.descriptor) {
                Ok(Descriptor::Access(access)) => Some(Stored {
                    access,
                    descriptor: row.descriptor,
                    opening: row.opening,
                }),
                _ => None,
            });
            entries.push(Entry {
                position: u64::from_be_bytes(position),
                stored,
            });
        }
        Ok(entries)
    }

    /// First tags of the items on their way to the ledger.
    pub(super) fn waiting(&self) -> Result<std::collections::BTreeSet<Tag>, CustodyError> {
        let mut waiting = std::collections::BTreeSet::new();
        for row in self.view.scan(Table::Outbox, &[]) {
            let (_, row) = row?;
            if let Ok(item) = <[u8; ITEM_BYTES]>::try_from(&*row) {
                waiting.insert(Item::from_bytes(&item).tags[0]);
            }
        }
        Ok(waiting)
    }

    /// The item that the ledger holds under the tag of an access entry.
    pub(super) fn item(&self, tag: Tag) -> Result<Option<Item>, CustodyError> {
        match self.anchor.locate(&self.member, tag)? {
            Some(position) => Ok(Some(self.anchor.item(position)?.1)),
            None => Ok(None),
        }
    }

    pub(super) fn access_tag(subject: &Subject, position: u64) -> Result<Tag, CustodyError> {
        Ok(subject.key(Own::Access)?.tag(position))
    }
}

impl Custody {
    /// What this node holds now, with everything entered that was put down.
    pub async fn held(&self) -> Result<Held, CustodyError> {
        // In a task of its own: a caller that goes away does not keep requests from being entered.
        let registrar = self.0.registrar.clone();
        let entered = tokio::spawn(async move { registrar.enter().await }).await;
        entered.map_err(|error| CustodyError::Storage(error.to_string()))??;
        Ok(Held {
            view: self.0.store.view()?,
            store: Arc::clone(&self.0.store),
            keys: Arc::clone(&self.0.home.keys),
            subjects: self.0.subjects.clone(),
            payloads: self.0.payloads.clone(),
            anchor: Arc::clone(&self.0.anchor),
            member: self.0.home.member.clone(),
        })
    }
}
