//! Access entries, on the writer's thread.
//!
//! What one user asks of one patient's records for one purpose, and what becomes durable by the same sync, is one entry
//! and so one item: the more is read at once, the less of the ledger each reading takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::descriptor::{AccessDescriptor, Decided, Descriptor, FurtherAccess};
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Opening;

use super::CustodyError;
use super::append::Home;
use super::keys::{random, random_tag};
use super::rows::{AccessRow, EntryRow, Own, SubjectId, access_key};
use super::store::{Table, Transaction};
use super::subject::Subject;

/// Requests that share an entry at most.
const SHARED_MAX: usize = 64;

/// An access to be recorded.
pub(crate) struct AccessDraft {
    pub(crate) requester: MemberName,
    pub(crate) principal: String,
    pub(crate) role: Option<String>,
    pub(crate) purpose: String,
    pub(crate) interaction: String,
    pub(crate) target: String,
    pub(crate) at: u64,
    pub(crate) custodian: MemberName,
    pub(crate) request: Option<Digest>,
    pub(crate) recipient: Option<Vec<u8>>,
    pub(crate) expires_at: Option<Height>,
    pub(crate) decision: Option<Decided>,
}

/// An access entry that was appended.
pub(crate) struct Recorded {
    pub(crate) tag: Tag,
    pub(crate) descriptor: Vec<u8>,
    pub(crate) opening: Opening,
}

/// Accesses that wait for the end of a batch, by those who share an entry.
#[derive(Default)]
pub(crate) struct Accesses(BTreeMap<Sharers, Vec<Access>>);

/// One user and purpose, and one subject.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sharers {
    subject: SubjectId,
    requester: MemberName,
    principal: String,
    role: Option<String>,
    purpose: String,
}

struct Access {
    home: Home,
    subject: Arc<Subject>,
    draft: AccessDraft,
}

impl Accesses {
    /// Puts these behind those that are here.
    pub(crate) fn append(&mut self, others: Self) {
        for (sharers, accesses) in others.0 {
            self.0.entry(sharers).or_default().extend(accesses);
        }
    }

    /// Appends the entries.
    pub(crate) fn write(self, transaction: &mut Transaction<'_>) -> Result<(), CustodyError> {
        for accesses in self.0.into_values() {
            let mut accesses = accesses.into_iter();
            while let Some(Access {
                home,
                subject,
                draft,
            }) = accesses.next()
            {
                let further = accesses.by_ref().take(SHARED_MAX - 1);
                let further = further.map(|one| one.draft.into_further()).collect();
                home.append_access(transaction, &subject, draft, further)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, access: Access) {
        let draft = &access.draft;
        let sharers = Sharers {
            subject: access.subject.id,
            requester: draft.requester.clone(),
            principal: draft.principal.clone(),
            role: draft.role.clone(),
            purpose: draft.purpose.clone(),
        };
        self.0.entry(sharers).or_default().push(access);
    }
}

impl Home {
    /// Records an access of this member's own users at the end of the batch, in one entry with others of its kind.
    pub(crate) fn record(
        &self,
        transaction: &mut Transaction<'_>,
        subject: Arc<Subject>,
        draft: AccessDraft,
    ) {
        transaction.accesses().add(Access {
            home: self.clone(),
            subject,
            draft,
        });
    }

    /// Appends an access entry to the subject's access stream at this member.
    pub(crate) fn append_access(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        draft: AccessDraft,
        further: Vec<FurtherAccess>,
    ) -> Result<Recorded, CustodyError> {
        let entries = subject.key(Own::Access)?.entries();
        let position = self.take_position(transaction, subject, Own::Access)?;
        let tag = entries.tag(position);
        let next = entries.tag(position.saturating_add(1));
        let descriptor = Descriptor::Access(draft.into_descriptor(further, next)).encode();
        let opening = Opening(random());
        self.enqueue(transaction, [tag, random_tag()], &opening, &descriptor);
        let named = EntryRow::Access {
            subject: subject.id,
            position,
        };
        self.put_entry(transaction, tag, named);
        let row = AccessRow {
            descriptor,
            opening,
        };
        let key = access_key(&subject.id, position);
        self.keys.put(transaction, Table::Accesses, &key, &row);
        Ok(Recorded {
            tag,
            descriptor: row.descriptor,
            opening: row.opening,
        })
    }
}

impl AccessDraft {
    fn into_descriptor(self, further: Vec<FurtherAccess>, next: Tag) -> AccessDescriptor {
        AccessDescriptor {
            requester: self.requester,
            principal: self.principal,
            role: self.role,
            purpose: self.purpose,
            interaction: self.interaction,
            target: self.target,
            at: self.at,
            custodian: self.custodian,
            request: self.request,
            recipient: self.recipient,
            expires_at: self.expires_at,
            decision: self.decision,
            next,
            further: Some(further).filter(|further| !further.is_empty()),
        }
    }

    fn into_further(self) -> FurtherAccess {
        FurtherAccess {
            interaction: self.interaction,
            target: self.target,
            at: self.at,
            decision: self.decision,
        }
    }
}
