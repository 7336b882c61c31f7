#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]
#![warn(clippy::float_arithmetic, clippy::indexing_slicing)]

pub mod block;
pub mod checkpoint;
pub mod codec;
mod cose;
pub mod dump;
pub mod fault;
pub mod finality;
pub mod genesis;
pub mod ids;
pub mod item;
pub mod log;
pub mod node_key;
pub mod receipt;
pub mod scitt;
mod signatures;
pub mod snapshot;
pub mod state;
pub mod statement;
pub mod stream;
pub mod succession;

/// Bounds of everything that arrives from outside.
pub mod limits {
    /// Items in one statement.
    pub const STATEMENT_ITEMS_MAX: usize = 1_024;
    /// Bytes of one submitted statement, items included.
    pub const STATEMENT_BYTES_MAX: usize = 96 * 1024;
    /// Bytes of the statements of one block.
    pub const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;
    /// Items of one block: what validators can execute well within a view's timeout.
    pub const BLOCK_ITEMS_MAX: usize = 4_096;
    /// Heights after which a statement that was not finalised may no longer be.
    pub const STATEMENT_LIFETIME_HEIGHTS: u64 = 10_000;
    /// Milliseconds by which a block's time may be ahead of a validator's clock.
    pub const CLOCK_AHEAD_MS_MAX: u64 = 2_000;
    /// Milliseconds of block time between two checkpoints of the log.
    pub const CHECKPOINT_INTERVAL_MS: u64 = 100;
    /// Members that are heard at a time: what nodes set memory for connections aside for.
    pub const MEMBERS_MAX: usize = 64;
    /// Bytes of a member's name.
    pub const MEMBER_NAME_BYTES_MAX: usize = 32;
}
