//! Access entries.
//!
//! A request is put down durably before it is answered. What one user asks about one patient for one purpose within a
//! quarter of a second is then one entry, and so one item: the more is read, the less of the ledger each request takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::access::Delegation;
use contracts::descriptor::{AccessDescriptor, Decided, Descriptor, FurtherAccess};
use contracts::emergency::Declaration;
use interop::fhir::audit::AuditEntry;
use ledger::codec;
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Opening;
use minicbor::{Decode, Encode};

use super::CustodyError;
use super::append::Home;
use super::keys::{Keys, random, random_tag};
use super::rows::{AccessRow, EntryRow, Own, SubjectId, access_key};
use super::store::{Store, Table, Transaction};
use super::subject::{Subject, Subjects};

/// Requests that share an entry at most.
const SHARED_MAX: usize = 128;
/// Requests that are entered by one transaction at most: others wait for the writer meanwhile.
const ENTERED_AT_ONCE: usize = 512;

/// How often the audit log's head goes into an entry of its own, if there is something new.
const HEAD_EVERY: Duration = Duration::from_mins(1);

/// An access to be recorded.
#[derive(Clone, Encode, Decode)]
pub(crate) struct AccessDraft {
    #[n(0)]
    pub(crate) requester: MemberName,
    #[n(1)]
    pub(crate) principal: String,
    #[n(2)]
    pub(crate) role: Option<String>,
    #[n(3)]
    pub(crate) purpose: String,
    #[n(4)]
    pub(crate) interaction: String,
    #[n(5)]
    pub(crate) target: String,
    #[n(6)]
    pub(crate) at: u64,
    #[n(7)]
    pub(crate) custodian: MemberName,
    #[n(8)]
    pub(crate) request: Option<Digest>,
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) recipient: Option<Vec<u8>>,
    #[n(10)]
    pub(crate) expires_at: Option<Height>,
    #[n(11)]
    pub(crate) decision: Option<Decided>,
    /// Of the event in the audit log.
    #[n(14)]
    pub(crate) audit: Option<Digest>,
    #[n(15)]
    pub(crate) emergency: Option<Declaration>,
    #[n(16)]
    pub(crate) on_behalf_of: Option<Delegation>,
}

/// An access entry that was appended.
pub(crate) struct Recorded {
    pub(crate) tag: Tag,
    pub(crate) descriptor: Vec<u8>,
    pub(crate) opening: Opening,
}

/// A request that is put down and in no entry yet.
#[derive(Clone)]
struct Pending {
    key: [u8; 32],
    subject: SubjectId,
    draft: AccessDraft,
}

/// Requests that share an entry.
#[derive(Clone)]
struct Entry(Pending, Vec<Pending>);

/// One user and purpose, and one subject.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sharers {
    subject: SubjectId,
    requester: MemberName,
    principal: String,
    role: Option<String>,
    purpose: String,
    /// In whose place, by the bytes of the chain.
    on_behalf_of: Option<Vec<u8>>,
}

/// Requests that are put down, until they are entered.
#[derive(Default)]
pub(crate) struct Accesses(Mutex<Vec<Pending>>);

/// Makes entries of the requests that were put down.
#[derive(Clone)]
pub(crate) struct Registrar {
    pub(crate) store: Arc<Store>,
    pub(crate) home: Home,
    pub(crate) subjects: Subjects,
    /// One at a time: a request is entered once.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Accesses {
    /// What a stop left. A row that is damaged stays, for `verify --self` to name it.
    pub(crate) fn read(store: &Store, keys: &Keys) -> Result<Self, CustodyError> {
        let mut pending = Vec::new();
        for row in store.scan(Table::Pending, &[]) {
            let (key, row) = row?;
            let draft = keys.open_row(Table::Pending, &key, &row);
            let place: Option<[u8; 32]> = key.try_into().ok();
            let subject = place.and_then(|key| Some((key, *key.first_chunk()?)));
            match (draft, subject) {
                (Ok(draft), Some((key, subject))) => pending.push(Pending {
                    key,
                    subject,
                    draft,
                }),
                _ => tracing::error!("a request that is on record cannot be read"),
            }
        }
        pending.sort_by_key(|one| one.draft.at);
        Ok(Self(Mutex::new(pending)))
    }

    fn add(&self, one: Pending) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push(one);
    }

    fn take(&self) -> Vec<Pending> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending)
    }
}

impl Registrar {
    /// Enters what was put down, again and again.
    pub(crate) async fn run(self, every: Duration) {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut anchored = tokio::time::Instant::now();
        loop {
            beat.tick().await;
            if anchored.elapsed() >= HEAD_EVERY {
                anchored = tokio::time::Instant::now();
                if let Err(error) = self.anchor_log().await {
                    tracing::warn!(%error, "the audit log's head waits for its entry");
                }
            }
            if let Err(error) = self.enter().await {
                tracing::warn!(%error, "accesses that are on record wait for their entries");
            }
        }
    }

