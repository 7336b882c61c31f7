//! Rotation of branch keys: the streams of a branch that this member writes are closed, and go on under the next key.
//!
//! The closing items, the new key and where each document goes on are one transaction on the writer's thread: what is
//! appended before it is under the former key, and what is appended after it under the new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::rotation::Closing;
use interop::fhir::IssueType;
use ledger::ids::Tag;
use ledger::item::Item;
use ledger::stream::{Branch, GrantedBranch, KeyEpoch, StreamKey};

use super::append::Home;
use super::branch::{Brought, close_entries};
use super::request::Requester;
use super::rows::{DocumentKey, EntryRow, Head, Own, StreamMove, position_key};
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::write::invalid;
use super::{Custody, CustodyError, rows};

impl Custody {
    /// Takes keys that the patient's wallet brings; says whether streams were closed. All of it, or nothing.
    pub(super) async fn take_keys(
        &self,
        by: &Requester,
        subject: Arc<Subject>,
        granted: Vec<GrantedBranch>,
    ) -> Result<(), CustodyError> {
        let mut event = by.audited("branches");
        event.recorded = self.now();
        event.patient.clone_from(&subject.patient_id);
        let patient_id = subject.patient_id.as_deref().unwrap_or_default();
        event.target = format!("Patient/{patient_id}");
        let home = self.0.home.clone();
        let taken = self.0.store.transact(move |transaction| {
            let mut subject = home.renewed(transaction, &subject)?;
            for one in granted {
                home.take_key(transaction, &mut subject, one)?;
            }
            subject.put(&home.keys, transaction);
            home.audit(transaction, Some(&subject.id), event)?;
            Ok(subject)
        });
        let subject = taken.await?;
        self.0.rulings.forget(&subject.id);
        self.expect_consents_of(&subject)
    }

    /// The branches of which there are keys here, with the number of the newest.
    pub fn branches_held(&self, patient_id: &str) -> Result<Vec<(Branch, KeyEpoch)>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let held = subject.branches.iter();
        let held = held.map(|(branch, keys)| (branch.clone(), keys.newest().epoch));
        Ok(held.collect())
    }

    /// Mints the next keys of this member's own branches for a patient whose root it keeps.
    pub async fn rotate_escrowed(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<(), CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let home = &self.0.home;
        let minted = Own::ALL.map(|own| subject.minted(home.network, &own.of(&home.member)));
        let minted = minted.into_iter().collect::<Option<Vec<_>>>();
        let minted = minted.ok_or_else(|| {
            invalid(
                IssueType::BusinessRule,
                "the patient's wallet rotates its keys itself",
            )
        })?;
        self.take_keys(by, subject, minted).await
    }
}

impl Home {
    /// The subject as the writer sees it: it may have got keys since it was loaded.
    pub(crate) fn renewed(
        &self,
        transaction: &Transaction<'_>,
        subject: &Subject,
    ) -> Result<Subject, CustodyError> {
        let row: Option<rows::SubjectRow> =
            self.keys
                .get_in(transaction, Table::Subjects, &subject.id)?;
        Ok(match row {
            Some(row) => Subject::of(&self.member, subject.id, row),
            // The member's directory has no row.
            None => subject.clone(),
        })
    }

    pub(in crate::custody) fn take_key(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &mut Subject,
        granted: GrantedBranch,
    ) -> Result<(), CustodyError> {
        let own = Own::ALL.into_iter();
        let own = own
            .into_iter()
            .find(|own| own.of(&self.member) == granted.branch);
        let Some(own) = own else {
            return subject.bring(granted).map_err(refused);
        };
        match subject.key(own)?.brought(granted.epoch, &granted.key) {
            Brought::Known => Ok(()),
            Brought::New => self.rotate(transaction, subject, (own, granted)),
            brought @ (Brought::Stale | Brought::Other) => Err(refused(brought)),
        }
    }

