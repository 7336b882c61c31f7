//! Goes over the whole record store of a node that does not run, and counts what is damaged.
//!
//! Rows are opened as reading them would open them, and compared with each other and with the ledger. Nothing that is
//! found says whose record it is: a report counts.

mod damage;
mod documents;

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::descriptor::Descriptor;
use ledger::codec;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::{ITEM_BYTES, Item};
use ledger::statement::SubmittedStatement;
use ledger::stream::{KeyEpoch, RootKey};
use minicbor::{Decode, Encode};
use vault::blob::{BlobConfig, BlobId};
use vault::wrap::WrappingKey;

pub use damage::{RecordDamage, RecordFault, RecordPart};

use self::damage::Findings;
use super::access::AccessDraft;
use super::changes::COMPLETE;
use super::keys::Keys;
use super::payload::Payloads;
use super::reindex::Indexing;
use super::rows::{
    AccessRow, AdoptedRow, ChangeRow, EntryRow, Own, SubjectId, SubjectRow, access_key, version_key,
};
use super::store::{Disk, RecordsConfig, Store, Table, sequence};
use super::subject::{Subject, Subjects};
use super::{Anchor, CustodyError};
use crate::outbox::StatementRow;

/// How much later than a record the ledger's last block has to be for the record's item to be missed.
const SLACK_MS: u64 = 60_000;

/// What an inspection has gone over, and what it found.
#[derive(Debug, Clone, Default)]
pub struct RecordsReport {
    /// Patients.
    pub subjects: u64,
    /// Documents, deleted ones too.
    pub documents: u64,
    /// Versions that can be read.
    pub versions: u64,
    /// Accesses on record.
    pub accesses: u64,
    /// Items on their way to the ledger.
    pub waiting: u64,
    /// Blobs that versions name.
    pub blobs: u64,
    /// Blobs that no version names: what a crash in the middle of a write leaves. A running node sweeps them.
    pub orphans: BTreeSet<BlobId>,
    /// What is damaged.
    pub damages: Vec<RecordDamage>,
}

/// Inspects the records in these places; `anchor` is their ledger. `progress` is told the rows that are done.
pub async fn inspect(
    records: &RecordsConfig,
    blobs: &BlobConfig,
    (member, root, wrapping): (&MemberName, &RootKey, &[WrappingKey]),
    anchor: Arc<dyn Anchor>,
    progress: impl FnMut(u64),
) -> Result<RecordsReport, CustodyError> {
    let store = Arc::new(Store::open(records, Disk)?);
    let keys = Keys::new(root, wrapping);
    let mut walk = Walk {
        subjects: Subjects::new(
            Arc::clone(&store),
            Arc::clone(&keys),
            member.clone(),
            anchor.network(),
        ),
        payloads: Payloads::open_in(blobs)?,
        member: member.clone(),
        keys,
        anchor,
        waiting: BTreeSet::new(),
        named: BTreeSet::new(),
        documents: BTreeSet::new(),
        changes: None,
        is_indexed: Indexing::is_made(&store)?,
        store,
        listed: 0,
        report: RecordsReport::default(),
        findings: Findings::default(),
        unavailable: None,
        progress,
        done: 0,
    };
    walk.outbox();
    walk.patients();
    walk.changes();
    walk.documents().await;
    walk.unlisted_postings();
    walk.accesses();
    walk.entries();
    walk.blobs().await?;
    if walk.store.was_lost() {
        let what = "the record store";
        return Err(CustodyError::Unavailable { what });
    }
    if let Some(error) = walk.unavailable {
        return Err(error);
    }
    walk.report.damages = walk.findings.damages();
    Ok(walk.report)
}

struct Walk<P> {
    store: Arc<Store>,
    keys: Arc<Keys>,
    subjects: Subjects,
    payloads: Payloads,
    member: MemberName,
    anchor: Arc<dyn Anchor>,
    /// First tags of the items in the outbox.
    waiting: BTreeSet<Tag>,
    /// Blobs that versions name.
    named: BTreeSet<BlobId>,
    /// Documents that have a head.
    documents: BTreeSet<Vec<u8>>,
    /// Versions that the feed names; `None` if the store has no feed yet.
    changes: Option<BTreeSet<[u8; 24]>>,
    /// Whether the postings are those of this release.
    is_indexed: bool,
    /// Postings that terms list and that are there.
    listed: u64,
    report: RecordsReport,
    findings: Findings,
    /// Why not every payload could be looked at.
    unavailable: Option<CustodyError>,
    progress: P,
    done: u64,
}

