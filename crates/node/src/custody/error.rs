//! Why custody refuses or fails.

use interop::fhir::Issue;

/// Why custody did not do what was asked. Holds no patient data.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// No such document, or none of whose existence the requester may know.
    #[error("no such document")]
    NotFound,
    /// The version asked for was erased.
    #[error("the version was erased")]
    Gone,
    /// The version asked for deletes the document.
    #[error("the document was deleted")]
    Deleted {
        /// The version that deletes it.
        version: u64,
        /// When it was written, milliseconds since 1970.
        last_updated_ms: u64,
    },
    /// A legal hold forbids to erase it.
    #[error("the legal hold {hold} of {authority} forbids to erase this")]
    Held {
        /// The hold.
        hold: String,
        /// Who asked for it.
        authority: String,
    },
    /// The retention schedule forbids to erase it yet.
    #[error(
        "the retention rule `{rule}` keeps this until {until_ms} (ms since 1970), and {basis} does not override it"
    )]
    Retained {
        /// The rule.
        rule: String,
        /// Until when, milliseconds since 1970.
        until_ms: u64,
        /// The legal basis that was given.
        basis: &'static str,
    },
    /// The decision was to deny; it is on record.
    #[error("denied: {reason}")]
    Denied {
        /// Why.
        reason: String,
        /// The policies that determined it.
        determining: Vec<String>,
    },
    /// The change names a version that is no longer current.
    #[error("the current version is {current}")]
    VersionConflict {
        /// The current version.
        current: u64,
    },
    /// The change names a version of a document that does not exist.
    #[error("the document that the precondition names does not exist")]
    PreconditionFailed,
    /// The change is for a document that must not exist yet.
    #[error("there is a document with this id")]
    Exists,
    /// The resource names a patient that this member does not know.
    #[error("the resource names a patient that is not known here")]
    UnknownPatient,
    /// The consent cannot be enforced.
    #[error("the consent cannot be enforced: {reason} at {element}")]
    RefusedConsent {
        /// The element at fault, as simple FHIRPath.
        element: String,
        /// Why.
        reason: String,
    },
    /// The patient's wallet did not sign the consent.
    #[error("a consent of this patient takes the signature of the patient's wallet")]
    ConsentNotSigned,
    /// The change or the enrolment breaks a rule.
    #[error("{}", .0.diagnostics)]
    Invalid(Issue),
    /// The existing server no longer holds what was anchored: it was changed there under the same version, or is gone.
    #[error("the existing server no longer holds what was anchored")]
    Diverged,
    /// The existing server has a version that this node had not seen.
    #[error("the existing server has a newer version: read it, then write again")]
    Overtaken,
    /// The existing server does not do what it was asked.
    #[error("the existing server did not do what it was asked; it answered {status}")]
    RefusedUpstream {
        /// The status of its answer.
        status: u16,
    },
    /// Something that is needed does not answer; ask again later.
    #[error("{what} is unavailable")]
    Unavailable {
        /// What.
        what: &'static str,
    },
    /// A payload is not what was stored: it must come back from a backup.
    #[error("blob {0} is missing or damaged")]
    DamagedBlob(vault::blob::BlobId),
    /// Nothing can be written until there is room.
    #[error("the disk is full: nothing was written")]
    DiskFull,
    /// The store is damaged or cannot be written.
    #[error("the record store failed: {0}")]
    Storage(String),
}

impl From<crate::chain::StoreError> for CustodyError {
    fn from(error: crate::chain::StoreError) -> Self {
        tracing::error!(%error, "the chain's store failed");
        Self::Unavailable { what: "the ledger" }
    }
}
