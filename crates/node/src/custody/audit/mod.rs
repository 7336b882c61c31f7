//! The audit log: one entry for each interaction, in the transaction that puts the interaction on record.
//!
//! Entries are numbered without gaps and chained: each names what the log was before it. The digest of the event of an
//! access goes into the descriptor of the access, and with it into an item of the ledger; the chain's head goes into
//! an item of the member's own directory at least every minute in which something was recorded. So an entry that goes,
//! or changes, is missed (`gaps`).
//!
//! # Invariants
//! - **L1** What is not in the log did not happen: an entry that cannot be written refuses the interaction.
//! - **L2** Entries are never changed, and none goes before six years have passed.

pub mod disclosed;
mod event;
mod forward;
pub mod gaps;
mod held;
mod reading;
pub mod replay;

use ledger::codec;
use ledger::ids::Digest;
use minicbor::{Decode, Encode};

use contracts::descriptor::Decided;
use interop::fhir::audit::AuditEntry;

use super::access::{AccessDraft, Registrar};
use super::append::{Draft, Home, Precondition};
use super::keys::Keys;
use super::rows::{DocumentKey, SubjectId, version_key};
use super::store::{Store, Table, Transaction};
use super::{Custody, CustodyError};

pub use forward::ForwardStanding;
pub use held::Held;
pub use reading::{AuditWanted, RETAINED_MS};

/// The interaction of an access entry that holds the log's head.
pub const HEAD_INTERACTION: &str = "audit-head";

const HEAD: &[u8] = b"h";
const FLOOR: &[u8] = b"f";
const ANCHORED: &[u8] = b"a";

/// An entry of the log.
#[derive(Clone, Encode, Decode)]
pub(crate) struct AuditRow {
    /// What the log was before it.
    #[n(0)]
    pub(crate) before: Digest,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) entry: Vec<u8>,
}

/// An entry that was appended.
pub(crate) struct Audited {
    pub(crate) number: u64,
    /// What an access descriptor names it by.
    pub(crate) digest: Digest,
}

/// The log up to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LogHead {
    #[n(0)]
    pub(crate) number: u64,
    #[n(1)]
    pub(crate) link: Digest,
    /// When the entry was recorded.
    #[n(2)]
    pub(crate) recorded: u64,
}

impl LogHead {
    /// Before the first entry.
    pub(crate) const EMPTY: Self = Self {
        number: 0,
        link: Digest([0; 32]),
        recorded: 0,
    };

    /// The head after an entry with these bytes.
    pub(crate) fn after(self, entry: &[u8], recorded: u64) -> Self {
        let number = self.number.saturating_add(1);
        let digest = event_digest(entry);
        let parts: [&[u8]; 3] = [&self.link.0, &number.to_be_bytes(), &digest.0];
        Self {
            number,
            link: Digest::with_domain("careledger/audit-log/v1", &parts),
            recorded,
        }
    }
}

/// What an access descriptor names of an event.
pub fn event_digest(entry: &[u8]) -> Digest {
    Digest::with_domain("careledger/audit-event/v1", &[entry])
}

pub(crate) fn entry_key(number: u64) -> [u8; 9] {
    let mut key = [b'e'; 9];
    let numbered = key.iter_mut().skip(1).zip(number.to_be_bytes());
    numbered.for_each(|(to, from)| *to = from);
    key
}

/// The prefix of a subject's entries, or with a number the key of one.
pub(crate) fn subject_key(subject: &SubjectId, number: Option<u64>) -> Vec<u8> {
    let mut key = [b"s", subject.as_slice()].concat();
    key.extend(number.into_iter().flat_map(u64::to_be_bytes));
    key
}

/// The log's head.
pub(crate) fn head(store: &Store, keys: &Keys) -> Result<LogHead, CustodyError> {
    let head = keys.get(store, Table::Audit, HEAD)?;
    Ok(head.unwrap_or(LogHead::EMPTY))
}

/// What was let go of after its time, up to this entry.
pub(crate) fn floor(store: &Store, keys: &Keys) -> Result<LogHead, CustodyError> {
    let floor = keys.get(store, Table::Audit, FLOOR)?;
    Ok(floor.unwrap_or(LogHead::EMPTY))
}

/// A decision with the versions that it is about.
pub(crate) fn decided_of(
    decided: Decided,
    versions: impl IntoIterator<Item = (DocumentKey, u64)>,
) -> Decided {
    let versions = versions.into_iter();
    let keys = versions.flat_map(|(document, version)| version_key(&document, version));
    Decided {
        documents: Some(keys.collect()),
        ..decided
    }
}

