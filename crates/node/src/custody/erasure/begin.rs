//! Beginning an erasure: what is to go is found, nothing forbids it, and it goes in one batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::descriptor::Descriptor;
use contracts::erasure::{ErasureDescriptor, Grounds};
use interop::fhir::audit::AuditEntry;
use interop::fhir::{Issue, IssueType, ResourceType};
use ledger::codec;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::{Item, Opening};

use super::rows::{ErasureRow, HolderRow, LAST};
use super::standing::branch_of;
use super::{Erasure, ErasureOrder, ToErase};
use crate::custody::append::{Draft, Home, Precondition};
use crate::custody::keys::{EraseKey, random, random_tag};
use crate::custody::read::Loaded;
use crate::custody::request::Requester;
use crate::custody::rows::{AccessRow, DocumentKey, EntryRow, Head, Own, type_of, version_key};
use crate::custody::store::{Table, Transaction};
use crate::custody::subject::Subject;
use crate::custody::{Custody, CustodyError};

/// What goes of one document.
pub(super) struct Doomed {
    pub(super) head: Head,
    pub(super) subject: Arc<Subject>,
    pub(super) document: DocumentKey,
    pub(super) versions: Vec<DoomedVersion>,
    /// Whether the document is gone after it.
    pub(super) is_whole: bool,
}

/// A version that goes.
pub(super) struct DoomedVersion {
    pub(super) version: u64,
    /// Of the document's stream and of the index.
    pub(super) tags: [Tag; 2],
    pub(super) blob: Option<String>,
}

/// What is written of an erasure beside what goes.
struct Written {
    grounds: Grounds,
    holders: Vec<MemberName>,
    is_redaction: bool,
    existing_server: Option<String>,
    author: String,
}

impl Custody {
    /// Destroys the keys of versions, then their rows and payloads; says so on the ledger and has every holder say that
    /// it has done the same. Returns the erasures, one for each document.
    pub async fn erase(
        &self,
        by: &Requester,
        order: &ErasureOrder,
    ) -> Result<Vec<Erasure>, CustodyError> {
        if by.member != self.0.home.member || by.patient.is_some() {
            return Err(CustodyError::Denied {
                reason: "records are erased by their home member".to_owned(),
                determining: Vec::new(),
            });
        }
        let _turn = self.0.erasing.turn.lock().await;
        let documents = self.doomed(by, &order.what)?;
        for doomed in &documents {
            if self.is_under_review(&doomed.head.id)? {
                return Err(CustodyError::Denied {
                    reason: "an emergency is to be reviewed first".to_owned(),
                    determining: Vec::new(),
                });
            }
            self.check_holds(doomed)?;
            self.check_retention(doomed, order.basis)?;
        }
        let mut begun = Vec::new();
        for doomed in documents {
            begun.push(self.begin(by, order, doomed).await?);
        }
        self.finish_erasures_here().await?;
        self.0.erasing.begun.notify_waiters();
        if let (true, ToErase::Document(resource_type, id)) = (begun.is_empty(), &order.what) {
            // It was erased before.
            return self.erasures_of(resource_type.as_str(), id);
        }
        begun
            .into_iter()
            .map(|(document, number)| self.erasure(&document, number))
            .collect()
    }

