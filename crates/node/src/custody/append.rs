//! Appending versions of documents to streams, on the writer's thread.
//!
//! The writer is the only one that assigns versions and positions, and it does so in the batch that holds the rows:
//! a position is either durable with its entry or was never taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::descriptor::{Descriptor, RecordDescriptor};
use interop::fhir::audit::AuditEntry;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::search::IndexTerms;
use interop::fhir::{Issue, IssueType, ResourceType};
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::item::{Item, Opening};
use ledger::stream::StreamKey;

use super::access::Accesses;
use super::branch::DocumentStream;
use super::keys::{EraseKey, Keys};
use super::postings::{self, Filed, Posting};
use super::request::Written;
use super::rows::{
    DocumentKey, EntryRow, Facts, Head, Labelling, Own, Payload, SignedRow, StreamMove, SubjectId,
    TermsRow, VersionRow, position_key, type_of, version_key,
};
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::types::Types;
use super::{Anchor, CustodyError, changes};

/// The member that appends.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) member: MemberName,
    pub(crate) network: NetworkId,
    pub(crate) keys: Arc<Keys>,
    pub(crate) types: Arc<Types>,
    pub(crate) accesses: Arc<Accesses>,
    pub(crate) anchor: Arc<dyn Anchor>,
}

/// What must hold for a version to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// The document is new.
    New,
    /// The document has no current version.
    Absent,
    /// This version is current, if one is named.
    Current(Option<u64>),
}

/// A version that is ready but for its number and its positions.
pub(crate) struct Draft {
    pub(crate) subject: Arc<Subject>,
    pub(crate) document: DocumentKey,
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
    pub(crate) precondition: Precondition,
    pub(crate) author: String,
    /// The event of the change, but for what appending finds.
    pub(crate) audit: AuditEntry,
    /// `None` for a version that deletes the document.
    pub(crate) content: Option<Content>,
    /// Whether nothing of the versions before is to remain.
    pub(crate) erases: bool,
    pub(crate) erase: EraseKey,
}

/// A version's content, sealed.
pub(crate) struct Content {
    pub(crate) digest: Digest,
    pub(crate) payload: Payload,
    pub(crate) terms: IndexTerms,
    pub(crate) postings: Vec<Posting>,
    pub(crate) disclosure: DisclosureFacts,
    pub(crate) labels: Vec<String>,
    pub(crate) labelling: Labelling,
    pub(crate) branch: Own,
    pub(crate) signed: Option<SignedRow>,
}

impl Home {
    /// Appends the next version of a document.
    pub(crate) fn append(
        &self,
        transaction: &mut Transaction<'_>,
        mut draft: Draft,
        now: u64,
    ) -> Result<Written, CustodyError> {
        draft.subject = Arc::new(self.renewed(transaction, &draft.subject)?);
        let head: Option<Head> = self
            .keys
            .get_in(transaction, Table::Heads, &draft.document)?;
        let place = (draft.precondition, draft.content.is_some());
        admit(place, draft.subject.id, head.as_ref())?;
        let written = |version, last_updated_ms, created| Written {
            resource_type: draft.resource_type,
            id: draft.id.clone(),
            version,
            last_updated_ms,
            created,
            stored: None,
        };
        if let (Some(head), None) = (&head, &draft.content)
            && head.deleted
            && !draft.erases
        {
            self.audit_change(transaction, &draft, head.version)?;
            return Ok(written(head.version, head.recorded_at, false));
        }
        let disclosure = match (&draft.content, &head) {
            (Some(content), _) => content.disclosure.clone(),
            (None, Some(head)) => self.last_disclosure(transaction, &draft, head)?,
            (None, None) => return Err(CustodyError::NotFound),
        };
        let branch = draft.content.as_ref().map(|content| content.branch);
        let before = head.as_ref().map(|head| head.branch);
        let branch = branch.or(before).ok_or(CustodyError::NotFound)?;
        let stream = head.as_ref().map_or(branch, |head| head.stream);
        let keys = draft.subject.key(stream)?;
        let mut next = Head {
            resource_type: draft.resource_type.as_str().to_owned(),
            id: draft.id.clone(),
            subject: draft.subject.id,
            stream,
            version: head.as_ref().map_or(0, |head| head.version),
            deleted: draft.content.is_none(),
            recorded_at: now.max(head.as_ref().map_or(0, |head| head.recorded_at)),
            branch,
            moves: match &head {
                Some(head) => head.moves.clone(),
                None => StreamMove::of_new(keys.newest().epoch),
            },
        };
        next.version = self.free_after(next.version, keys.document(&next).newest())?;
        let created = head.is_none_or(|head| head.deleted);
        let answer = written(next.version, next.recorded_at, created);
        self.audit_change(transaction, &draft, next.version)?;
        let (document, erases) = (draft.document, draft.erases);
        self.put_version(transaction, draft, &next, disclosure)?;
        changes::note(&self.keys, transaction, document, &next, erases);
        Ok(answer)
    }

