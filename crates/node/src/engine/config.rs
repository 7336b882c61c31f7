//! Settings of one node, checked before anything starts.

use super::calendar::Calendar;
use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};
use thiserror::Error;
use zeroize::Zeroizing;

/// Largest header and body together that a network may allow.
pub const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;

/// Settings of one node's engine.
///
/// `namespace`, `epoch_blocks`, `max_peers`, `max_block_bytes` and `max_frame_bytes` must be the
/// same on all nodes, the first two as long as the network lives; `block_interval` should be the
/// same. Who validates is no setting: see [`Application::committee`](super::Application::committee).
#[derive(Clone)]
pub struct EngineConfig {
    /// Seed of the Ed25519 key with which this node authenticates its connections, and votes in
    /// the epochs in which it is a validator.
    pub seed: Zeroizing<[u8; 32]>,
    /// Address to bind.
    pub listen: SocketAddr,
    /// Directory that the engine alone writes to; it must survive restarts.
    pub directory: PathBuf,
    /// Network id; votes and connections of other networks are worthless here.
    pub namespace: Vec<u8>,
    /// Blocks of an epoch; validators change with the first block of one.
    pub epoch_blocks: u64,
    /// Most validators and followers of one epoch together; memory for the messages of so many is
    /// set aside.
    pub max_peers: usize,
    /// How long a proposer with nothing to propose waits before it proposes an empty block.
    pub block_interval: Duration,
    /// Largest header and body together.
    pub max_block_bytes: usize,
    /// Largest gossip frame.
    pub max_frame_bytes: usize,
    /// Gossip frames per second taken from one peer and sent to one peer.
    pub frames_per_second: u32,
    /// Threads of the engine's runtime.
    pub worker_threads: usize,
}

impl EngineConfig {
    /// Settings with the default limits and intervals.
    pub fn new(seed: [u8; 32], listen: SocketAddr, directory: PathBuf, namespace: Vec<u8>) -> Self {
        Self {
            seed: Zeroizing::new(seed),
            listen,
            directory,
            namespace,
            epoch_blocks: 1_000,
            max_peers: 32,
            block_interval: Duration::from_secs(1),
            max_block_bytes: 4 * 1024 * 1024,
            max_frame_bytes: 256 * 1024,
            frames_per_second: 4096,
            worker_threads: 2,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.namespace.is_empty() {
            return Err(ConfigError::NoNamespace);
        }
        if self.max_block_bytes == 0 || self.max_block_bytes > MAX_BLOCK_BYTES {
            return Err(ConfigError::BlockBytesOutOfRange);
        }
        if self.max_frame_bytes == 0 || self.max_frame_bytes > MAX_BLOCK_BYTES {
            return Err(ConfigError::FrameBytesOutOfRange);
        }
        if self.epoch_blocks < 2 {
            return Err(ConfigError::EpochTooShort);
        }
        if self.frames_per_second == 0 || self.worker_threads == 0 || self.max_peers == 0 {
            return Err(ConfigError::ZeroLimit);
        }
        Ok(())
    }

    pub(super) fn calendar(&self) -> Calendar {
        Calendar::new(self.epoch_blocks)
    }

    pub(super) fn timing(&self) -> Timing {
        Timing::for_interval(self.block_interval)
    }
}

/// Without the seed: settings end up in logs.
impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("listen", &self.listen)
            .field("directory", &self.directory)
            .field("epoch_blocks", &self.epoch_blocks)
            .field("block_interval", &self.block_interval)
            .field("max_block_bytes", &self.max_block_bytes)
            .finish_non_exhaustive()
    }
}

/// How long validators wait for a leader.
///
/// An idle leader keeps silent for a whole block interval, so each bound starts from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Until the proposal is here.
    pub(super) leader: Duration,
    /// Until the proposal is notarized and certified.
    pub(super) certification: Duration,
    /// After this long without a vote from a validator, its turns are skipped at once.
    pub(super) skip: Duration,
    /// Between repetitions of a vote to give a view up.
    pub(super) retry: Duration,
}

impl Timing {
    fn for_interval(interval: Duration) -> Self {
        Self {
            leader: interval + Duration::from_millis(400),
            certification: interval + Duration::from_millis(1200),
            skip: interval + Duration::from_millis(1300),
            retry: Duration::from_millis(500),
        }
    }
}

/// Why settings were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The seed gives no Ed25519 key.
    #[error("the seed of this node's key is unusable")]
    BadSeed,
    /// Votes would be valid on other networks.
    #[error("the namespace is empty")]
    NoNamespace,
    /// Zero, or over [`MAX_BLOCK_BYTES`].
    #[error("the block size limit is out of range")]
    BlockBytesOutOfRange,
    /// Zero, or over [`MAX_BLOCK_BYTES`].
    #[error("the gossip frame size limit is out of range")]
    FrameBytesOutOfRange,
    /// An epoch needs a block besides the one that ends it.
    #[error("an epoch has fewer than two blocks")]
    EpochTooShort,
    /// Nothing could pass.
    #[error("a rate, thread or peer count is zero")]
    ZeroLimit,
}
