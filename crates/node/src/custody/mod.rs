//! Custody: the records that this member holds.
//!
//! Every opening is decided, recorded durably, and only then answered. Every version that is written, and every
//! access, is an item on its way to the ledger through the [`crate::outbox`].

mod access;
mod anchor;
mod append;
pub mod audit;
mod authorization;
mod background;
mod branch;
mod bulk;
mod care_services;
mod changes;
mod cipher;
mod consent;
mod decide;
mod delegate;
mod duties;
mod emergency;
mod enroll;
mod erasure;
mod error;
mod escrow;
mod filing;
mod foreign;
mod history;
mod imaging;
pub mod inspect;
mod keys;
mod labelling;
mod linkage;
mod mapping;
mod matching;
mod moved;
mod notify;
mod options;
mod payload;
mod pins;
mod postings;
mod reach;
mod read;
mod receipt;
mod recovery;
mod reindex;
mod relabel;
mod release;
mod remote;
mod request;
mod rewrap;
mod rotate;
mod rows;
mod search;
mod search_chain;
mod search_include;
mod search_page;
mod search_rows;
mod share;
mod shelf;
pub(crate) mod store;
mod subject;
mod sweep;
mod types;
pub mod upstream;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use interop::fhir::search::{IndexTerms, index_format};
use interop::fhir::{Resource, ResourceType};
use ledger::ids::{MemberName, Tag};
use tokio::sync::watch;

use crate::outbox::{Delivery, OutboxStatus};
use crate::terminology::Vocabularies;
use access::{Accesses, Registrar};
use append::Home;
use background::Background;
use decide::Rulings;
use keys::Keys;
use labelling::Labeller;
use payload::Payloads;
use pins::Pins;
use reindex::Indexing;
use relabel::Relabelling;
use rewrap::Rewrapping;
use store::{Disk, Persist, Store};
use subject::Subjects;
use sweep::Sweeper;
use types::Types;
use upstream::{Upstream, UpstreamStatus};

pub use anchor::Anchor;
pub use bulk::Selection;
pub use care_services::StalePublisher;
pub(crate) use care_services::{Publication, Publisher};
pub use changes::{Changed, Effect};
pub use duties::{DutyCount, EXTENDED};
pub use emergency::{
    BREAK_GLASS, EmergencyAsk, EmergencyCount, EmergencyReview, JUSTIFIED, NOT_JUSTIFIED,
    REVIEW_CODE, TASK_SYSTEM, is_review,
};
pub(crate) use erasure::{DueErasure, ErasureNotice, erasure_in};
pub use erasure::{
    Erasure, ErasureOrder, ErasureStanding, Hold, HoldOrder, HoldScope, Holder, ReplayState,
    RetentionRule, RetentionSchedule, ToErase,
};
pub use error::CustodyError;
pub use escrow::EscrowOffer;
pub use foreign::{ForeignEntry, ForeignStream};
pub use history::Visible;
pub use labelling::Explanation;
pub use linkage::{Inquiry, InquiryRefusal, LinkageOptions, WaitingLink};
pub use matching::{MatchFound, MatchWanted, PossibleMatch};
pub use notify::Told;
pub use options::CustodyOptions;
pub use reach::{Aim, Reach, Reached};
pub use read::OpenedBinary;
pub use recovery::HandedOut;
pub use reindex::IndexProgress;
pub use relabel::LabelProgress;
pub use release::{ReleaseOutcome, ReleaseRuling, ReleaseTerms, SealedCopy};
pub use remote::{OpenDescriptor, open_descriptor, open_payload};
pub use request::{
    AccessAsk, AccessEntry, Asked, Change, Enrolment, Everything, Further, Granted, HistoryEntry,
    HistoryPage, HistoryQuery, MissingConsent, Opened, ReceiptState, RemoteAnswer, RemoteRequest,
    Requester, SealedConsent, SealedDescriptor, SearchPage, SignedConsent, SubjectView, Trail,
    Withheld, WithheldDocument, Written,
};
pub use rewrap::WrappingProgress;
pub use share::{ListedShare, Recipient, ShareDraft, ShareGate, SharedFile};
pub use shelf::{Shelf, ShelfChange, ShelfRow};
pub use store::postgresql::{PostgresqlConfig, PostgresqlConfigError};
pub use store::{MoveError, RecordsConfig, move_records, put_keys, take_keys};
pub use write::{BinaryDraft, BinaryUpload};

