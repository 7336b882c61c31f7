//! Heads, versions, search terms and payloads.

use contracts::descriptor::Descriptor;
use ledger::ids::Digest;
use ledger::item::Item;
use vault::blob::BlobId;

use super::{RecordFault, RecordPart, Walk};
use crate::custody::CustodyError;
use crate::custody::keys::EraseKey;
use crate::custody::postings::{Filed, Posting, posting_key};
use crate::custody::rows::{
    DocumentKey, Head, Payload, SubjectId, TermsRow, VersionRow, version_key,
};
use crate::custody::store::Table;

impl<P: FnMut(u64)> Walk<P> {
    pub(super) async fn documents(&mut self) {
        for (key, row) in self.rows(Table::Heads, RecordPart::Head) {
            self.step();
            let row = (key.as_slice(), row.as_slice());
            let Some(head): Option<Head> = self.open(Table::Heads, RecordPart::Head, row) else {
                continue;
            };
            let document = self.keys.document(&head.resource_type, &head.id);
            if key != document {
                self.findings.note(RecordPart::Head, RecordFault::Differs);
                continue;
            }
            self.report.documents += 1;
            self.documents.insert(key);
            self.versions(&head, &document).await;
        }
        for (key, _) in self.rows(Table::Versions, RecordPart::Version) {
            self.step();
            if !key
                .get(..16)
                .is_some_and(|document| self.documents.contains(document))
            {
                self.findings.note(RecordPart::Head, RecordFault::Missing);
            }
        }
    }

    async fn versions(&mut self, head: &Head, document: &DocumentKey) {
        for version in 1..=head.version {
            let key = version_key(document, version);
            let row = self.store.get(Table::Versions, &key);
            let erase = self.keys.erase_key(&self.store, document, version);
            let (row, erase) = match (row, erase) {
                (Ok(Some(row)), Ok(Some(erase))) => (row, erase),
                // Erased, or a number that was lost with records put back from a backup.
                (Ok(None), Ok(None)) if version < head.version => continue,
                (Ok(None), Ok(_)) => {
                    self.findings
                        .note(RecordPart::Version, RecordFault::Missing);
                    continue;
                }
                (Ok(Some(_)), Ok(None)) => {
                    self.findings
                        .note(RecordPart::EraseKey, RecordFault::Missing);
                    continue;
                }
                (Err(_), _) => {
                    self.findings
                        .note(RecordPart::Version, RecordFault::Unreadable);
                    continue;
                }
                (_, Err(_)) => {
                    self.findings
                        .note(RecordPart::EraseKey, RecordFault::Unreadable);
                    continue;
                }
            };
            let Ok(row) = erase.open::<VersionRow>(Table::Versions, &key, &row) else {
                self.findings
                    .note(RecordPart::Version, RecordFault::Unreadable);
                continue;
            };
            self.version(head, version, (&row, &erase)).await;
        }
        for fault in self.closings_faults(head) {
            self.findings.note(RecordPart::Version, fault);
        }
        if !head.deleted {
            self.terms(head, document);
        }
    }

    /// What is wrong with the items that closed the document's stream under former keys.
    fn closings_faults(&self, head: &Head) -> Vec<RecordFault> {
        let subject = self.subjects.load(&head.subject).ok();
        let keys = subject
            .as_ref()
            .and_then(|subject| subject.key(head.stream).ok());
        let place = (self.anchor.network(), &self.member);
        let branch = head.stream.of(place.1);
        let closings = keys.map(|keys| keys.document(head).closings(place, &branch));
        let faults = closings.into_iter().flatten().filter_map(|(_, closing)| {
            let [tag, _] = closing.item.tags;
            // When it was closed is on the ledger alone.
            self.anchored((tag, u64::MAX), |_| closing.item)
        });
        faults.collect()
    }

    async fn version(&mut self, head: &Head, version: u64, (row, erase): (&VersionRow, &EraseKey)) {
        let Ok(Descriptor::Record(record)) = Descriptor::decode(&row.descriptor) else {
            self.findings
                .note(RecordPart::Version, RecordFault::Differs);
            return;
        };
        if (record.version, &record.id) != (version, &head.id) {
            self.findings
                .note(RecordPart::Version, RecordFault::Differs);
        }
        self.report.versions += 1;
        let document = self.keys.document(&head.resource_type, &head.id);
        if let Some(named) = &self.changes
            && !named.contains(&version_key(&document, version))
        {
            self.findings.note(RecordPart::Change, RecordFault::Missing);
        }
        if let Some(fault) = self.version_anchored(head, version, (row, erase)) {
            self.findings.note(RecordPart::Version, fault);
        }
        if let Some(fault) = self.moved_anchored(head, row) {
            self.findings.note(RecordPart::Version, fault);
        }
        if let Some(locator) = row.payload.locator() {
            match locator.parse::<BlobId>() {
                Ok(id) => {
                    self.named.insert(id);
                }
                Err(_) => self
                    .findings
                    .note(RecordPart::Version, RecordFault::Differs),
            }
        }
        if row.facts.deleted {
            return;
        }
        if let Payload::Upstream { digest, .. } = row.payload {
            // The content is not here: a read asks the server that has it.
            if digest != record.content {
                self.findings
                    .note(RecordPart::Version, RecordFault::Differs);
            }
            return;
        }
        let part = match row.payload {
            Payload::Blob(_) | Payload::Streamed { .. } => RecordPart::Blob,
            Payload::None | Payload::Inline(_) | Payload::Upstream { .. } => RecordPart::Version,
        };
        match self.payloads.digest(erase, &row.payload).await {
            Ok(content) if content == record.content => {}
            Ok(_) => self.findings.note(part, RecordFault::Differs),
            Err(CustodyError::DamagedBlob(id)) => {
                self.findings.note_blob(id);
            }
            Err(error @ CustodyError::Unavailable { .. }) => self.unavailable = Some(error),
            Err(_) => self.findings.note(part, RecordFault::Unreadable),
        }
    }

