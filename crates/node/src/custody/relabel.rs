//! Labelling anew: when the rules change, all versions are gone over; when a document's own labels change, the patient's
//! documents are, because others may take labels from it.
//!
//! Documents are taken in the order of their heads; where to go on is in the record store, so a stop loses nothing.
//! A current version that becomes sensitive gets an entry in the restricted stream, under an opening of its own: the
//! two items cannot be told to belong together. Its entry in the index is not answered for any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use contracts::descriptor::Descriptor;
use interop::fhir::{Resource, ResourceType};
use ledger::codec;
use ledger::ids::Digest;
use ledger::item::Opening;
use minicbor::{Decode, Encode};
use tokio::sync::Notify;

use super::append::Home;
use super::keys::{EraseKey, random, random_tag};
use super::labelling::{Labelled, Together};
use super::postings::Filed;
use super::rows::{
    DocumentKey, EntryRow, Facts, Head, Moved, Own, SubjectId, TermsRow, VersionRow, decode,
    type_of, version_key,
};
use super::store::{Store, Table, Transaction};
use super::subject::Subject;
use super::{Custody, CustodyError, Inner};

/// Documents between two notes of where to go on.
const STEP: usize = 32;
const STATE_KEY: &[u8] = b"state";
/// Times that a patient's documents are gone over: labels have come as far as they go, see `labelling`.
const ROUNDS: usize = 2;
/// Between a failure and the next attempt.
const PAUSE: Duration = Duration::from_secs(10);

/// How far labelling anew is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelProgress {
    /// Whether documents are being gone over.
    pub is_running: bool,
    /// Documents that are done.
    pub done: u64,
    /// Documents that there are, about.
    pub documents: u64,
}

/// What is known of labelling anew.
#[derive(Default)]
pub(crate) struct Relabelling {
    running: AtomicBool,
    done: AtomicU64,
    documents: AtomicU64,
    wake: Notify,
}

/// Under which rules documents are labelled, and where going over them goes on.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct StateRow {
    #[n(0)]
    rules: Digest,
    /// Documents before it are done; `None` when all are.
    #[n(1)]
    next: Option<Next>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