/// A handle to the records; clones share it.
#[derive(Clone)]
pub struct Custody(Arc<Inner>);

struct Inner {
    options: CustodyOptions,
    anchor: Arc<dyn Anchor>,
    home: Home,
    store: Arc<Store>,
    subjects: Subjects,
    payloads: Payloads,
    indexing: Indexing,
    rewrapping: Rewrapping,
    labeller: Labeller,
    relabelling: Arc<Relabelling>,
    rulings: Rulings,
    pins: Pins,
    /// Patients by the tag that another member's next consent of theirs will have.
    expected: Mutex<BTreeMap<(MemberName, Tag), String>>,
    /// Consents that could not be fetched.
    lacking: AtomicUsize,
    outbox: watch::Receiver<OutboxStatus>,
    registrar: Registrar,
    background: Background,
    comparing: matching::Comparing,
    hearing: care_services::Hearing,
    linking: linkage::Linking,
    erasing: erasure::Erasing,
    /// By what codes are mapped on the way in.
    mapping: OnceLock<Vocabularies>,
}

impl std::fmt::Debug for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custody")
            .field("member", &self.0.home.member)
            .finish_non_exhaustive()
    }
}

impl Custody {
    /// Opens the records where the options say and goes on delivering what its outbox holds.
    pub fn open(options: CustodyOptions, anchor: Arc<dyn Anchor>) -> Result<Self, CustodyError> {
        Self::open_on(options, anchor, Disk)
    }

    fn open_on(
        options: CustodyOptions,
        anchor: Arc<dyn Anchor>,
        persist: impl Persist,
    ) -> Result<Self, CustodyError> {
        let store = Arc::new(Store::open(&options.records, persist)?);
        let keys = Keys::new(&options.root, &options.wrapping);
        let rewrapping = Rewrapping::read(&store, &keys)?;
        changes::fill(&store, &keys)?;
        let (member, network) = (options.member.clone(), anchor.network());
        let (status, outbox) = watch::channel(OutboxStatus::default());
        let delivery = Delivery {
            store: Arc::clone(&store),
            anchor: Arc::clone(&anchor),
            member: member.clone(),
            signer: options.signer.clone(),
            config: options.outbox.clone(),
            status,
        };
        let subjects = Subjects::new(
            Arc::clone(&store),
            Arc::clone(&keys),
            member.clone(),
            network,
        );
        let upstream = options.upstream.clone().map(Upstream::new).map(Arc::new);
        let payloads = Payloads::open_in(&options.blobs)?.before(upstream);
        let sweeper = Sweeper::new(&store, &keys, &payloads);
        let home = Home {
            member,
            network,
            types: Arc::new(Types::read(&store, &keys)?),
            accesses: Arc::new(Accesses::read(&store, &keys)?),
            keys,
            anchor: Arc::clone(&anchor),
        };
        let registrar = Registrar {
            store: Arc::clone(&store),
            home: home.clone(),
            subjects: subjects.clone(),
            turn: Arc::default(),
        };
        let background = Background::default();
        background.run(delivery.run());
        background.run(sweeper.run());
        background.run(registrar.clone().run(options.outbox.gather));
        let custody = Self(Arc::new(Inner {
            background,
            payloads,
            indexing: Indexing::read(&store, index_format(options.full_text))?,
            rewrapping,
            rulings: Rulings::default(),
            labeller: Labeller::new(options.label_rules.clone()),
            relabelling: Arc::default(),
            pins: Pins::default(),
            home,
            subjects,
            store,
            expected: Mutex::default(),
            lacking: AtomicUsize::new(0),
            outbox,
            registrar,
            comparing: matching::Comparing::default(),
            hearing: care_services::Hearing::default(),
            linking: linkage::Linking::default(),
            erasing: erasure::Erasing::default(),
            mapping: OnceLock::new(),
            anchor,
            options,
        }));
        custody.go_on()?;
        Ok(custody)
    }