    fn doomed(&self, by: &Requester, what: &ToErase) -> Result<Vec<Doomed>, CustodyError> {
        match what {
            ToErase::Document(resource_type, id) => {
                let head = self.known(by, *resource_type, id)?;
                let doomed = self.doomed_of(head, None)?;
                Ok(doomed.into_iter().collect())
            }
            ToErase::Versions(resource_type, id, versions) => {
                let head = self.known(by, *resource_type, id)?;
                if versions.is_empty()
                    || versions.iter().any(|one| !(1..=head.version).contains(one))
                {
                    return Err(invalid("the document has no such version"));
                }
                if self.0.payloads.upstream().is_some() {
                    let said = "an existing server keeps the versions: erase the whole document";
                    return Err(invalid(said));
                }
                let doomed = self.doomed_of(head, Some(versions))?;
                Ok(doomed.into_iter().collect())
            }
            ToErase::Expired(limit) => {
                let due = self.retention_due(*limit)?.into_iter();
                let doomed = due.map(|(resource_type, id)| {
                    let head = self.known(by, resource_type, &id)?;
                    self.doomed_of(head, None)
                });
                let doomed = doomed.collect::<Result<Vec<_>, _>>()?;
                Ok(doomed.into_iter().flatten().collect())
            }
            ToErase::Patient(id) => {
                let subject = self.0.subjects.of_patient(id)?;
                let subject = subject.ok_or(CustodyError::NotFound)?;
                let mut all = Vec::new();
                for document in self.documents_of(&subject)? {
                    let (head, _) = self.subject_of(&document)?;
                    if !is_signed(&head, &subject)? {
                        all.extend(self.doomed_of(head, None)?);
                    }
                }
                Ok(all)
            }
        }
    }

    /// Every document of a subject, deleted ones too: its streams name them all.
    fn documents_of(&self, subject: &Subject) -> Result<BTreeSet<DocumentKey>, CustodyError> {
        let mut documents = BTreeSet::new();
        for branch in [Own::Index, Own::Restricted, Own::Consent] {
            let key = crate::custody::rows::position_key(&subject.id, branch);
            let keys = &self.0.home.keys;
            let last: Option<u64> = keys.get(&self.0.store, Table::Positions, &key)?;
            let entries = subject.key(branch)?;
            for position in 1..=last.unwrap_or(0) {
                if let Some(EntryRow::Version { document, .. }) =
                    self.entry(entries.tag(position))?
                {
                    documents.insert(document);
                }
            }
        }
        Ok(documents)
    }

    /// What goes of a document: all of it, or these versions; `None` if nothing of that is left.
    fn doomed_of(
        &self,
        head: Head,
        versions: Option<&Vec<u64>>,
    ) -> Result<Option<Doomed>, CustodyError> {
        let subject = self.0.subjects.load(&head.subject)?;
        if is_signed(&head, &subject)? {
            // To erase a consent is to revoke it.
            return Err(CustodyError::ConsentNotSigned);
        }
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let mut doomed = Vec::new();
        let mut has_content = false;
        for version in 1..=head.version {
            if versions.is_some_and(|versions| !versions.contains(&version)) {
                continue;
            }
            let Some(loaded) = self.load(&document, version)? else {
                continue;
            };
            has_content |= !loaded.row.facts.deleted;
            doomed.push(doomed_version(&head, &subject, version, &loaded)?);
        }
        let takes_current = doomed.iter().any(|one| one.version == head.version);
        Ok(has_content.then_some(Doomed {
            is_whole: versions.is_none() || takes_current,
            versions: doomed,
            head,
            subject,
            document,
        }))
    }

    async fn begin(
        &self,
        by: &Requester,
        order: &ErasureOrder,
        doomed: Doomed,
    ) -> Result<(DocumentKey, u64), CustodyError> {
        // First there: when that fails, everything is as it was.
        let (there, held) = if doomed.is_whole {
            self.delete_there(&doomed.head).await?.unzip()
        } else {
            (None, None)
        };
        let written = Written {
            grounds: self.grounds(by, order, &doomed),
            holders: self.holders_of(&doomed)?,
            is_redaction: order.is_redaction,
            existing_server: there.as_ref().map(|there| {
                let said = if there.is_purged {
                    "destroyed"
                } else {
                    "deleted; earlier versions are kept there until they are purged"
                };
                said.to_owned()
            }),
            author: by.principal(),
        };
        let (home, audit) = (self.0.home.clone(), self.change_by(by));
        let now = (self.0.options.clock)();
        let (subject, document) = (doomed.head.subject, doomed.document);
        let number = self
            .0
            .store
            .transact(move |transaction| {
                let by = (written.author.as_str(), audit);
                let gone = home.append_tombstone(transaction, &doomed, by, now)?;
                if let (Some(there), Some(version)) = (&there, gone) {
                    there.know(&home.keys, transaction, version);
                }
                home.append_erasure(transaction, doomed, written, (gone, now))
            })
            .await?;
        drop(held);
        self.0.rulings.forget(&subject);
        Ok((document, number))
    }

