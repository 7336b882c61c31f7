//! The outbox: items on their way to the ledger, each delivered once whatever fails in between.

use std::sync::Arc;
use std::time::Duration;

use ledger::ids::Digest;

/// How items leave.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// The time between two statements.
    pub cadence: Duration,
    /// Statements that may be under way at once; more in flight is more throughput, never another order.
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
            in_flight_max: 8,
            lifetime_heights: 5_000,
            retry: Duration::from_secs(2),
        }
    }
}

/// What signs this member's statements.
#[derive(Clone)]
pub struct Signer {
    /// SHA-256 of the node's certificate.
    pub certificate: Digest,
    /// The Ed25519 signature of the bytes, by the node's key.
    pub sign: SignBytes,
}

/// Signs bytes with a key that stays where it is.
pub type SignBytes = Arc<dyn Fn(&[u8]) -> Result<[u8; 64], CannotSign> + Send + Sync>;

/// The key store does not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key store does not sign: {0}")]
pub struct CannotSign(pub String);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
