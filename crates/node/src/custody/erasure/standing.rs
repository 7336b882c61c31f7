//! How far erasures are: the home finishes what it has begun, and every holder signs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::descriptor::Descriptor;
use contracts::erasure::{
    Acknowledgement, ErasureDescriptor, Grounds, Place, SignedAcknowledgement,
};
use ledger::codec;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::Opening;

use super::rows::{ErasureRow, HolderRow, LAST};
use super::{Erasure, ErasureStanding, Holder};
use crate::custody::remote::OpenDescriptor;
use crate::custody::rows::{DocumentKey, Head, Own, decode, version_key};
use crate::custody::store::Table;
use crate::custody::{Custody, CustodyError};

const FIRST_WAIT_MS: u64 = 1_000;
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// An erasure that a holder is to be told of now.
pub(crate) struct DueErasure {
    key: Vec<u8>,
    /// Whom to tell.
    pub(crate) holder: MemberName,
    /// What to say.
    pub(crate) notice: ErasureNotice,
}

/// What a holder is told of an erasure: enough to find it on the ledger.
#[derive(Clone)]
pub(crate) struct ErasureNotice {
    /// Of the erasure's item.
    pub(crate) tag: Tag,
    /// The descriptor's bytes.
    pub(crate) descriptor: Vec<u8>,
    /// What opens the item's commitment.
    pub(crate) opening: Opening,
}

impl Custody {
    /// The erasures of a document, the oldest first.
    pub fn erasures_of(&self, resource_type: &str, id: &str) -> Result<Vec<Erasure>, CustodyError> {
        let document = self.0.home.keys.document(resource_type, id);
        let rows = self.erasure_rows(&document)?.into_iter();
        rows.map(|(key, row)| self.presented_erasure(&key, &row))
            .collect()
    }