impl Home {
    /// Appends an entry to the log; returns what names its event.
    pub(crate) fn audit(
        &self,
        transaction: &mut Transaction<'_>,
        subject: Option<&SubjectId>,
        mut entry: AuditEntry,
    ) -> Result<Audited, CustodyError> {
        let head: Option<LogHead> = self.keys.get_in(transaction, Table::Audit, HEAD)?;
        let head = head.unwrap_or(LogHead::EMPTY);
        entry.recorded = entry.recorded.max(head.recorded);
        let bytes = codec::encode(&entry);
        let digest = event_digest(&bytes);
        let next = head.after(&bytes, entry.recorded);
        let row = AuditRow {
            before: head.link,
            entry: bytes,
        };
        let key = entry_key(next.number);
        self.keys.put(transaction, Table::Audit, &key, &row);
        self.keys.put(transaction, Table::Audit, HEAD, &next);
        if let Some(subject) = subject {
            let key = subject_key(subject, Some(next.number));
            transaction.put(Table::Audit, &key, Vec::new());
        }
        Ok(Audited {
            number: next.number,
            digest,
        })
    }

    /// Appends the entry of a change that is about to be appended as this version.
    pub(crate) fn audit_change(
        &self,
        transaction: &mut Transaction<'_>,
        draft: &Draft,
        version: u64,
    ) -> Result<(), CustodyError> {
        let mut entry = draft.audit.clone();
        let is_patch = entry
            .query
            .as_deref()
            .is_some_and(|line| line.starts_with("PATCH "));
        let interaction = match (&draft.content, draft.precondition) {
            (None, _) if draft.erases => "erase",
            (None, _) => "delete",
            (Some(_), Precondition::New) => "create",
            (Some(_), _) if is_patch => "patch",
            (Some(_), _) => "update",
        };
        interaction.clone_into(&mut entry.interaction);
        entry.patient = draft.subject.patient_id.clone();
        entry.target = format!("{}/{}", draft.resource_type, draft.id);
        entry.documents = vec![format!("{}/_history/{version}", entry.target)];
        self.audit(transaction, Some(&draft.subject.id), entry)?;
        Ok(())
    }
}

impl Custody {
    /// Puts what belongs to no access into the log, such as a sign-in; it is durable when this returns.
    /// Returns its number.
    pub async fn audit(&self, mut entry: AuditEntry) -> Result<u64, CustodyError> {
        let patient = entry.patient.as_deref();
        let subject = match patient {
            Some(patient) => self.0.subjects.of_patient(patient)?,
            None => None,
        };
        entry.recorded = (self.0.options.clock)();
        let home = self.0.home.clone();
        let append = move |transaction: &mut Transaction<'_>| {
            home.audit(transaction, subject.as_ref().map(|one| &one.id), entry)
        };
        Ok(self.0.store.transact(append).await?.number)
    }

    /// The member's clock: milliseconds since 1970.
    pub fn now(&self) -> u64 {
        (self.0.options.clock)()
    }

    /// Puts the log's head into an item now; tells whether there was something new.
    pub async fn anchor_audit(&self) -> Result<bool, CustodyError> {
        self.0.registrar.anchor_log().await
    }
}

impl Registrar {
    /// Puts the log's head into an entry of the directory's access stream, unless it is there.
    pub(crate) async fn anchor_log(&self) -> Result<bool, CustodyError> {
        let (home, directory) = (self.home.clone(), self.subjects.directory());
        self.store
            .transact(move |transaction| {
                let keys = &home.keys;
                let head: Option<LogHead> = keys.get_in(transaction, Table::Audit, HEAD)?;
                let head = head.unwrap_or(LogHead::EMPTY);
                let anchored: Option<u64> = keys.get_in(transaction, Table::Audit, ANCHORED)?;
                if head.number <= anchored.unwrap_or(0) {
                    return Ok(false);
                }
                let draft = AccessDraft {
                    requester: home.member.clone(),
                    principal: home.member.to_string(),
                    role: None,
                    purpose: "HSYSADMIN".to_owned(),
                    interaction: HEAD_INTERACTION.to_owned(),
                    target: head.number.to_string(),
                    at: head.recorded,
                    custodian: home.member.clone(),
                    request: None,
                    recipient: None,
                    expires_at: None,
                    decision: None,
                    audit: Some(head.link),
                    emergency: None,
                    on_behalf_of: None,
                };
                home.append_access(transaction, &directory, draft, Vec::new())?;
                keys.put(transaction, Table::Audit, ANCHORED, &head.number);
                Ok(true)
            })
            .await
    }
}
