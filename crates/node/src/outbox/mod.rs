//! The outbox: items on their way to the ledger, each delivered once whatever fails in between.
//!
//! Items arrive in the batch that holds their rows. At each beat of the cadence the oldest go into a statement, mixed
//! and padded. Its exact bytes are durable before they are sent, and are sent again until the ledger has them; only
//! when a statement can no longer be accepted are its items signed anew. What is final leaves the outbox.

mod batch;
mod delivery;

use std::sync::Arc;
use std::time::Duration;

use ledger::ids::{Digest, MemberName};
use ledger::node_key::{Algorithm, SigningNode};

pub use batch::SIZES;
pub(crate) use delivery::{Delivery, StatementRow};

/// How items leave.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// The time between two statements.
    pub cadence: Duration,
    /// How long requests of one user about one patient gather for an entry of their own in the access history.
    pub gather: Duration,
    /// Statements that may be under way at once, sent in order.
    pub in_flight_max: usize,
    /// Heights that a statement may take before it is signed anew.
    pub lifetime_heights: u64,
    /// The wait before the same bytes are sent again; doubles each time, up to 16 times as long.
    pub retry: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            cadence: Duration::from_millis(50),
            gather: Duration::from_millis(250),
            in_flight_max: 8,
            lifetime_heights: 5_000,
            retry: Duration::from_secs(2),
        }
    }
}

/// How much is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Statements that were sent and are not final.
    pub in_flight: usize,
    /// Statements that broke a rule of the ledger, and wait for somebody to look.
    pub stopped: usize,
}

/// What signs this member's statements: asked each time, for certificates are renewed.
#[derive(Clone)]
pub struct Signer(Arc<dyn Fn() -> Speaker + Send + Sync>);

/// A certificate, and the key that it names.
#[derive(Clone)]
pub struct Speaker {
    /// SHA-256 of the node's certificate.
    pub certificate: Digest,
    /// How its key signs.
    pub algorithm: Algorithm,
    /// The signature of the bytes, by the certificate's key.
    pub sign: SignBytes,
}

impl Speaker {
    /// This certificate as one of `member`.
    pub fn of<'a>(&self, member: &'a MemberName) -> SigningNode<'a> {
        SigningNode {
            member,
            certificate: self.certificate,
            algorithm: self.algorithm,
        }
    }
}

/// Signs bytes with a key that stays where it is.
pub type SignBytes = Arc<dyn Fn(&[u8]) -> Result<[u8; 64], CannotSign> + Send + Sync>;

/// The key store does not sign.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the key store does not sign: {0}")]
pub struct CannotSign(pub String);

impl Signer {
    /// A signer that asks who speaks.
    pub fn following(speaker: impl Fn() -> Speaker + Send + Sync + 'static) -> Self {
        Self(Arc::new(speaker))
    }

    /// Who speaks now.
    pub fn speaker(&self) -> Speaker {
        (self.0)()
    }
}

impl From<Speaker> for Signer {
    /// Always the same.
    fn from(speaker: Speaker) -> Self {
        Self::following(move || speaker.clone())
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.speaker()).finish()
    }
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
