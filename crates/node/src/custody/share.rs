//! Links by which patients share something, at the member that keeps the ciphertext.
//!
//! Whoever fetches is no user of this member: each fetch, and each passcode that was wrong, stands in the patient's access
//! history with the name that the recipient gave, in the same batch, before it is answered.

use contracts::share::Terms;
use interop::fhir::IssueType;
use interop::fhir::audit::{AuditAgent, AuditEntry, AuditOutcome};
use ledger::ids::Digest;
use minicbor::{Decode, Encode};

use super::access::AccessDraft;
use super::append::Home;
use super::keys::random;
use super::request::Requester;
use super::rows::SubjectId;
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::write::invalid;
use super::{Custody, CustodyError};

/// Links of one patient at most.
const SHARES_MAX: usize = 32;
/// Characters of all files of a link, sealed.
const FILES_BYTES_MAX: usize = 1_000_000;

/// What a row of links begins with; the other kind lists them by patient.
const LINK: u8 = 0;
const LISTED: u8 = 1;

/// What finds a link's row; it tells nothing of the address.
type Handle = [u8; 16];

/// A sealed file: a JWE in compact form.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SharedFile {
    /// The media type of what is sealed.
    #[n(0)]
    pub content_type: String,
    /// The JWE.
    #[n(1)]
    pub jwe: String,
}

/// What a patient shares.
#[derive(Clone)]
pub struct ShareDraft {
    /// What is sealed under the link's key.
    pub files: Vec<SharedFile>,
    /// What the patient calls it.
    pub label: Option<String>,
    /// When it ends, milliseconds since 1970.
    pub until: Option<u64>,
    /// The hash of the passcode that it takes.
    pub passcode: Option<String>,
    /// Whether the address answers with the only file, without a manifest.
    pub is_direct: bool,
}

/// A link as the patient sees it in a list.
#[derive(Clone, PartialEq, Eq)]
pub struct ListedShare {
    /// What names it: 32 hexadecimal digits, which are not in its address.
    pub id: String,
    /// What the patient called it.
    pub label: Option<String>,
    /// When it was made, milliseconds since 1970.
    pub created: u64,
    /// What it takes, and until when.
    pub terms: Terms,
    /// How often it was fetched.
    pub fetched: u64,
}

/// Who fetches, as they say themselves.
#[derive(Clone)]
pub struct Recipient {
    /// Their name.
    pub name: String,
    /// Where the request came from, as the connection says.
    pub address: Option<String>,
}

/// What a link takes before it gives anything.
#[derive(Clone, PartialEq, Eq)]
pub struct ShareGate {
    /// The hash of its passcode; a try was taken for looking at one (see [`contracts::share`], L2).
    pub passcode: Option<String>,
    /// Wrong passcodes that are left after this one.
    pub tries: Option<u32>,
    /// Whether the address answers with the only file.
    pub is_direct: bool,
}

#[derive(Clone, Encode, Decode)]
struct ShareRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    subject: SubjectId,
    #[n(1)]
    terms: Terms,
    #[n(2)]
    files: Vec<SharedFile>,
    #[n(3)]
    label: Option<String>,
    #[n(4)]
    created: u64,
    #[n(5)]
    passcode: Option<String>,
    #[n(6)]
    is_direct: bool,
    #[n(7)]
    fetched: u64,
}

impl Custody {
    /// Keeps what a patient shares; returns the secret of its address and what names it in lists.
    pub async fn share(
        &self,
        by: &Requester,
        patient_id: &str,
        draft: ShareDraft,
        now: u64,
    ) -> Result<([u8; 32], String), CustodyError> {
        check(&draft)?;
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let now = self.later(now);
        let secret: [u8; 32] = random();
        let handle = handle(&secret);
        let row = ShareRow {
            subject: subject.id,
            terms: Terms::new(draft.until, draft.passcode.is_some()),
            files: draft.files,
            label: draft.label,
            created: now,
            passcode: draft.passcode,
            is_direct: draft.is_direct,
            fetched: 0,
        };
        if row.terms.stand(now).is_err() {
            return Err(invalid(
                IssueType::Value,
                "the link would have ended before",
            ));
        }
        let open = self.listed(&subject.id)?;
        let ended = open.iter().filter(|(_, row)| row.terms.stand(now).is_err());
        let ended: Vec<Handle> = ended.map(|(handle, _)| *handle).collect();
        if open.len().saturating_sub(ended.len()) >= SHARES_MAX {
            return Err(invalid(
                IssueType::TooCostly,
                "a patient has 32 links at most: withdraw one",
            ));
        }
        let recorded = self.share_step(by, &subject, "share");
        let home = self.0.home.clone();
        let made = self.0.store.transact(move |transaction| {
            for one in &ended {
                remove(transaction, &subject.id, one);
            }
            home.keys
                .put(transaction, Table::Shares, &place(&handle), &row);
            transaction.put(Table::Shares, &listed_at(&subject.id, &handle), Vec::new());
            home.append_audited(transaction, &subject, recorded)?;
            Ok(())
        });
        made.await?;
        Ok((secret, hex::encode(handle)))
    }