    fn rotate(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &mut Subject,
        (own, granted): (Own, GrantedBranch),
    ) -> Result<(), CustodyError> {
        let place = position_key(&subject.id, own);
        let last: Option<u64> = self.keys.get_in(transaction, Table::Positions, &place)?;
        let former = subject.key(own)?.newest().clone();
        let known = last.unwrap_or(0).saturating_sub(former.before);
        let end = self.end_of(&former.key.entries(), known)?;
        let before = former.before.saturating_add(end.position).saturating_sub(1);
        self.keys
            .put(transaction, Table::Positions, &place, &before);
        subject.go_on(own, &granted, before);
        let GrantedBranch { branch, epoch, .. } = granted;
        let newest = subject.key(own)?.newest();
        let closing = close_entries((self.network, &self.member), &branch, &former, newest);
        let named = EntryRow::Closing {
            subject: subject.id,
            branch: own,
            epoch: former.epoch,
        };
        let [tag, _] = closing.item.tags;
        self.put_entry(transaction, tag, named);
        settle(transaction, &closing, end.item)?;
        for document in self.documents_in(transaction, subject, (own, before))? {
            self.move_document(transaction, subject, (own, &branch, epoch), &document)?;
        }
        Ok(())
    }

    /// The documents that are listed among so many entries of a branch.
    fn documents_in(
        &self,
        transaction: &Transaction<'_>,
        subject: &Subject,
        (own, entries): (Own, u64),
    ) -> Result<BTreeSet<DocumentKey>, CustodyError> {
        let mut documents = BTreeSet::new();
        if own == Own::Access {
            return Ok(documents);
        }
        let keys = subject.key(own)?;
        for position in 1..=entries {
            let row = transaction.get(Table::Entries, &keys.tag(position).0)?;
            let row = row.map(|row| rows::decode("entry", &row)).transpose()?;
            if let Some(EntryRow::Version { document, .. }) = row {
                documents.insert(document);
            }
        }
        Ok(documents)
    }

    fn move_document(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        (own, branch, epoch): (Own, &Branch, u32),
        document: &DocumentKey,
    ) -> Result<(), CustodyError> {
        let head: Option<Head> = self.keys.get_in(transaction, Table::Heads, document)?;
        // A document that is listed here for its labels may have its stream in another branch.
        let Some(mut head) = head.filter(|head| head.stream == own) else {
            return Ok(());
        };
        let keys = subject.key(own)?;
        let end = self.end_of(keys.document(&head).newest(), head.version)?;
        let first = end.position;
        let moves = head.moves.get_or_insert_default();
        moves.push(StreamMove { epoch, first });
        let place = (self.network, &self.member);
        let closings = keys.document(&head).closings(place, branch);
        if let Some((_, closing)) = closings.last() {
            settle(transaction, closing, end.item)?;
        }
        self.keys.put(transaction, Table::Heads, document, &head);
        Ok(())
    }

    /// Where a stream ends of which `known` positions are here. The ledger holds more of it, or its closing item, if
    /// these records were put back from a backup.
    fn end_of(&self, stream: &StreamKey, known: u64) -> Result<End, CustodyError> {
        let locate = |tag: Tag| self.anchor.locate(&self.member, tag);
        let mut position = known.saturating_add(1);
        let Some(closed) = locate(stream.closing())? else {
            while locate(stream.tag(position))?.is_some() {
                position = position.saturating_add(1);
            }
            let item = None;
            return Ok(End { position, item });
        };
        let (_, item) = self.anchor.item(closed)?;
        while stream.tag(position) != item.tags[0] {
            if locate(stream.tag(position))?.is_none() {
                return Err(CustodyError::Storage(
                    "a stream was closed on the ledger elsewhere than at its end".to_owned(),
                ));
            }
            position = position.saturating_add(1);
        }
        let item = Some(item);
        Ok(End { position, item })
    }
}

/// Where a stream ends.
struct End {
    /// Of its closing item.
    position: u64,
    /// That item, if the ledger has it.
    item: Option<Item>,
}

/// Sends a closing item on its way, unless the ledger has it.
fn settle(
    transaction: &mut Transaction<'_>,
    closing: &Closing,
    on_ledger: Option<Item>,
) -> Result<(), CustodyError> {
    match on_ledger {
        None => transaction.enqueue(&closing.item),
        Some(item) if item == closing.item => {}
        Some(_) => {
            return Err(invalid(
                IssueType::Conflict,
                "the branch was closed before, in favour of another key than this",
            ));
        }
    }
    Ok(())
}

/// Why a key is not taken.
pub(super) fn refused(brought: Brought) -> CustodyError {
    match brought {
        Brought::Stale => invalid(
            IssueType::Conflict,
            "stale branch keys: a newer key of the branch is known here",
        ),
        _ => invalid(IssueType::Conflict, "a branch is known here by another key"),
    }
}