    /// Enters everything that is put down by now.
    pub(crate) async fn enter(&self) -> Result<(), CustodyError> {
        let _turn = self.turn.lock().await;
        let mut entries = entries(self.home.accesses.take()).into_iter().peekable();
        let mut outcome = Ok(());
        while entries.peek().is_some() {
            let (mut some, mut loaded, mut requests) = (Vec::new(), Vec::new(), 0_usize);
            while let Some(entry) = entries.next_if(|_| requests < ENTERED_AT_ONCE) {
                requests = requests.saturating_add(1 + entry.1.len());
                some.push(entry);
            }
            for entry in some {
                match self.subjects.load(&entry.0.subject) {
                    Ok(subject) => loaded.push((subject, entry)),
                    Err(error) => outcome = self.put_back([entry], error),
                }
            }
            let entries = Arc::new(loaded);
            if let Err(error) = self.append(Arc::clone(&entries)).await {
                let entries = entries.iter().map(|(_, entry)| entry.clone());
                outcome = self.put_back(entries, error);
            }
        }
        outcome
    }

    /// Appends entries in the place of their requests, all or none.
    async fn append(&self, entries: Arc<Vec<(Arc<Subject>, Entry)>>) -> Result<(), CustodyError> {
        let home = self.home.clone();
        self.store
            .transact(move |transaction| {
                for (subject, Entry(first, others)) in &*entries {
                    let further = others.iter().map(|one| one.draft.clone().into_further());
                    let (draft, further) = (first.draft.clone(), further.collect());
                    home.append_access(transaction, subject, draft, further)?;
                    for one in others.iter().chain([first]) {
                        transaction.remove(Table::Pending, &one.key);
                    }
                }
                Ok(())
            })
            .await
    }

    /// They are entered another time.
    fn put_back(
        &self,
        entries: impl IntoIterator<Item = Entry>,
        error: CustodyError,
    ) -> Result<(), CustodyError> {
        for Entry(first, others) in entries {
            self.home.accesses.add(first);
            others
                .into_iter()
                .for_each(|one| self.home.accesses.add(one));
        }
        Err(error)
    }
}

/// The entries of requests, in the order of their first.
fn entries(requests: Vec<Pending>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut open: BTreeMap<Sharers, usize> = BTreeMap::new();
    for one in requests {
        let sharers = one.sharers();
        let shared = open.get(&sharers).and_then(|at| entries.get_mut(*at));
        match shared.filter(|entry| entry.1.len() + 1 < SHARED_MAX) {
            Some(entry) => entry.1.push(one),
            None => {
                open.insert(sharers, entries.len());
                entries.push(Entry(one, Vec::new()));
            }
        }
    }
    entries
}

impl Pending {
    fn sharers(&self) -> Sharers {
        let draft = &self.draft;
        Sharers {
            subject: self.subject,
            requester: draft.requester.clone(),
            principal: draft.principal.clone(),
            role: draft.role.clone(),
            purpose: draft.purpose.clone(),
            on_behalf_of: draft.on_behalf_of.as_ref().map(codec::encode),
        }
    }
}

impl Home {
    /// Puts an access of this member's own users down, and its event into the audit log; the registrar enters it.
    pub(crate) fn record(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        (mut draft, mut event): (AccessDraft, AuditEntry),
    ) -> Result<(), CustodyError> {
        event.is_entered = true;
        draft.audit = Some(self.audit(transaction, Some(&subject.id), event)?.digest);
        let key = pending_key(&subject.id, draft.at);
        self.keys.put(transaction, Table::Pending, &key, &draft);
        // The writer takes what the registrar asks for after this.
        self.accesses.add(Pending {
            key,
            subject: subject.id,
            draft,
        });
        Ok(())
    }

    /// Appends an entry of its own, and its event to the audit log.
    pub(crate) fn append_audited(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        (mut draft, mut event): (AccessDraft, AuditEntry),
    ) -> Result<Recorded, CustodyError> {
        event.is_entered = true;
        draft.audit = Some(self.audit(transaction, Some(&subject.id), event)?.digest);
        self.append_access(transaction, subject, draft, Vec::new())
    }

    /// Appends an access entry to the subject's access stream at this member.
    pub(crate) fn append_access(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        draft: AccessDraft,
        further: Vec<FurtherAccess>,
    ) -> Result<Recorded, CustodyError> {
        let subject = &self.renewed(transaction, subject)?;
        let entries = subject.key(Own::Access)?;
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
    /// Something that somebody does at this member with a patient, beside reading: `interaction` with `target`.
    pub(crate) fn at_home(
        home: &MemberName,
        (principal, role, purpose): (String, Option<String>, &str),
        (interaction, target): (&str, &str),
        at: u64,
    ) -> Self {
        Self {
            requester: home.clone(),
            principal,
            role,
            purpose: purpose.to_owned(),
            interaction: interaction.to_owned(),
            target: target.to_owned(),
            at,
            custodian: home.clone(),
            request: None,
            recipient: None,
            expires_at: None,
            decision: None,
            audit: None,
            emergency: None,
            on_behalf_of: None,
        }
    }

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
            audit: self.audit,
            emergency: self.emergency,
            on_behalf_of: self.on_behalf_of,
        }
    }

    fn into_further(self) -> FurtherAccess {
        FurtherAccess {
            interaction: self.interaction,
            target: self.target,
            at: self.at,
            decision: self.decision,
            audit: self.audit,
        }
    }
}

fn pending_key(subject: &SubjectId, at: u64) -> [u8; 32] {
    let mut key = [0; 32];
    let unique: [u8; 8] = random();
    let parts = subject
        .iter()
        .chain(&at.to_be_bytes())
        .chain(&unique)
        .copied()
        .collect::<Vec<u8>>();
    key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key
}