    /// The patient's links that are active, the oldest first.
    pub fn shares(&self, patient_id: &str, now: u64) -> Result<Vec<ListedShare>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let now = self.later(now);
        let open = self.listed(&subject.id)?.into_iter();
        let open = open.filter(|(_, row)| row.terms.stand(now).is_ok());
        let mut shares: Vec<_> = open
            .map(|(handle, row)| ListedShare {
                id: hex::encode(handle),
                label: row.label,
                created: row.created,
                terms: row.terms,
                fetched: row.fetched,
            })
            .collect();
        shares.sort_by_key(|share| share.created);
        Ok(shares)
    }

    /// Withdraws a link by what names it in the list: its ciphertext goes.
    pub async fn unshare(
        &self,
        by: &Requester,
        patient_id: &str,
        id: &str,
    ) -> Result<(), CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let handle: Option<Handle> = hex::decode(id).ok().and_then(|id| id.try_into().ok());
        let handle = handle.ok_or(CustodyError::NotFound)?;
        let recorded = self.share_step(by, &subject, "unshare");
        let home = self.0.home.clone();
        let withdrawn = self.0.store.transact(move |transaction| {
            let row = row_in(&home, transaction, &handle)?;
            if row.is_none_or(|row| row.subject != subject.id) {
                return Err(CustodyError::NotFound);
            }
            remove(transaction, &subject.id, &handle);
            home.append_audited(transaction, &subject, recorded)?;
            Ok(())
        });
        withdrawn.await
    }

    /// Whether there is a link at this address; it may have ended.
    pub fn has_share(&self, secret: &[u8; 32]) -> Result<bool, CustodyError> {
        let row = self.0.store.get(Table::Shares, &place(&handle(secret)))?;
        Ok(row.is_some())
    }

    /// Begins a fetch: whether the link is there, and what it takes. A try is taken if it takes a passcode.
    pub async fn knock(&self, secret: &[u8; 32], now: u64) -> Result<ShareGate, CustodyError> {
        let handle = handle(secret);
        let now = self.later(now);
        let home = self.0.home.clone();
        let gate = self.0.store.transact(move |transaction| {
            let row = row_in(&home, transaction, &handle)?;
            let mut row = row.ok_or(CustodyError::NotFound)?;
            row.terms
                .take_try(now)
                .map_err(|_| CustodyError::NotFound)?;
            if row.terms.tries.is_some() {
                home.keys
                    .put(transaction, Table::Shares, &place(&handle), &row);
            }
            Ok(ShareGate {
                passcode: row.passcode,
                tries: row.terms.tries,
                is_direct: row.is_direct,
            })
        });
        gate.await
    }

    /// Ends a fetch that brought the right passcode, or needed none: on record, then what is sealed.
    pub async fn fetch_share(
        &self,
        secret: &[u8; 32],
        recipient: Recipient,
    ) -> Result<Vec<SharedFile>, CustodyError> {
        let handle = handle(secret);
        let subject = self.0.subjects.load(&self.passed(&handle)?.subject)?;
        let recorded = self.fetched_by(&subject, &handle, ("share-fetch", recipient));
        let home = self.0.home.clone();
        let fetched = self.0.store.transact(move |transaction| {
            let row = row_in(&home, transaction, &handle)?;
            let mut row = row.ok_or(CustodyError::NotFound)?;
            row.terms.give_back();
            row.fetched = row.fetched.saturating_add(1);
            home.keys
                .put(transaction, Table::Shares, &place(&handle), &row);
            home.append_audited(transaction, &subject, recorded)?;
            Ok(row.files)
        });
        fetched.await
    }

    /// Ends a fetch that brought a wrong passcode: on record.
    pub async fn refuse_share(
        &self,
        secret: &[u8; 32],
        recipient: Recipient,
    ) -> Result<(), CustodyError> {
        let handle = handle(secret);
        let subject = self.0.subjects.load(&self.passed(&handle)?.subject)?;
        let (draft, mut event) = self.fetched_by(&subject, &handle, ("share-refused", recipient));
        event.outcome = AuditOutcome::Denied;
        event.reason = Some("wrong passcode".to_owned());
        let home = self.0.home.clone();
        let refused = self.0.store.transact(move |transaction| {
            home.append_audited(transaction, &subject, (draft, event))?;
            Ok(())
        });
        refused.await
    }

    /// A file of a link that was fetched a moment ago, unless the link went since.
    pub fn shared_file(
        &self,
        secret: &[u8; 32],
        number: usize,
        now: u64,
    ) -> Result<SharedFile, CustodyError> {
        let row = self.passed(&handle(secret))?;
        let stands = row.terms.stand(self.later(now));
        stands.map_err(|_| CustodyError::NotFound)?;
        let mut files = row.files.into_iter();
        files.nth(number).ok_or(CustodyError::NotFound)
    }

    fn passed(&self, handle: &Handle) -> Result<ShareRow, CustodyError> {
        let keys = &self.0.home.keys;
        let row = keys.get(&self.0.store, Table::Shares, &place(handle))?;
        row.ok_or(CustodyError::NotFound)
    }

    /// Who sets the clock back does not make a link last.
    fn later(&self, now: u64) -> u64 {
        now.max(self.0.anchor.tip().time.0)
    }

    fn listed(&self, subject: &SubjectId) -> Result<Vec<(Handle, ShareRow)>, CustodyError> {
        let mut rows = Vec::new();
        let prefix = [[LISTED].as_slice(), subject].concat();
        for row in self.0.store.scan(Table::Shares, &prefix) {
            let (key, _) = row?;
            let handle = key.last_chunk().copied();
            let handle: Handle = handle
                .ok_or_else(|| CustodyError::Storage("a link is listed wrongly".to_owned()))?;
            rows.push((handle, self.passed(&handle)?));
        }
        Ok(rows)
    }

    fn share_step(
        &self,
        by: &Requester,
        subject: &Subject,
        interaction: &str,
    ) -> (AccessDraft, AuditEntry) {
        let draft = AccessDraft::at_home(
            &self.0.home.member,
            (by.principal(), by.role.clone(), &by.purpose),
            (interaction, &target(subject)),
            (self.0.options.clock)(),
        );
        let event = by.audited_access(subject, &draft);
        (draft, event)
    }

    fn fetched_by(
        &self,
        subject: &Subject,
        handle: &Handle,
        (interaction, recipient): (&str, Recipient),
    ) -> (AccessDraft, AuditEntry) {
        let draft = AccessDraft::at_home(
            &self.0.home.member,
            (named(handle, &recipient.name), None, "PATRQT"),
            (interaction, &target(subject)),
            (self.0.options.clock)(),
        );
        let agent = AuditAgent {
            client: "link".to_owned(),
            address: recipient.address,
            user: Some(draft.principal.clone()),
            role: None,
            purpose: Some(draft.purpose.clone()),
            organization: self.0.home.member.to_string(),
            token: None,
        };
        let event = AuditEntry {
            recorded: draft.at,
            patient: subject.patient_id.clone(),
            target: draft.target.clone(),
            ..AuditEntry::new(interaction, agent)
        };
        (draft, event)
    }
}

