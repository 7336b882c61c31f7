//! Settings of one validator, checked before anything starts.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};
use thiserror::Error;

/// Largest header and body together that a network may allow.
pub const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;

/// One validator of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Ed25519 public key, 32 bytes.
    pub public_key: [u8; 32],
    /// Where the validator listens for the others.
    pub address: SocketAddr,
}

/// Settings of the engine of one validator.
///
/// `namespace`, `validators`, `max_block_bytes` and `max_frame_bytes` must be the same on all
/// validators; `block_interval` should be.
#[derive(Clone)]
pub struct EngineConfig {
    /// Seed of the Ed25519 key with which this validator votes and authenticates connections.
    pub seed: [u8; 32],
    /// All validators, ascending by public key.
    pub validators: Vec<Validator>,
    /// Address to bind.
    pub listen: SocketAddr,
    /// Directory that the engine alone writes to; it must survive restarts.
    pub directory: PathBuf,
    /// Network id; votes and connections of other networks are worthless here.
    pub namespace: Vec<u8>,
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
    pub fn new(
        seed: [u8; 32],
        validators: Vec<Validator>,
        listen: SocketAddr,
        directory: PathBuf,
        namespace: Vec<u8>,
    ) -> Self {
        Self {
            seed,
            validators,
            listen,
            directory,
            namespace,
            block_interval: Duration::from_secs(1),
            max_block_bytes: 4 * 1024 * 1024,
            max_frame_bytes: 256 * 1024,
            frames_per_second: 4096,
            worker_threads: 2,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.validators.is_empty() {
            return Err(ConfigError::NoValidators);
        }
        if self.validators.len() > usize::from(u16::MAX) {
            return Err(ConfigError::TooManyValidators);
        }
        if !self
            .validators
            .is_sorted_by(|a, b| a.public_key < b.public_key)
        {
            return Err(ConfigError::ValidatorsOutOfOrder);
        }
        if self.namespace.is_empty() {
            return Err(ConfigError::NoNamespace);
        }
        if self.max_block_bytes == 0 || self.max_block_bytes > MAX_BLOCK_BYTES {
            return Err(ConfigError::BlockBytesOutOfRange);
        }
        if self.max_frame_bytes == 0 || self.max_frame_bytes > MAX_BLOCK_BYTES {
            return Err(ConfigError::FrameBytesOutOfRange);
        }
        if self.frames_per_second == 0 || self.worker_threads == 0 {
            return Err(ConfigError::ZeroLimit);
        }
        Ok(())
    }

    pub(super) fn timing(&self) -> Timing {
        Timing::for_interval(self.block_interval)
    }
}

/// Without the seed: settings end up in logs.
impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("validators", &self.validators)
            .field("listen", &self.listen)
            .field("directory", &self.directory)
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
            leader: interval + Duration::from_millis(500),
            certification: interval + Duration::from_millis(1500),
            skip: interval + Duration::from_millis(2000),
            retry: Duration::from_millis(500),
        }
    }
}

/// Why settings were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The list of validators is empty.
    #[error("there are no validators")]
    NoValidators,
    /// A signer's number must fit 16 bits.
    #[error("there are more than 65535 validators")]
    TooManyValidators,
    /// Signers are numbered by this order, so it is fixed and without repetition.
    #[error("validators are not in ascending order of their public keys")]
    ValidatorsOutOfOrder,
    /// A public key is not a point of the curve.
    #[error("validator {0} has no valid Ed25519 public key")]
    BadPublicKey(usize),
    /// The public key of `seed` is not in the list.
    #[error("this node's key is not among the validators")]
    NotAValidator,
    /// Votes would be valid on other networks.
    #[error("the namespace is empty")]
    NoNamespace,
    /// Zero, or over [`MAX_BLOCK_BYTES`].
    #[error("the block size limit is out of range")]
    BlockBytesOutOfRange,
    /// Zero, or over [`MAX_BLOCK_BYTES`].
    #[error("the gossip frame size limit is out of range")]
    FrameBytesOutOfRange,
    /// Nothing could pass.
    #[error("a rate or thread count is zero")]
    ZeroLimit,
}