    /// The facts that a version without content takes over from the one before.
    fn last_disclosure(
        &self,
        transaction: &Transaction<'_>,
        draft: &Draft,
        head: &Head,
    ) -> Result<DisclosureFacts, CustodyError> {
        let key = version_key(&draft.document, head.version);
        let erase = self.keys.erase_key_in(transaction, &key)?;
        if draft.erases && erase.is_none() {
            // The key went before the row: after a restore with a later key table.
            return Ok(bare(&head.resource_type));
        }
        let (Some(erase), Some(row)) = (erase, transaction.get(Table::Versions, &key)?) else {
            return Err(CustodyError::Storage("a head names no version".to_owned()));
        };
        let row: VersionRow = erase.open(Table::Versions, &key, &row)?;
        let mut facts = row.facts.disclosure;
        if draft.erases {
            // What remains keeps decisions as strict as they were.
            facts.categories.clear();
            facts.codes.clear();
            facts.author = None;
            facts.authors = None;
            facts.references = None;
            facts.period = None;
        }
        Ok(facts)
    }

    fn put_version(
        &self,
        transaction: &mut Transaction<'_>,
        draft: Draft,
        head: &Head,
        mut disclosure: DisclosureFacts,
    ) -> Result<(), CustodyError> {
        disclosure.id = Some(format!("{}/{}", head.resource_type, head.id));
        let Draft {
            subject,
            document,
            author,
            content,
            erase,
            ..
        } = draft;
        let version = head.version;
        let versions = subject.key(head.stream)?.document(head);
        let entries = subject.key(head.branch)?;
        let entry = self.take_position(transaction, &subject, head.branch)?;
        let descriptor = descriptor_of(head, &versions, author, content.as_ref()).encode();
        let tags = [versions.tag(version), entries.tag(entry)];
        self.enqueue(transaction, tags, &erase.opening(), &descriptor);
        let named = EntryRow::Version { document, version };
        self.put_entry(transaction, tags[1], named);

        let facts = Facts {
            deleted: head.deleted,
            recorded_at: head.recorded_at,
            branch: head.branch,
            disclosure,
            labelling: content.as_ref().map(|content| content.labelling.clone()),
        };
        let place = (&subject.id, &document);
        let (payload, signed) = match content {
            Some(content) => {
                let row = TermsRow {
                    id: head.id.clone(),
                    version,
                    facts: facts.clone(),
                    terms: content.terms,
                };
                self.put_terms(transaction, head, place, (&row, &content.postings, &erase))?;
                (content.payload, content.signed)
            }
            None => {
                self.remove_terms(transaction, head, place)?;
                (Payload::None, None)
            }
        };
        let row = VersionRow {
            descriptor,
            facts,
            entry,
            payload,
            signed,
            moved: None,
        };
        let key = version_key(&document, version);
        let sealed = erase.seal(Table::Versions, &key, &row);
        transaction.put(Table::Versions, &key, sealed);
        self.keys
            .put_erase_key(transaction, &document, version, &erase);
        self.keys.put(transaction, Table::Heads, &document, &head);
        Ok(())
    }

    /// Writes what search finds a document by.
    pub(crate) fn put_terms(
        &self,
        transaction: &mut Transaction<'_>,
        head: &Head,
        place: (&SubjectId, &DocumentKey),
        (row, postings, erase): (&TermsRow, &[Posting], &EraseKey),
    ) -> Result<(), CustodyError> {
        self.types.note(type_of(&head.resource_type)?);
        let key = self.keys.terms(&head.resource_type, &[place.0, place.1]);
        let before = postings_in(transaction, &key)?;
        postings::replace(transaction, place, &before, postings);
        let sealed = erase.seal(Table::Terms, &key, row);
        let filed = Filed::write(row.version, postings, &sealed);
        transaction.put(Table::Terms, &key, filed);
        Ok(())
    }

    fn remove_terms(
        &self,
        transaction: &mut Transaction<'_>,
        head: &Head,
        place: (&SubjectId, &DocumentKey),
    ) -> Result<(), CustodyError> {
        let key = self.keys.terms(&head.resource_type, &[place.0, place.1]);
        let before = postings_in(transaction, &key)?;
        postings::replace(transaction, place, &before, &[]);
        transaction.remove(Table::Terms, &key);
        Ok(())
    }