struct Next(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl Relabelling {
    /// A store without documents is labelled by whatever rules are in force.
    pub(crate) fn begin(store: &Store, rules: Digest) -> Result<(), CustodyError> {
        if store.scan(Table::Heads, &[]).next().is_some() {
            return Ok(());
        }
        let state = StateRow { rules, next: None };
        store.put_first(Table::Labelling, STATE_KEY, &codec::encode(&state))
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Notes that the subject's documents have to be gone over, in the batch that makes it necessary. Each note is another:
/// one that is made while the documents are gone over outlives that.
pub(super) fn note(transaction: &mut Transaction<'_>, subject: &SubjectId) {
    let noted: [u8; 8] = random();
    transaction.put(Table::Labelling, subject, noted.to_vec());
}

/// Takes out the note that was gone by, and no later one.
fn strike(
    transaction: &mut Transaction<'_>,
    subject: &SubjectId,
    noted: &[u8],
) -> Result<(), CustodyError> {
    if transaction.get(Table::Labelling, subject)?.as_deref() == Some(noted) {
        transaction.remove(Table::Labelling, subject);
    }
    Ok(())
}

impl Custody {
    /// How far labelling anew is.
    pub fn labelling(&self) -> LabelProgress {
        let relabelling = &self.0.relabelling;
        LabelProgress {
            is_running: relabelling.running.load(Ordering::Acquire),
            done: relabelling.done.load(Ordering::Relaxed),
            documents: relabelling.documents.load(Ordering::Relaxed),
        }
    }

    /// Labels all documents anew, beside everything else.
    pub async fn relabel(&self) -> Result<(), CustodyError> {
        let state = StateRow {
            rules: self.label_rules().digest,
            next: Some(Next(Vec::new())),
        };
        let put = move |transaction: &mut Transaction<'_>| {
            transaction.put(Table::Labelling, STATE_KEY, codec::encode(&state));
            Ok(())
        };
        self.0.store.transact(put).await?;
        self.0.relabelling.running.store(true, Ordering::Release);
        self.0.relabelling.wake();
        Ok(())
    }

    /// Does what there is to do.
    async fn relabel_all(&self) -> Result<(), CustodyError> {
        while self.relabel_some().await? {
            tokio::task::yield_now().await;
        }
        let pending = self.0.store.scan(Table::Labelling, &[]);
        let pending = pending.collect::<Result<Vec<_>, _>>()?;
        for (key, noted) in pending {
            let Ok(subject) = SubjectId::try_from(key.as_slice()) else {
                continue;
            };
            self.relabel_subject(&subject).await?;
            let noted = noted.to_vec();
            let strike =
                move |transaction: &mut Transaction<'_>| strike(transaction, &subject, &noted);
            self.0.store.transact(strike).await?;
        }
        Ok(())
    }

    /// Does the next documents; says whether there may be more.
    async fn relabel_some(&self) -> Result<bool, CustodyError> {
        let rules = self.label_rules().digest;
        let state = self.0.store.get(Table::Labelling, STATE_KEY)?;
        let state: Option<StateRow> = state
            .map(|row| decode(Table::Labelling.name(), &row))
            .transpose()?;
        let first = match state.filter(|state| state.rules == rules) {
            Some(StateRow { next: None, .. }) => return Ok(false),
            Some(StateRow {
                next: Some(next), ..
            }) => next.0,
            None => Vec::new(),
        };
        let relabelling = &self.0.relabelling;
        if first.is_empty() {
            relabelling.done.store(0, Ordering::Relaxed);
            let documents = self.0.store.about(Table::Heads);
            relabelling.documents.store(documents, Ordering::Relaxed);
        }
        relabelling.running.store(true, Ordering::Release);
        let view = self.0.store.view()?;
        let rows = view.scan_from(Table::Heads, &first).take(STEP + 1);
        let mut rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        drop(view);
        let next = rows.get(STEP).map(|(key, _)| Next(key.to_vec()));
        rows.truncate(STEP);
        for (key, row) in &rows {
            let head: Head = self.0.home.keys.open_row(Table::Heads, key, row)?;
            if self.relabel_document(&head).await? {
                let subject = head.subject;
                let noted = move |transaction: &mut Transaction<'_>| {
                    note(transaction, &subject);
                    Ok(())
                };
                self.0.store.transact(noted).await?;
            }
            relabelling.done.fetch_add(1, Ordering::Relaxed);
        }
        let has_more = next.is_some();
        let state = StateRow { rules, next };
        let put = move |transaction: &mut Transaction<'_>| {
            transaction.put(Table::Labelling, STATE_KEY, codec::encode(&state));
            Ok(())
        };
        self.0.store.transact(put).await?;
        Ok(has_more)
    }

    /// Goes over the current documents of a subject, until labels have come from document to document.
    async fn relabel_subject(&self, subject: &SubjectId) -> Result<(), CustodyError> {
        for _ in 0..ROUNDS {
            let mut has_changed = false;
            for resource_type in self.0.home.types.all() {
                for (document, _) in self.current_of(resource_type, subject).await? {
                    let head = self
                        .0
                        .home
                        .keys
                        .get(&self.0.store, Table::Heads, &document)?;
                    if let Some(head) = head {
                        has_changed |= self.relabel_document(&head).await?;
                    }
                }
            }
            if !has_changed {
                break;
            }
        }
        Ok(())
    }

    /// Labels all versions of a document anew; says whether what others take from it has changed.
    async fn relabel_document(&self, head: &Head) -> Result<bool, CustodyError> {
        let subject = self.0.subjects.load(&head.subject)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let mut has_changed = false;
        for version in (1..=head.version).rev() {
            let Some(loaded) = self.load(&document, version)? else {
                continue;
            };
            let resource = match self.open_content(&loaded).await {
                Ok(Some(resource)) => resource,
                Ok(None) => continue,
                // Reading it answers the same; the other documents are not to suffer from it.
                Err(error) => {
                    tracing::error!(%error, "a document cannot be labelled anew");
                    continue;
                }
            };
            let labelled = self.label(&resource, &subject, &Together::default())?;
            let facts = &loaded.row.facts;
            let own = facts.labelling.as_ref().map(|row| &row.own);
            let is_other = *own.unwrap_or(&facts.disclosure.labels) != labelled.row.own;
            has_changed |= is_other && version == head.version;
            let is_same = facts.labelling.as_ref() == Some(&labelled.row)
                && facts.disclosure.labels == labelled.codes();
            if is_same {
                continue;
            }
            let home = self.0.home.clone();
            let subject = Arc::clone(&subject);
            let place = (type_of(&head.resource_type)?, document, version);
            let put = move |transaction: &mut Transaction<'_>| {
                home.put_labels(transaction, &subject, place, &labelled)
            };
            self.0.store.transact(put).await?;
        }
        Ok(has_changed)
    }

    /// The labels of a resource that is not stored, as far as they are its own.
    pub(super) fn place(
        &self,
        resource: &Resource,
        labelled: &Labelled,
    ) -> Result<Own, CustodyError> {
        if resource.resource_type() == ResourceType::CONSENT {
            self.check_consent(resource)?;
        }
        Ok(labelled.branch(resource.resource_type()))
    }
}

