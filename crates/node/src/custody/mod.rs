//! Custody: the records that this member holds.
//!
//! Every opening is decided, recorded durably, and only then answered. Every version that is written, and every
//! access, is an item on its way to the ledger through the [`crate::outbox`].

mod anchor;
mod error;
mod request;

use std::path::PathBuf;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::search::Query;
use ledger::ids::{MemberName, Tag};
use ledger::stream::{BranchKey, RootKey};

use crate::chain::Clock;
use crate::outbox::{OutboxConfig, Signer};

pub use anchor::Anchor;
pub use error::CustodyError;
pub use request::{
    AccessAsk, AccessEntry, Asked, Change, Enrolment, Everything, Granted, HistoryEntry,
    MissingConsent, Opened, ReceiptState, RemoteAnswer, RemoteRequest, Requester, SealedConsent,
    SealedDescriptor, SearchPage, SignedConsent, SubjectView, Withheld, WithheldDocument, Written,
};

/// What custody needs from the node.
#[derive(Clone)]
pub struct CustodyOptions {
    /// The folder of the record store.
    pub directory: PathBuf,
    /// This member.
    pub member: MemberName,
    /// The member's own root, from its key store: wraps keys, names rows, and is the root of its directory.
    pub root: RootKey,
    /// What signs statements.
    pub signer: Signer,
    /// How items leave.
    pub outbox: OutboxConfig,
    /// Milliseconds since 1970.
    pub clock: Clock,
}

/// A handle to the records; clones share it.
#[derive(Clone)]
pub struct Custody(Arc<Inner>);

struct Inner {
    options: CustodyOptions,
    anchor: Arc<dyn Anchor>,
}

impl Custody {
    /// Opens the records in the options' folder and goes on delivering what its outbox holds.
    pub async fn open(
        options: CustodyOptions,
        anchor: Arc<dyn Anchor>,
    ) -> Result<Self, CustodyError> {
        Ok(Self(Arc::new(Inner { options, anchor })))
    }

    /// Takes a patient's branches from the patient's wallet; returns the patient's id here.
    pub async fn enroll(
        &self,
        by: &Requester,
        enrolment: Enrolment,
    ) -> Result<String, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Writes all changes or none; they are durable when this returns.
    pub async fn write(
        &self,
        by: &Requester,
        changes: Vec<Change>,
    ) -> Result<Vec<Written>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// The current version.
    pub async fn read(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Opened, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// One version.
    pub async fn vread(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<Opened, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// All versions, the newest first.
    pub async fn history(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Vec<HistoryEntry>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// What matches `query` among the documents that the requester may see.
    pub async fn search(&self, by: &Requester, query: &Query) -> Result<SearchPage, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// The patient's documents at this member.
    pub async fn local_everything(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Everything, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// The version with its receipt, or that it is not final yet.
    pub async fn receipt(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<ReceiptState, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Who asked this member, or asked through it, about the patient whose token this is.
    pub async fn access_history(&self, by: &Requester) -> Result<Vec<AccessEntry>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Destroys the keys of all versions of a document, then its rows and payloads; says so on the ledger.
    pub async fn erase(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Written, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// What this member may see of the patient.
    pub async fn subject_view(&self, patient_id: &str) -> Result<SubjectView, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// This member's entries with these tags, sealed for the holders of their branches.
    pub async fn descriptors(
        &self,
        tags: &[Tag],
    ) -> Result<Vec<Option<SealedDescriptor>>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Puts a request to another member on record.
    pub async fn ask(&self, by: &Requester, ask: AccessAsk) -> Result<Asked, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Decides another member's request, document by document, and puts the decision on record.
    pub async fn answer(&self, request: &RemoteRequest) -> Result<RemoteAnswer, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Consent entries of the patient that the ledger has and this member lacks.
    pub async fn missing_consents(
        &self,
        patient_id: &str,
    ) -> Result<Vec<MissingConsent>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// The patient here whose next consent entry filed through `from` has this tag.
    pub fn expects(&self, from: &MemberName, tag: Tag) -> Option<String> {
        None
    }

    /// Consents filed through this member, sealed for the holders of their branches.
    pub async fn consents(&self, tags: &[Tag]) -> Result<Vec<Option<SealedConsent>>, CustodyError> {
        Err(CustodyError::NotFound)
    }

    /// Takes a consent entry that `from` filed; it must be final, the next one, and signed by the wallet.
    pub async fn adopt_consent(
        &self,
        patient_id: &str,
        from: &MemberName,
        consent: &SealedConsent,
    ) -> Result<(), CustodyError> {
        Err(CustodyError::NotFound)
    }
}

/// A descriptor with what opens its item's commitment.
#[derive(Clone)]
pub struct OpenDescriptor {
    /// The descriptor's bytes.
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    pub opening: ledger::item::Opening,
}

/// Opens a sealed descriptor with its branch's key.
pub fn open_descriptor(
    key: &BranchKey,
    sealed: &SealedDescriptor,
) -> Result<OpenDescriptor, CustodyError> {
    Err(CustodyError::NotFound)
}

/// Opens a payload that another member granted; returns the content.
pub fn open_payload(granted: &Granted) -> Result<Vec<u8>, CustodyError> {
    Err(CustodyError::NotFound)
}