    fn grounds(&self, by: &Requester, order: &ErasureOrder, doomed: &Doomed) -> Grounds {
        Grounds {
            salt: random(),
            resource_type: doomed.head.resource_type.clone(),
            id: doomed.head.id.clone(),
            versions: doomed.versions.iter().map(|one| one.version).collect(),
            basis: order.basis.code().to_owned(),
            authority: order.authority.clone(),
            justification: order.justification.clone(),
            by: by.principal(),
        }
    }

    /// The home, each member to which a decision here gave a key of the document, and those that keep copies.
    fn holders_of(&self, doomed: &Doomed) -> Result<Vec<MemberName>, CustodyError> {
        let target = format!("{}/{}", doomed.head.resource_type, doomed.head.id);
        let mut others = self.given_to(&doomed.subject, &target)?;
        others.extend(self.0.options.copies_at.iter().cloned());
        let home = self.0.home.member.clone();
        Ok(std::iter::once(home).chain(others).collect())
    }

    /// The members that were given a document, by the accesses on record.
    pub fn recipients_of(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Vec<MemberName>, CustodyError> {
        let document = self.0.home.keys.document(resource_type.as_str(), id);
        let (_, subject) = self.subject_of(&document)?;
        let given = self.given_to(&subject, &format!("{resource_type}/{id}"))?;
        Ok(given.into_iter().collect())
    }

    fn given_to(
        &self,
        subject: &Subject,
        target: &str,
    ) -> Result<BTreeSet<MemberName>, CustodyError> {
        let home = &self.0.home;
        let mut others = BTreeSet::new();
        for row in self.0.store.scan(Table::Accesses, &subject.id) {
            let (key, sealed) = row?;
            let row: AccessRow = home.keys.open_row(Table::Accesses, &key, &sealed)?;
            let Ok(Descriptor::Access(access)) = Descriptor::decode(&row.descriptor) else {
                continue;
            };
            if access.requester == home.member {
                continue;
            }
            for one in access.each() {
                let permitted = one.decision.map(|decided| decided.permitted);
                if permitted.is_some_and(|all| all.iter().any(|one| one == target)) {
                    others.insert(one.requester);
                }
            }
        }
        Ok(others)
    }
}

impl Home {
    /// Appends the version that says that a document is gone, if it is; returns its number.
    pub(super) fn append_tombstone(
        &self,
        transaction: &mut Transaction<'_>,
        doomed: &Doomed,
        (author, audit): (&str, AuditEntry),
        now: u64,
    ) -> Result<Option<u64>, CustodyError> {
        if !doomed.is_whole {
            return Ok(None);
        }
        let draft = Draft {
            subject: Arc::clone(&doomed.subject),
            document: doomed.document,
            resource_type: type_of(&doomed.head.resource_type)?,
            id: doomed.head.id.clone(),
            precondition: Precondition::Current(Some(doomed.head.version)),
            author: author.to_owned(),
            audit,
            content: None,
            erases: true,
            erase: EraseKey::new(),
        };
        Ok(Some(self.append(transaction, draft, now)?.version))
    }