impl Home {
    /// Gives a version other labels; if it is current and belongs in another branch now, an entry there.
    fn put_labels(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        (resource_type, document, version): (ResourceType, DocumentKey, u64),
        labelled: &Labelled,
    ) -> Result<(), CustodyError> {
        let key = version_key(&document, version);
        let erase = self.keys.erase_key_in(transaction, &key)?;
        let (Some(erase), Some(row)) = (erase, transaction.get(Table::Versions, &key)?) else {
            // Erased meanwhile.
            return Ok(());
        };
        let mut row: VersionRow = erase.open(Table::Versions, &key, &row)?;
        relabelled(&mut row.facts, labelled);
        let head: Option<Head> = self.keys.get_in(transaction, Table::Heads, &document)?;
        if let Some(mut head) = head.filter(|head| head.version == version && !head.deleted) {
            let branch = labelled.branch(resource_type);
            if branch != head.branch {
                let subject = &self.renewed(transaction, subject)?;
                row.moved = Some(self.moved(transaction, subject, &row, (branch, labelled))?);
                let named = EntryRow::Version { document, version };
                let entry = row.moved.as_ref().map_or(0, |moved| moved.entry);
                self.put_entry(transaction, subject.key(branch)?.tag(entry), named);
                head.branch = branch;
                self.keys.put(transaction, Table::Heads, &document, &head);
            }
            self.relabel_terms(transaction, &head, (&document, &erase), labelled)?;
        }
        let sealed = erase.seal(Table::Versions, &key, &row);
        transaction.put(Table::Versions, &key, sealed);
        Ok(())
    }

    fn moved(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        row: &VersionRow,
        (branch, labelled): (Own, &Labelled),
    ) -> Result<Moved, CustodyError> {
        let Ok(Descriptor::Record(record)) = Descriptor::decode(&row.descriptor) else {
            return Err(CustodyError::Storage("a version's descriptor".to_owned()));
        };
        let descriptor = Descriptor::Record(contracts::descriptor::RecordDescriptor {
            labels: labelled.coded(),
            ..record
        });
        let entry = self.take_position(transaction, subject, branch)?;
        let moved = Moved {
            branch,
            entry,
            descriptor: descriptor.encode(),
            opening: Opening(random()),
        };
        let tags = [subject.key(branch)?.tag(entry), random_tag()];
        self.enqueue(transaction, tags, &moved.opening, &moved.descriptor);
        Ok(moved)
    }

    fn relabel_terms(
        &self,
        transaction: &mut Transaction<'_>,
        head: &Head,
        (document, erase): (&DocumentKey, &EraseKey),
        labelled: &Labelled,
    ) -> Result<(), CustodyError> {
        let key = self
            .keys
            .terms(&head.resource_type, &[&head.subject, document]);
        let Some(row) = transaction.get(Table::Terms, &key)? else {
            return Ok(());
        };
        let filed = Filed::read(&row)?;
        if filed.version != head.version {
            return Ok(());
        }
        let mut opened: TermsRow = erase.open(Table::Terms, &key, filed.sealed)?;
        relabelled(&mut opened.facts, labelled);
        let postings = match filed.postings {
            Some(postings) => postings.to_vec(),
            None => self.keys.postings(&head.resource_type, &opened.terms),
        };
        let place = (&head.subject, document);
        self.put_terms(transaction, head, place, (&opened, &postings, erase))
    }
}

fn relabelled(facts: &mut Facts, labelled: &Labelled) {
    facts.disclosure.labels = labelled.codes();
    facts.labelling = Some(labelled.row.clone());
}

/// Labels anew whenever the rules change, or a document's labels that others may take.
pub(crate) async fn follow(records: Weak<Inner>) {
    let Some(mut tips) = records.upgrade().map(|inner| inner.anchor.subscribe()) else {
        return;
    };
    loop {
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        let outcome = custody.relabel_all().await;
        let relabelling = Arc::clone(&custody.0.relabelling);
        relabelling.running.store(false, Ordering::Release);
        if let Err(error) = outcome {
            tracing::error!(%error, "documents are not labelled anew: it is tried again");
            drop(custody);
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let rules = custody.label_rules().digest;
        drop(custody);
        loop {
            tokio::select! {
                () = relabelling.wake.notified() => break,
                changed = tips.changed() => {
                    let Some(custody) = records.upgrade().map(Custody) else {
                        return;
                    };
                    if changed.is_err() {
                        return;
                    }
                    if custody.label_rules().digest != rules {
                        break;
                    }
                }
            }
        }
    }
}