    /// What is going on with the existing server; `None` without one.
    pub fn upstream(&self) -> Option<UpstreamStatus> {
        self.0.payloads.upstream().map(|upstream| upstream.status())
    }

    /// How far the index for searches is made.
    pub fn indexing(&self) -> IndexProgress {
        self.0.indexing.progress()
    }

    /// Makes the index for searches anew, beside everything else; searches use the one that is there meanwhile.
    pub async fn reindex(&self) -> Result<(), CustodyError> {
        self.make_index_anew().await
    }

    /// Whether searches find the words of everything (`_content`).
    pub fn keeps_full_text(&self) -> bool {
        self.0.options.full_text
    }

    /// What a resource is found by here.
    fn terms_of(&self, resource: &Resource) -> IndexTerms {
        if self.keeps_full_text() {
            IndexTerms::with_content(resource)
        } else {
            IndexTerms::of(resource)
        }
    }

    /// The time by which records are written, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.0.options.clock)()
    }

    /// What is on its way to the ledger.
    pub fn outbox(&self) -> OutboxStatus {
        *self.0.outbox.borrow()
    }

    /// Waits until the records cannot be written any more, because a sync failed: only a new start goes on.
    ///
    /// Drop it before the records: it holds them open.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.store.stopped()
    }

    /// Takes a patient's branches from the patient's wallet; returns the patient's id here.
    pub async fn enroll(
        &self,
        by: &Requester,
        enrolment: Enrolment,
    ) -> Result<String, CustodyError> {
        self.enroll_patient(by, enrolment).await
    }

    /// Writes all changes or none; they are durable when this returns.
    pub async fn write(
        &self,
        by: &Requester,
        changes: Vec<Change>,
    ) -> Result<Vec<Written>, CustodyError> {
        let changes = self.changes_within(by, self.mapped(changes)).await?;
        self.write_all(by, changes).await
    }

    /// Begins to write a Binary whose content arrives piece by piece.
    pub async fn upload(
        &self,
        by: &Requester,
        draft: BinaryDraft,
    ) -> Result<BinaryUpload, CustodyError> {
        self.begin_upload(by, draft).await
    }

    /// A Binary's content piece by piece: of one version, or of the current one.
    pub async fn download(
        &self,
        by: &Requester,
        id: &str,
        version: Option<u64>,
    ) -> Result<OpenedBinary, CustodyError> {
        let opened = self.open_binary(by, id, version).await;
        match ResourceType::parse("Binary") {
            Some(binary) => self.noting_absent(by, "read", (binary, id), opened).await,
            None => opened,
        }
    }

    /// The current version.
    pub async fn read(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Opened, CustodyError> {
        self.current_within(by, (resource_type, id)).await?;
        let opened = self.read_current(by, resource_type, id).await;
        let place = (resource_type, id);
        let opened = self.noting_absent(by, "read", place, opened).await?;
        self.within(by, opened)
    }

    /// One version.
    pub async fn vread(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<Opened, CustodyError> {
        self.version_within(by, (resource_type, id), version)
            .await?;
        let opened = self.read_version(by, resource_type, id, version).await;
        let place = (resource_type, id);
        let opened = self.noting_absent(by, "vread", place, opened).await?;
        self.within(by, opened)
    }

    /// All versions, the newest first.
    pub async fn history(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Vec<HistoryEntry>, CustodyError> {
        self.some_version_within(by, (resource_type, id)).await?;
        let versions = self.read_history(by, resource_type, id).await;
        let place = (resource_type, id);
        let versions = self.noting_absent(by, "history", place, versions).await?;
        self.versions_within(by, (resource_type, id), versions)
    }

    /// The version with its receipt, or that it is not final yet.
    pub async fn receipt(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<ReceiptState, CustodyError> {
        self.version_within(by, (resource_type, id), version)
            .await?;
        let exported = self.export(by, resource_type, id, version).await;
        let place = (resource_type, id);
        self.noting_absent(by, "receipt", place, exported).await
    }

    /// What this member may see of the patient.
    pub fn subject_view(&self, patient_id: &str) -> Result<SubjectView, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let branches = subject.branches.iter();
        Ok(SubjectView {
            patient_id: patient_id.to_owned(),
            branches: branches
                .flat_map(|(branch, keys)| keys.each().map(|one| (branch.clone(), one.key.clone())))
                .collect(),
            wallet_key: subject.wallet_key,
        })
    }

    /// This member's entries with these tags, sealed for the holders of their branches.
    pub fn descriptors(&self, tags: &[Tag]) -> Result<Vec<Option<SealedDescriptor>>, CustodyError> {
        self.sealed_descriptors(tags)
    }

    /// Puts a request to another member on record.
    pub async fn ask(&self, by: &Requester, ask: AccessAsk) -> Result<Asked, CustodyError> {
        self.ask_another(by, ask).await
    }

    /// Decides another member's request, document by document, and puts the decision on record.
    pub async fn answer(&self, request: &RemoteRequest) -> Result<RemoteAnswer, CustodyError> {
        self.answer_another(request).await
    }

    /// Consent entries of the patient that the ledger has and this member lacks.
    pub fn missing_consents(&self, patient_id: &str) -> Result<Vec<MissingConsent>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        self.missing(&*subject.ok_or(CustodyError::UnknownPatient)?)
    }

    /// Consent entries of all patients that the ledger has and this member lacks: patient, filing member and tag.
    pub fn overdue_consents(&self) -> Result<Vec<(String, MemberName, Tag)>, CustodyError> {
        self.overdue()
    }

    /// Notes how many consents that the ledger has could not be fetched.
    pub(crate) fn lack_consents(&self, count: usize) {
        self.0.lacking.store(count, Ordering::Relaxed);
    }

    /// How many consents that the ledger has could not be fetched when they were last asked for.
    pub fn consents_lacking(&self) -> usize {
        self.0.lacking.load(Ordering::Relaxed)
    }

    /// Whether every consent on the ledger is known here, of the patients whose documents have these index tags.
    pub fn knows_consents(&self, documents: &[Tag]) -> Result<bool, CustodyError> {
        self.knows_consents_for(documents)
    }

    /// The patient here whose next consent entry filed through `from` has this tag; none if it closes the stream.
    pub fn expects(&self, from: &MemberName, tag: Tag) -> Result<Option<String>, CustodyError> {
        let expected = self.0.expected().get(&(from.clone(), tag)).cloned();
        match expected {
            Some(patient_id) => self.still_expects(patient_id, from, tag),
            None => Ok(None),
        }
    }

    /// Consents filed through this member, sealed for the holders of their branches.
    pub async fn consents(&self, tags: &[Tag]) -> Result<Vec<Option<SealedConsent>>, CustodyError> {
        let mut sealed = Vec::with_capacity(tags.len());
        for sealing in self.sealed_consents(tags) {
            sealed.push(match sealing? {
                Some(sealing) => Some(self.seal_consent(sealing).await?),
                None => None,
            });
        }
        Ok(sealed)
    }

    /// Takes a consent entry that `from` filed; it must be final, the next one, and signed by the wallet.
    pub async fn adopt_consent(
        &self,
        patient_id: &str,
        from: &MemberName,
        consent: &SealedConsent,
    ) -> Result<(), CustodyError> {
        self.adopt(patient_id, from, consent).await
    }
}

impl Inner {
    fn expected(&self) -> MutexGuard<'_, BTreeMap<(MemberName, Tag), String>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