impl<P: FnMut(u64)> Walk<P> {
    /// The rows of a table that can be read.
    fn rows(&mut self, table: Table, part: RecordPart) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        for row in self.store.scan(table, &[]) {
            match row {
                Ok(row) => rows.push(row),
                // What follows a block of rows that cannot be read is not reached.
                Err(_) => {
                    self.findings.note(part, RecordFault::Unreadable);
                    break;
                }
            }
        }
        rows
    }

    fn step(&mut self) {
        self.done += 1;
        (self.progress)(self.done);
    }

    fn open<T>(&mut self, table: Table, part: RecordPart, (key, row): (&[u8], &[u8])) -> Option<T>
    where
        T: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let opened = self.keys.open_row(table, key, row).ok();
        if opened.is_none() {
            self.findings.note(part, RecordFault::Unreadable);
        }
        opened
    }

    fn outbox(&mut self) {
        for (key, row) in self.rows(Table::Outbox, RecordPart::Outbox) {
            self.step();
            let item: Option<[u8; ITEM_BYTES]> = row.try_into().ok();
            match (sequence(&key), item) {
                (Ok(_), Some(item)) => {
                    self.waiting.insert(Item::from_bytes(&item).tags[0]);
                    self.report.waiting += 1;
                }
                _ => self
                    .findings
                    .note(RecordPart::Outbox, RecordFault::Unreadable),
            }
        }
        for (_, row) in self.rows(Table::Statements, RecordPart::Outbox) {
            self.step();
            let row: Option<StatementRow> = codec::decode("outbox statement", &row).ok();
            let statement = row.and_then(|row| SubmittedStatement::decode(&row.bytes).ok());
            if statement.is_none() {
                self.findings
                    .note(RecordPart::Outbox, RecordFault::Unreadable);
            }
        }
    }

    fn patients(&mut self) {
        for (id, row) in self.rows(Table::Subjects, RecordPart::Subject) {
            self.step();
            let row = (id.as_slice(), row.as_slice());
            let subject: Option<SubjectRow> = self.open(Table::Subjects, RecordPart::Subject, row);
            self.report.subjects += u64::from(subject.is_some());
            self.closings(&id);
        }
        for (_, id) in self.rows(Table::Patients, RecordPart::Subject) {
            self.step();
            if !matches!(self.store.get(Table::Subjects, &id), Ok(Some(_))) {
                self.findings
                    .note(RecordPart::Subject, RecordFault::Missing);
            }
        }
        for (key, row) in self.rows(Table::Positions, RecordPart::Position) {
            self.step();
            let row = (key.as_slice(), row.as_slice());
            let last: Option<u64> = self.open(Table::Positions, RecordPart::Position, row);
            let branch = key.get(16).and_then(|code| Own::with_code(*code));
            let (Some(last), Some(subject), Some(branch)) = (last, self.subject_in(&key), branch)
            else {
                continue;
            };
            let next = subject.key(branch).map(|branch| branch.tag(last + 1));
            let on_ledger = next.map(|tag| self.anchor.locate(&self.member, tag));
            if matches!(on_ledger, Ok(Ok(Some(_)))) {
                self.findings.note(RecordPart::Position, RecordFault::Lost);
            }
        }
        for (key, row) in self.rows(Table::Adopted, RecordPart::Consent) {
            self.step();
            let row = (key.as_slice(), row.as_slice());
            let _consent: Option<AdoptedRow> = self.open(Table::Adopted, RecordPart::Consent, row);
        }
    }

    /// The items that closed a patient's branches: on the ledger, or on their way.
    fn closings(&mut self, id: &[u8]) {
        let Some(subject) = self.subject_in(id) else {
            return;
        };
        let place = (self.anchor.network(), &self.member);
        let mut faults = Vec::new();
        for own in Own::ALL {
            let closings = subject
                .key(own)
                .map(|keys| keys.closings(place, &own.of(place.1)));
            for (_, closing) in closings.into_iter().flatten() {
                let [tag, _] = closing.item.tags;
                // When it was closed is on the ledger alone.
                faults.extend(self.anchored((tag, u64::MAX), |_| closing.item));
            }
        }
        for fault in faults {
            self.findings.note(RecordPart::Position, fault);
        }
    }

    /// Whether the patient's branch went on under a key after that of an epoch.
    fn is_moved(&self, (subject, branch): (&SubjectId, Own), epoch: KeyEpoch) -> bool {
        let subject = self.subjects.load(subject).ok();
        let moved =
            subject.and_then(|subject| Some(subject.key(branch).ok()?.move_from(epoch)?.1.epoch));
        moved.is_some()
    }

    /// The feed has numbers without gaps and names no version twice; whether it names all is seen with the versions.
    fn changes(&mut self) {
        let mut named = BTreeSet::new();
        let mut is_complete = false;
        let mut next = 1;
        for (key, row) in self.rows(Table::Changes, RecordPart::Change) {
            self.step();
            if key == COMPLETE.to_be_bytes() {
                is_complete = true;
                continue;
            }
            if sequence(&key).ok() != Some(next) {
                self.findings.note(RecordPart::Change, RecordFault::Missing);
            }
            next = sequence(&key).map_or(next, |number| number.saturating_add(1));
            let opened = (key.as_slice(), row.as_slice());
            let row: Option<ChangeRow> = self.open(Table::Changes, RecordPart::Change, opened);
            if let Some(row) = row
                && !named.insert(version_key(&row.document, row.version))
            {
                self.findings.note(RecordPart::Change, RecordFault::Differs);
            }
        }
        self.changes = is_complete.then_some(named);
    }

    fn accesses(&mut self) {
        for (key, row) in self.rows(Table::Pending, RecordPart::Access) {
            self.step();
            let opened = (key.as_slice(), row.as_slice());
            let access: Option<AccessDraft> = self.open(Table::Pending, RecordPart::Access, opened);
            self.report.accesses += u64::from(access.is_some());
        }
        for (key, row) in self.rows(Table::Accesses, RecordPart::Access) {
            self.step();
            let opened = (key.as_slice(), row.as_slice());
            let access: Option<AccessRow> = self.open(Table::Accesses, RecordPart::Access, opened);
            let (Some(access), Some(subject), Some(position)) =
                (access, self.subject_in(&key), number_in(&key))
            else {
                continue;
            };
            self.report.accesses += 1;
            let Ok(entries) = subject.key(Own::Access) else {
                continue;
            };
            let digest = Digest::of(&access.descriptor);
            let tag = entries.tag(position);
            let commits = |tags: [Tag; 2]| {
                Item::commit(
                    self.anchor.network(),
                    &self.member,
                    tags,
                    &access.opening,
                    digest,
                )
            };
            let at = match Descriptor::decode(&access.descriptor) {
                Ok(Descriptor::Access(access)) => access.at,
                _ => u64::MAX,
            };
            if let Some(fault) = self.anchored((tag, at), commits) {
                self.findings.note(RecordPart::Access, fault);
            }
        }
    }

    /// What is wrong with the item whose first tag this is, which is on the ledger or on its way.
    ///
    /// A ledger that ends before the record was made, such as one that is mended and not caught up, does not tell.
    fn anchored(
        &self,
        (tag, recorded_at): (Tag, u64),
        due: impl Fn([Tag; 2]) -> Item,
    ) -> Option<RecordFault> {
        match self.anchor.locate(&self.member, tag) {
            Ok(Some(position)) => {
                let (_, item) = self.anchor.item(position).ok()?;
                (item != due(item.tags)).then_some(RecordFault::Differs)
            }
            Ok(None) if self.waiting.contains(&tag) => None,
            Ok(None) => {
                let is_behind = self.anchor.tip().time.0 <= recorded_at.saturating_add(SLACK_MS);
                (!is_behind).then_some(RecordFault::NotAnchored)
            }
            // The chain's own inspection says so.
            Err(_) => None,
        }
    }

    fn subject_in(&self, key: &[u8]) -> Option<Arc<Subject>> {
        self.subjects.load(key.first_chunk()?).ok()
    }

    fn entries(&mut self) {
        for (_, row) in self.rows(Table::Entries, RecordPart::Entry) {
            self.step();
            let entry: Option<EntryRow> = codec::decode("entry", &row).ok();
            let there = match entry {
                None => {
                    self.findings
                        .note(RecordPart::Entry, RecordFault::Unreadable);
                    continue;
                }
                // The versions of erased documents are gone; their heads stay.
                Some(EntryRow::Version { document, version }) => {
                    let key = version_key(&document, version);
                    self.documents.contains(document.as_slice())
                        || matches!(self.store.get(Table::Versions, &key), Ok(Some(_)))
                }
                Some(EntryRow::Access { subject, position }) => {
                    let key = access_key(&subject, position);
                    matches!(self.store.get(Table::Accesses, &key), Ok(Some(_)))
                }
                Some(EntryRow::Erasure { document, number }) => {
                    let key = version_key(&document, number);
                    matches!(self.store.get(Table::Erasures, &key), Ok(Some(_)))
                }
                Some(EntryRow::Closing {
                    subject,
                    branch,
                    epoch,
                }) => self.is_moved((&subject, branch), epoch),
            };
            if !there {
                self.findings.note(RecordPart::Entry, RecordFault::Missing);
            }
        }
    }

    /// Finds blobs that nobody names; what is missing was found with the version that names it.
    async fn blobs(&mut self) -> Result<(), CustodyError> {
        let there = self.payloads.names().await?;
        self.report.blobs = u64::try_from(self.named.len()).unwrap_or(u64::MAX);
        let there = there.into_iter();
        self.report.orphans = there.filter(|id| !self.named.contains(id)).collect();
        Ok(())
    }
}

/// The number behind a row name of 16 bytes.
fn number_in(key: &[u8]) -> Option<u64> {
    let number = key.get(16..)?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}
