//! What `bench ledger` tells a validator to do, a line of JSON each, and what it answers.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Task {
    /// Submit statements until all are final; answers [`Submitted`].
    Submit(Load),
    /// Submit as much as the ledger takes for so many seconds; answers [`Flooded`].
    Flood(f64),
    /// Make receipts and verify them on one core; answers [`Proven`].
    Prove,
    /// Wait for a height; answers [`Reached`].
    Reach(u64),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) statements: u32,
    pub(super) items_per_statement: u16,
    /// Statements under way at once.
    pub(super) window: usize,
    /// Statements that one validator submits in a second; as many as it can, if none.
    pub(super) per_second: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Submitted {
    pub(super) seconds: f64,
    /// Milliseconds from submission to the block's being applied here, of each statement.
    pub(super) latencies_ms: Vec<f64>,
    /// Of the statements.
    pub(super) bytes: u64,
    pub(super) height: u64,
    /// Of the chain's rows.
    pub(super) disk_bytes: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Flooded {
    /// Items that the node took.
    pub(super) items: u64,
    /// Statements that it refused.
    pub(super) refused: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Proven {
    /// Receipts made in a second.
    pub(super) made_per_s: f64,
    /// Receipts decoded and verified in a second.
    pub(super) verified_per_s: f64,
    /// Of a receipt, on average.
    pub(super) bytes: f64,
    /// Statements in the log.
    pub(super) log_size: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) height: u64,
}