    /// Takes the next position of a branch's entries.
    pub(crate) fn take_position(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        branch: Own,
    ) -> Result<u64, CustodyError> {
        let key = position_key(&subject.id, branch);
        let last: Option<u64> = self.keys.get_in(transaction, Table::Positions, &key)?;
        let newest = subject.key(branch)?.newest();
        let last = last.unwrap_or(0).saturating_sub(newest.before);
        let next = self.free_after(last, &newest.key.entries())?;
        let next = newest.before.saturating_add(next);
        self.keys.put(transaction, Table::Positions, &key, &next);
        Ok(next)
    }

    /// The first position after `last` that the ledger does not hold. It holds later ones if these records were put back
    /// from a backup: what was written since is lost here, and its tags are used. Nothing is appended to a stream that the
    /// ledger says is closed.
    pub(crate) fn free_after(&self, last: u64, stream: &StreamKey) -> Result<u64, CustodyError> {
        let mut next = last.saturating_add(1);
        while self
            .anchor
            .locate(&self.member, stream.tag(next))?
            .is_some()
        {
            next = next.saturating_add(1);
        }
        let is_behind = next > last.saturating_add(1);
        if is_behind
            && self
                .anchor
                .locate(&self.member, stream.closing())?
                .is_some()
        {
            return Err(CustodyError::Unavailable {
                what: "the patient's newest branch key, which the wallet has",
            });
        }
        Ok(next)
    }

    pub(crate) fn enqueue(
        &self,
        transaction: &mut Transaction<'_>,
        tags: [Tag; 2],
        opening: &Opening,
        descriptor: &[u8],
    ) {
        let digest = Digest::of(descriptor);
        let item = Item::commit(self.network, &self.member, tags, opening, digest);
        transaction.enqueue(&item);
    }

    pub(crate) fn put_entry(&self, transaction: &mut Transaction<'_>, tag: Tag, row: EntryRow) {
        transaction.put(Table::Entries, &tag.0, codec::encode(&row));
    }
}

/// Facts that say nothing but the type.
fn bare(resource_type: &str) -> DisclosureFacts {
    DisclosureFacts {
        resource_type: resource_type.to_owned(),
        categories: BTreeSet::new(),
        codes: BTreeSet::new(),
        labels: BTreeSet::new(),
        author: None,
        authors: None,
        references: None,
        id: None,
        period: None,
    }
}

/// The postings that a document has.
fn postings_in(transaction: &Transaction<'_>, key: &[u8]) -> Result<Vec<Posting>, CustodyError> {
    let Some(row) = transaction.get(Table::Terms, key)? else {
        return Ok(Vec::new());
    };
    let filed = Filed::read(&row)?;
    Ok(filed.postings.unwrap_or_default().to_vec())
}

/// Whether a change to a document of the subject may be appended to what there is.
pub(crate) fn admit(
    (precondition, has_content): (Precondition, bool),
    subject: SubjectId,
    head: Option<&Head>,
) -> Result<(), CustodyError> {
    let Some(head) = head else {
        return match (precondition, has_content) {
            (Precondition::Current(Some(_)), _) => Err(CustodyError::PreconditionFailed),
            (_, false) => Err(CustodyError::NotFound),
            (Precondition::New | Precondition::Absent | Precondition::Current(None), true) => {
                Ok(())
            }
        };
    };
    match precondition {
        Precondition::New => Err(CustodyError::Invalid(Issue::error(
            IssueType::Duplicate,
            "the id is taken",
        ))),
        Precondition::Absent if !head.deleted => Err(CustodyError::Exists),
        Precondition::Current(Some(expected)) if expected != head.version => {
            Err(CustodyError::VersionConflict {
                current: head.version,
            })
        }
        Precondition::Absent | Precondition::Current(_) if head.subject != subject => {
            Err(CustodyError::Invalid(Issue::error(
                IssueType::BusinessRule,
                "a document does not change the patient to whom it belongs",
            )))
        }
        Precondition::Absent | Precondition::Current(_) => Ok(()),
    }
}

fn descriptor_of(
    head: &Head,
    versions: &DocumentStream,
    author: String,
    content: Option<&Content>,
) -> Descriptor {
    let version = head.version;
    Descriptor::Record(RecordDescriptor {
        resource_type: head.resource_type.clone(),
        id: head.id.clone(),
        version,
        deleted: content.is_none(),
        content: content.map_or_else(|| Digest::of(&[]), |content| content.digest),
        media_type: "application/fhir+json".to_owned(),
        author,
        recorded_at: head.recorded_at,
        labels: content.map_or_else(Vec::new, |content| content.labels.clone()),
        supersedes: (version > 1).then(|| versions.tag(version.saturating_sub(1))),
        next: versions.tag(version.saturating_add(1)),
    })
}