    /// The erasures of a patient's documents, in the order of documents.
    pub fn erasures_of_patient(&self, patient_id: &str) -> Result<Vec<Erasure>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::NotFound)?;
        let rows = self.erasure_rows(&[])?.into_iter();
        rows.filter(|(_, row)| row.subject == subject.id)
            .map(|(key, row)| self.presented_erasure(&key, &row))
            .collect()
    }

    /// Erasures that not every holder has acknowledged.
    pub fn open_erasures(&self) -> Result<Vec<Erasure>, CustodyError> {
        let rows = self.erasure_rows(&[])?.into_iter();
        rows.filter(|(_, row)| row.is_open())
            .map(|(key, row)| self.presented_erasure(&key, &row))
            .collect()
    }

    /// How many erasures are open, and who is missing, as of the last look.
    pub fn erasure_standing(&self) -> ErasureStanding {
        self.0.erasing.standing.borrow().clone()
    }

    /// Resolves when an erasure begins, or after a while.
    pub(crate) async fn erasure_begun(&self, at_most: Duration) {
        let begun = self.0.erasing.begun.notified();
        // Either way it is time to look.
        let _waited = tokio::time::timeout(at_most, begun).await;
    }

    /// Whom to tell now of which erasures. The home's own part is finished first.
    pub(crate) async fn due_erasures(&self) -> Result<Vec<DueErasure>, CustodyError> {
        self.finish_erasures_here().await?;
        let now = (self.0.options.clock)();
        let mut due = Vec::new();
        for (key, row) in self.erasure_rows(&[])? {
            // Before that, nobody could check what is said.
            let home = &self.0.home.member;
            if !row.is_open() || self.0.anchor.locate(home, row.tag)?.is_none() {
                continue;
            }
            let notice = ErasureNotice {
                tag: row.tag,
                descriptor: row.descriptor,
                opening: row.opening,
            };
            let waiting = row.holders.into_iter().filter(|one| {
                one.acknowledged.is_none() && one.next_at <= now && one.member != *home
            });
            due.extend(waiting.map(|one| DueErasure {
                key: key.clone(),
                holder: one.member,
                notice: notice.clone(),
            }));
        }
        Ok(due)
    }

    /// Keeps what a holder has signed, or why it has not.
    pub(crate) async fn holder_said(
        &self,
        due: &DueErasure,
        said: Result<SignedAcknowledgement, String>,
    ) -> Result<(), CustodyError> {
        let now = (self.0.options.clock)();
        self.change_holder(&due.key, due.holder.clone(), move |holder| match said {
            Ok(signed) => holder.acknowledged = Some(signed),
            Err(problem) => holder.try_again(problem, now),
        })
        .await
    }

    /// What this member says of another's erasure, when it has let go of `copies` that it kept for a committee. A member
    /// opens what it is granted in memory and keeps nothing else of it but consents, which their wallet alone revokes.
    pub(crate) fn acknowledge(
        &self,
        home: &MemberName,
        notice: &ErasureNotice,
        descriptor: &ErasureDescriptor,
        copies: u64,
    ) -> Acknowledgement {
        let nothing = |name: &str| Place {
            name: name.to_owned(),
            outcome: "nothing-held".to_owned(),
        };
        let mut places = vec![nothing("record-store"), nothing("object-store")];
        if copies > 0 {
            places.push(Place {
                name: "release-copies".to_owned(),
                outcome: "destroyed".to_owned(),
            });
        }
        Acknowledgement {
            network: self.0.home.network,
            home: home.clone(),
            holder: self.0.home.member.clone(),
            erasure: notice.tag,
            descriptor: Digest::of(&notice.descriptor),
            tags: descriptor.index_tags(),
            held: u32::try_from(copies).unwrap_or(u32::MAX),
            places,
            at: (self.0.options.clock)(),
        }
    }

    /// Finishes at home what was begun: the key table is rewritten, payloads are deleted, and the home signs.
    pub(super) async fn finish_erasures_here(&self) -> Result<(), CustodyError> {
        let home = self.0.home.member.clone();
        let (rows, now) = (self.erasure_rows(&[])?, (self.0.options.clock)());
        let unsigned = |row: &ErasureRow| {
            let mut own = row.holders.iter().filter(|one| one.member == home);
            own.any(|one| one.acknowledged.is_none() && one.next_at <= now)
        };
        let open: Vec<_> = rows.into_iter().filter(|(_, row)| unsigned(row)).collect();
        if !open.is_empty() {
            self.purge_keys().await?;
        }
        for (key, row) in open {
            let said = match self.delete_blobs(&row).await {
                Ok(()) => self.sign_own(&row),
                Err(error) => Err(error),
            };
            let now = (self.0.options.clock)();
            self.change_holder(&key, home.clone(), move |holder| match said {
                Ok(signed) => holder.acknowledged = Some(signed),
                Err(error) => holder.try_again(error.to_string(), now),
            })
            .await?;
        }
        self.count_erasures()
    }

    /// Rewrites what keys were written to. It blocks, so it has a thread of its own.
    pub(super) async fn purge_keys(&self) -> Result<(), CustodyError> {
        let store = Arc::clone(&self.0.store);
        let purged = tokio::task::spawn_blocking(move || store.purge(Table::EraseKeys)).await;
        purged.map_err(|error| CustodyError::Storage(error.to_string()))?
    }

    async fn delete_blobs(&self, row: &ErasureRow) -> Result<(), CustodyError> {
        for locator in &row.blobs {
            self.0.payloads.delete(locator).await?;
        }
        Ok(())
    }

    fn sign_own(&self, row: &ErasureRow) -> Result<SignedAcknowledgement, CustodyError> {
        let descriptor = erasure_in(&row.descriptor)?;
        let place = |name: &str, outcome: &str| Place {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
        };
        let mut places = vec![place("record-store", "destroyed")];
        if !row.blobs.is_empty() {
            places.push(place("object-store", "destroyed"));
        }
        places.extend(
            row.existing_server
                .as_ref()
                .map(|said| place("existing-server", said)),
        );
        places.push(place("backups", "erased again before they are read"));
        let home = &self.0.home;
        let said = Acknowledgement {
            network: home.network,
            home: home.member.clone(),
            holder: home.member.clone(),
            erasure: row.tag,
            descriptor: Digest::of(&row.descriptor),
            tags: descriptor.index_tags(),
            held: u32::try_from(descriptor.erased.len()).unwrap_or(u32::MAX),
            places,
            at: (self.0.options.clock)(),
        };
        self.signed(&said)
    }

    /// Signs an acknowledgement as this member.
    pub(crate) fn signed(
        &self,
        said: &Acknowledgement,
    ) -> Result<SignedAcknowledgement, CustodyError> {
        let acknowledgement = codec::encode(said);
        let speaker = self.0.options.signer.speaker();
        let signature = (speaker.sign)(&SignedAcknowledgement::input(&acknowledgement));
        let signature = signature.map_err(|_| CustodyError::Unavailable {
            what: "the key store",
        })?;
        Ok(SignedAcknowledgement {
            certificate: speaker.certificate,
            signature: speaker.algorithm.in_one_form(signature),
            acknowledgement,
        })
    }

    async fn change_holder(
        &self,
        key: &[u8],
        member: MemberName,
        change: impl FnOnce(&mut HolderRow) + Send + 'static,
    ) -> Result<(), CustodyError> {
        let (home, key) = (self.0.home.clone(), key.to_vec());
        self.0
            .store
            .transact(move |transaction| {
                let row: Option<ErasureRow> =
                    home.keys.get_in(transaction, Table::Erasures, &key)?;
                let mut row = row.ok_or(CustodyError::NotFound)?;
                if let Some(holder) = row.holders.iter_mut().find(|one| one.member == member) {
                    change(holder);
                }
                home.keys.put(transaction, Table::Erasures, &key, &row);
                Ok(())
            })
            .await
    }

    pub(crate) fn count_erasures(&self) -> Result<(), CustodyError> {
        let mut missing: BTreeMap<MemberName, u64> = BTreeMap::new();
        let mut open = 0_u64;
        for (_, row) in self.erasure_rows(&[])? {
            open = open.saturating_add(u64::from(row.is_open()));
            for holder in row.holders.iter().filter(|one| one.acknowledged.is_none()) {
                let count = missing.entry(holder.member.clone()).or_default();
                *count = count.saturating_add(1);
            }
        }
        let missing = missing.into_iter().collect();
        self.0
            .erasing
            .standing
            .send_replace(ErasureStanding { open, missing });
        Ok(())
    }

    /// The descriptor of an erasure, and the key that seals it for the holders of its branch.
    pub(in crate::custody) fn erasure_entry(
        &self,
        document: &DocumentKey,
        number: u64,
    ) -> Result<Option<([u8; 32], OpenDescriptor)>, CustodyError> {
        let key = version_key(document, number);
        let keys = &self.0.home.keys;
        let row: Option<ErasureRow> = keys.get(&self.0.store, Table::Erasures, &key)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let subject = self.0.subjects.load(&row.subject)?;
        let open = OpenDescriptor {
            descriptor: row.descriptor,
            opening: row.opening,
        };
        let key = subject.key(row.branch)?;
        Ok(Some((key.descriptor_key(row.position.unwrap_or(1)), open)))
    }

    pub(super) fn erasure(
        &self,
        document: &DocumentKey,
        number: u64,
    ) -> Result<Erasure, CustodyError> {
        let key = version_key(document, number);
        let row: Option<ErasureRow> = self.0.home.keys.get(&self.0.store, Table::Erasures, &key)?;
        self.presented_erasure(&key, &row.ok_or(CustodyError::NotFound)?)
    }

    /// Rows whose keys start with `prefix`.
    pub(super) fn erasure_rows(
        &self,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, ErasureRow)>, CustodyError> {
        let mut rows = Vec::new();
        for row in self.0.store.scan(Table::Erasures, prefix) {
            let (key, row) = row?;
            if key != LAST {
                let row = self.0.home.keys.open_row(Table::Erasures, &key, &row)?;
                rows.push((key, row));
            }
        }
        Ok(rows)
    }

    fn presented_erasure(&self, key: &[u8], row: &ErasureRow) -> Result<Erasure, CustodyError> {
        let grounds: Grounds = decode("grounds", &row.grounds)?;
        let at_ms = erasure_in(&row.descriptor)?.at;
        let holders = row.holders.iter().map(|one| {
            let said = one.acknowledged.as_ref();
            let said = said
                .map(|said| decode::<Acknowledgement>("acknowledgement", &said.acknowledgement));
            Ok(Holder {
                member: one.member.clone(),
                acknowledged_ms: said.transpose()?.map(|said| said.at),
                attempts: one.attempts,
                problem: one.problem.clone(),
            })
        });
        let place = self.0.anchor.locate(&self.0.home.member, row.tag)?;
        Ok(Erasure {
            number: key.last_chunk().map_or(0, |last| u64::from_be_bytes(*last)),
            resource_type: grounds.resource_type,
            id: grounds.id,
            versions: grounds.versions,
            tombstone: row.tombstone,
            is_redaction: row.is_redaction,
            basis: grounds.basis,
            at_ms,
            is_final: place.is_some(),
            holders: holders.collect::<Result<_, CustodyError>>()?,
        })
    }
}