    /// Removes what goes, and appends the entry that says so; returns the erasure's number.
    fn append_erasure(
        &self,
        transaction: &mut Transaction<'_>,
        doomed: Doomed,
        written: Written,
        (tombstone, now): (Option<u64>, u64),
    ) -> Result<u64, CustodyError> {
        doomed.remove(transaction);
        let number = self.next_erasure(transaction)?;
        let branch = branch_of(&doomed.head);
        let subject = self.renewed(transaction, &doomed.subject)?;
        let head: Option<Head> = self
            .keys
            .get_in(transaction, Table::Heads, &doomed.document)?;
        let head = head.unwrap_or_else(|| doomed.head.clone());
        let position = self.take_position(transaction, &subject, branch)?;
        let entries = subject.key(branch)?;
        let versions = subject.key(head.stream)?.document(&head);
        let descriptor = ErasureDescriptor {
            erased: doomed.versions.iter().map(|one| one.tags).collect(),
            at: now,
            holders: written.holders.clone(),
            grounds: written.grounds.digest(),
            tombstone: tombstone.map(|version| versions.tag(version)),
            next: entries.tag(position.saturating_add(1)),
        };
        let descriptor = if written.is_redaction {
            Descriptor::Redaction(descriptor)
        } else {
            Descriptor::Erasure(descriptor)
        };
        let descriptor = descriptor.encode();
        let (tag, opening) = (entries.tag(position), Opening(random()));
        let tags = [tag, self.keys.erasures.tag(number)];
        self.enqueue(transaction, tags, &opening, &descriptor);
        self.mark(transaction, &doomed, &descriptor);
        let document = doomed.document;
        self.put_entry(transaction, tag, EntryRow::Erasure { document, number });
        let row = ErasureRow {
            tag,
            is_redaction: written.is_redaction,
            descriptor,
            opening,
            grounds: codec::encode(&written.grounds),
            subject: doomed.subject.id,
            blobs: doomed
                .versions
                .into_iter()
                .filter_map(|one| one.blob)
                .collect(),
            existing_server: written.existing_server,
            holders: written
                .holders
                .into_iter()
                .map(HolderRow::waiting)
                .collect(),
            tombstone,
            branch,
            position: Some(position),
        };
        let key = version_key(&document, number);
        self.keys.put(transaction, Table::Erasures, &key, &row);
        Ok(number)
    }

    /// Marks each erased version on the ledger, so that records put back from a backup find it erased.
    fn mark(&self, transaction: &mut Transaction<'_>, doomed: &Doomed, descriptor: &[u8]) {
        let marks = doomed
            .versions
            .iter()
            .map(|one| self.keys.erasure_mark(one.tags[1]));
        let marks: Vec<Tag> = marks.collect();
        for pair in marks.chunks(2) {
            let second = pair.get(1).copied();
            let tags = [pair[0], second.unwrap_or_else(random_tag)];
            let digest = Digest::of(descriptor);
            let opening = Opening(random());
            let item = Item::commit(self.network, &self.member, tags, &opening, digest);
            transaction.enqueue(&item);
        }
    }

    /// The next number that no erasure of this member has, here or on the ledger.
    fn next_erasure(&self, transaction: &mut Transaction<'_>) -> Result<u64, CustodyError> {
        let last: Option<u64> = self.keys.get_in(transaction, Table::Erasures, LAST)?;
        let next = self.free_after(last.unwrap_or(0), &self.keys.erasures)?;
        self.keys.put(transaction, Table::Erasures, LAST, &next);
        Ok(next)
    }
}

impl Doomed {
    pub(super) fn remove(&self, transaction: &mut Transaction<'_>) {
        for one in &self.versions {
            let key = version_key(&self.document, one.version);
            transaction.remove(Table::EraseKeys, &key);
            transaction.remove(Table::Versions, &key);
        }
    }
}

pub(super) fn doomed_version(
    head: &Head,
    subject: &Subject,
    version: u64,
    loaded: &Loaded,
) -> Result<DoomedVersion, CustodyError> {
    let versions = subject.key(head.stream)?.document(head);
    let entries = subject.key(loaded.row.facts.branch)?;
    Ok(DoomedVersion {
        version,
        tags: [versions.tag(version), entries.tag(loaded.row.entry)],
        blob: loaded.row.payload.locator().map(str::to_owned),
    })
}

/// Whether it is a consent whose wallet alone may revoke it.
fn is_signed(head: &Head, subject: &Subject) -> Result<bool, CustodyError> {
    let is_consent = type_of(&head.resource_type)? == ResourceType::CONSENT;
    Ok(is_consent && subject.wallet_key.is_some())
}

pub(super) fn invalid(said: &str) -> CustodyError {
    CustodyError::Invalid(Issue::error(IssueType::BusinessRule, said))
}
