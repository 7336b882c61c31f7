//! Erasure: keys are destroyed at every holder, each signs that it has done so, and the gap stays on the ledger.
//!
//! 1. [`begin`]: in one batch the erase keys and rows of versions go, a version may say that the document is gone, and
//!    an erasure item is put on its way to the ledger. A legal hold or the retention schedule may forbid it.
//! 2. [`standing`]: the home rewrites its key table and deletes payloads, then signs; the exchange asks the other
//!    holders until each has signed. A stop in between is gone on from.
//! 3. [`certificate`]: receipts and acknowledgements become one file.
//! 4. [`replay`]: records that were put back from a backup lose again what was erased since, before they are read.

mod begin;
mod certificate;
mod hold;
mod replay;
mod retention;
mod rows;
mod standing;

use std::sync::PoisonError;
use std::sync::RwLock;

use contracts::erasure::Basis;
use interop::fhir::ResourceType;
use ledger::ids::MemberName;
use tokio::sync::{Mutex, Notify, watch};

pub use hold::{Hold, HoldOrder, HoldScope};
pub use replay::ReplayState;
pub use retention::{RetentionRule, RetentionSchedule};
pub(crate) use standing::{DueErasure, ErasureNotice, erasure_in};

/// What is to be erased.
#[derive(Clone, PartialEq, Eq)]
pub enum ToErase {
    /// All versions of a document.
    Document(ResourceType, String),
    /// Some versions of a document.
    Versions(ResourceType, String, Vec<u64>),
    /// All documents of a patient (local id), but for consents that a wallet signed.
    Patient(String),
    /// Documents whose time by the schedule has run out and that nothing holds, so many at most.
    Expired(usize),
}

/// An erasure that is asked for.
#[derive(Clone)]
pub struct ErasureOrder {
    /// What.
    pub what: ToErase,
    /// The legal basis.
    pub basis: Basis,
    /// Who has the authority.
    pub authority: String,
    /// Why, in words.
    pub justification: String,
    /// Whether it is because something should not have been filed.
    pub is_redaction: bool,
}

/// An erasure, and how far it is.
#[derive(Clone)]
pub struct Erasure {
    /// Its number at its document.
    pub number: u64,
    /// FHIR type.
    pub resource_type: String,
    /// FHIR logical id.
    pub id: String,
    /// The versions that were erased.
    pub versions: Vec<u64>,
    /// The version that says that the document is gone.
    pub tombstone: Option<u64>,
    /// Whether it is a redaction.
    pub is_redaction: bool,
    /// The legal basis, by its code.
    pub basis: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Whether the erasure's item is final.
    pub is_final: bool,
    /// Who has to acknowledge, the home first.
    pub holders: Vec<Holder>,
}

/// Somebody who has to acknowledge an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: MemberName,
    /// When it says that it destroyed what it held, milliseconds since 1970.
    pub acknowledged_ms: Option<u64>,
    /// How often it was asked in vain.
    pub attempts: u32,
    /// Why it has not acknowledged.
    pub problem: Option<String>,
}

/// How many erasures there are, and who is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasureStanding {
    /// Erasures that not every holder has acknowledged.
    pub open: u64,
    /// Members that have not acknowledged one, and how many.
    pub missing: Vec<(MemberName, u64)>,
}

/// What goes on with erasures in memory.
pub(super) struct Erasing {
    /// One at a time, so that no hold comes between the check and the erasure.
    turn: Mutex<()>,
    /// Wakes whoever asks holders.
    begun: Notify,
    standing: watch::Sender<ErasureStanding>,
    schedule: RwLock<RetentionSchedule>,
    replay: watch::Sender<ReplayState>,
}

impl Default for Erasing {
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            begun: Notify::new(),
            standing: watch::Sender::default(),
            schedule: RwLock::default(),
            replay: watch::Sender::new(ReplayState::Serving),
        }
    }
}

impl Erasing {
    fn schedule(&self) -> RetentionSchedule {
        self.schedule
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
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

redacted!(ToErase, ErasureOrder, Erasure);