    fn version_anchored(
        &self,
        head: &Head,
        version: u64,
        (row, erase): (&VersionRow, &EraseKey),
    ) -> Option<RecordFault> {
        let subject = self.subjects.load(&head.subject).ok()?;
        let versions = subject.key(head.stream).ok()?.document(head);
        let entries = subject.key(row.facts.branch).ok()?;
        let tags = [versions.tag(version), entries.tag(row.entry)];
        let digest = Digest::of(&row.descriptor);
        let due = Item::commit(
            self.anchor.network(),
            &self.member,
            tags,
            &erase.opening(),
            digest,
        );
        self.anchored((tags[0], row.facts.recorded_at), |_| due)
    }

    /// The same of the later entry of a version whose labels have changed.
    fn moved_anchored(&self, head: &Head, row: &VersionRow) -> Option<RecordFault> {
        let moved = row.moved.as_ref()?;
        let subject = self.subjects.load(&head.subject).ok()?;
        let tag = subject.key(moved.branch).ok()?.tag(moved.entry);
        let digest = Digest::of(&moved.descriptor);
        let network = self.anchor.network();
        let due = |tags| Item::commit(network, &self.member, tags, &moved.opening, digest);
        self.anchored((tag, row.facts.recorded_at), due)
    }

    fn terms(&mut self, head: &Head, document: &DocumentKey) {
        let key = self
            .keys
            .terms(&head.resource_type, &[&head.subject, document]);
        let fault = match self.store.get(Table::Terms, &key) {
            Ok(Some(row)) => self.terms_fault(head, document, (&key, &row)),
            Ok(None) => Some(RecordFault::Missing),
            Err(_) => Some(RecordFault::Unreadable),
        };
        if let Some(fault) = fault {
            self.findings.note(RecordPart::Terms, fault);
        }
    }

    fn terms_fault(
        &mut self,
        head: &Head,
        document: &DocumentKey,
        (key, row): (&[u8], &[u8]),
    ) -> Option<RecordFault> {
        let Ok(filed) = Filed::read(row) else {
            return Some(RecordFault::Unreadable);
        };
        if filed.version != head.version {
            return Some(RecordFault::Differs);
        }
        let listed = filed.postings.unwrap_or_default();
        self.postings((&head.subject, document), listed);
        let erase = self.keys.erase_key(&self.store, document, head.version);
        // A lost key was found with its version.
        let erase = erase.ok().flatten()?;
        let Ok(opened) = erase.open::<TermsRow>(Table::Terms, key, filed.sealed) else {
            return Some(RecordFault::Unreadable);
        };
        let due = self.keys.postings(&head.resource_type, &opened.terms);
        (self.is_indexed && due != listed).then_some(RecordFault::Differs)
    }

    /// Looks for the rows of the postings that a document's terms list.
    fn postings(&mut self, (subject, document): (&SubjectId, &DocumentKey), listed: &[Posting]) {
        for posting in listed {
            let key = posting_key(posting, subject, document);
            match self.store.get(Table::Postings, &key) {
                Ok(Some(_)) => self.listed += 1,
                Ok(None) => self
                    .findings
                    .note(RecordPart::Posting, RecordFault::Missing),
                Err(_) => self
                    .findings
                    .note(RecordPart::Posting, RecordFault::Unreadable),
            }
        }
    }

    /// Counts postings that no document's terms list: each that is listed was seen.
    pub(super) fn unlisted_postings(&mut self) {
        let mut there = 0_u64;
        let view = self.store.view();
        let keys = view.map(|view| view.keys(Table::Postings, &[]));
        for key in keys.into_iter().flatten() {
            if key.is_err() {
                self.findings
                    .note(RecordPart::Posting, RecordFault::Unreadable);
                return;
            }
            there += 1;
            if there.is_multiple_of(64) {
                self.step();
            }
        }
        for _ in self.listed..there {
            self.findings
                .note(RecordPart::Posting, RecordFault::Differs);
        }
    }
}