impl ErasureRow {
    pub(super) fn is_open(&self) -> bool {
        self.holders.iter().any(|one| one.acknowledged.is_none())
    }
}

impl HolderRow {
    /// Waits twice as long as before.
    fn try_again(&mut self, problem: String, now: u64) {
        let wait = FIRST_WAIT_MS.saturating_mul(1 << self.attempts.min(12));
        self.next_at = now.saturating_add(wait.min(LONGEST_WAIT_MS));
        self.attempts = self.attempts.saturating_add(1);
        self.problem = Some(problem);
    }
}

/// The branch in which an erasure of a document stands. Other members read the consents of a consent branch by their
/// positions: nothing else stands there.
pub(super) fn branch_of(head: &Head) -> Own {
    match head.branch {
        Own::Restricted => Own::Restricted,
        Own::Index | Own::Consent | Own::Access => Own::Index,
    }
}

/// The erasure or redaction that a descriptor is of.
pub(crate) fn erasure_in(descriptor: &[u8]) -> Result<ErasureDescriptor, CustodyError> {
    match Descriptor::decode(descriptor) {
        Ok(Descriptor::Erasure(erasure) | Descriptor::Redaction(erasure)) => Ok(erasure),
        _ => Err(CustodyError::Storage("an erasure's descriptor".to_owned())),
    }
}