fn target(subject: &Subject) -> String {
    format!(
        "Patient/{}",
        subject.patient_id.as_deref().unwrap_or_default()
    )
}

/// Who fetches, as they say themselves, and by which link.
fn named(handle: &Handle, name: &str) -> String {
    let id = hex::encode(handle);
    format!("link {}: {name}", id.get(..8).unwrap_or_default())
}

fn check(draft: &ShareDraft) -> Result<(), CustodyError> {
    let bytes: usize = draft.files.iter().map(|file| file.jwe.len()).sum();
    if draft.files.is_empty() || bytes > FILES_BYTES_MAX {
        return Err(invalid(
            IssueType::TooLong,
            "a link has a file, and 1,000,000 characters of sealed files at most",
        ));
    }
    let is_single = draft.files.len() == 1 && draft.passcode.is_none();
    if draft.is_direct && !is_single {
        return Err(invalid(
            IssueType::Invariant,
            "a link with the flag U has one file and takes no passcode",
        ));
    }
    Ok(())
}

fn remove(transaction: &mut Transaction<'_>, subject: &SubjectId, handle: &Handle) {
    transaction.remove(Table::Shares, &place(handle));
    transaction.remove(Table::Shares, &listed_at(subject, handle));
}

fn row_in(
    home: &Home,
    transaction: &Transaction<'_>,
    handle: &Handle,
) -> Result<Option<ShareRow>, CustodyError> {
    home.keys.get_in(transaction, Table::Shares, &place(handle))
}

/// The address holds 256 random bits, of which the store keeps a digest alone.
fn handle(secret: &[u8; 32]) -> Handle {
    let digest = Digest::with_domain("careledger/share/v1", &[secret]);
    digest.0.first_chunk().copied().unwrap_or_default()
}

fn place(handle: &Handle) -> Vec<u8> {
    [[LINK].as_slice(), handle].concat()
}

fn listed_at(subject: &SubjectId, handle: &Handle) -> Vec<u8> {
    [[LISTED].as_slice(), subject, handle].concat()
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(SharedFile, ShareDraft, ListedShare, Recipient, ShareGate);
