//! Snapshots: what a node that joins takes over from others, and trusts no further than the genesis leads.
//!
//! ```text
//! genesis ─succession→ validators ─sign→ header H ─┬ log root   ← leaf hashes, all of them
//!                                                  └ state root ← entries of the state, all of them
//! ```
//! The state only grows and says where in the log a tag was used, so the state at `H` is what has its place among the
//! first `log size` statements: whoever serves it keeps no old tree. A page proves nothing by itself; the roots that the
//! whole leads to do.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::block::Header;
use crate::codec::{self, DecodeError};
use crate::finality::{FinalityCertificate, FinalityError};
use crate::genesis::Genesis;
use crate::ids::{Digest, Height};
use crate::log::LOG_SIZE_MAX;
use crate::scitt::RootSignature;
use crate::succession::{Succession, SuccessionError, Transition, Validators};

/// Leaf hashes of one page.
pub const LEAVES_MAX: usize = 8_192;
/// Entries of the state of one page.
pub const ENTRIES_MAX: usize = 8_192;
/// Bytes of the statements of one page.
pub const STATEMENTS_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of any answer: what a reader takes from a stranger before it gives up.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A snapshot that a node serves: the block that it is of, and all that leads there from the genesis.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    /// The block.
    #[n(0)]
    pub block: Final,
    /// Changes of validators up to its epoch, the oldest first.
    #[n(1)]
    pub transitions: Vec<Transition>,
    /// The last block of the epoch before; absent in the first epoch.
    #[n(2)]
    pub boundary: Option<Final>,
    /// The registry of members after the block; absent while it is the one of the genesis.
    #[n(3)]
    pub registry: Option<ByteVec>,
    /// Validators' signatures under the log root: the block is a checkpoint.
    #[n(4)]
    pub signatures: Vec<RootSignature>,
    /// From which height on the node that offers keeps the bodies of all blocks.
    #[n(5)]
    pub kept_from: Height,
}

/// A header and what makes it final.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Final {
    /// The header.
    #[n(0)]
    pub header: Header,
    /// That it is final.
    #[n(1)]
    pub finality: FinalityCertificate,
}

/// Leaf hashes of the log, in order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LeafPage {
    /// The hashes.
    #[n(0)]
    pub leaves: Vec<Digest>,
}

/// Entries of the state, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StatePage {
    /// The entries.
    #[n(0)]
    pub entries: Vec<Entry>,
    /// Where the next page begins; absent on the last.
    #[n(1)]
    pub next: Option<EntryKey>,
}

/// Where an entry stands in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct EntryKey(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub [u8; 32],
);

/// An entry of the state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Its key.
    #[n(0)]
    pub key: EntryKey,
    /// Its value: a place in the log, or the digest of a registry.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub value: Vec<u8>,
}

/// Statements of one member, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StatementPage {
    /// Final blocks that cover them, ascending.
    #[n(0)]
    pub blocks: Vec<Final>,
    /// The statements.
    #[n(1)]
    pub statements: Vec<LoggedStatement>,
    /// From which index of the log the next page goes on; absent on the last.
    #[n(2)]
    pub next: Option<u64>,
}

/// A statement with its place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LoggedStatement {
    /// Its index in the log.
    #[n(0)]
    pub index: u64,
    /// Which of the page's blocks is the first whose log holds it.
    #[n(1)]
    pub block: u32,
    /// The submitted statement, items included.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub statement: Vec<u8>,
}

/// Where an offer fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// A header is of another network.
    #[error("the snapshot is of another network")]
    OtherNetwork,
    /// The header's epoch is not the one of its height.
    #[error("the header of the snapshot is not of the epoch of its height")]
    OtherEpoch,
    /// The header speaks of more statements than a log holds.
    #[error("the log of the snapshot is longer than a log may be")]
    LogTooLong,
    /// The validators do not follow from the genesis.
    #[error("the succession: {0}")]
    Succession(#[from] SuccessionError),
    /// A header is not final.
    #[error("the header of the snapshot is not final: {0}")]
    NotFinal(#[from] FinalityError),
    /// The last block of the epoch before is missing, or is another one.
    #[error("the last block of the epoch before is missing or another one")]
    OtherBoundary,
}

impl Offer {
    /// Reads an offer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bounded("snapshot", bytes)
    }

    /// The offer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks all that needs neither log nor state: that the headers are final by validators that follow from `genesis`.
    pub fn verify(&self, genesis: &Genesis) -> Result<Validators, OfferError> {
        let rules = genesis.rules();
        let header = &self.block.header;
        if header.network != genesis.network() {
            return Err(OfferError::OtherNetwork);
        }
        if header.epoch != rules.epoch_of(header.height) {
            return Err(OfferError::OtherEpoch);
        }
        if header.log_size > LOG_SIZE_MAX {
            return Err(OfferError::LogTooLong);
        }
        let succession = Succession {
            transitions: self.transitions.clone(),
            registry: None,
        };
        let validators = succession.verify(genesis)?;
        validators.verify(header, &self.block.finality)?;
        match (&self.boundary, header.epoch.0.checked_sub(1)) {
            (None, None) => {}
            (Some(boundary), Some(before)) => {
                let last = &boundary.header;
                let is_last = rules.is_last_of_epoch(last.height)
                    && rules.epoch_of(last.height) == last.epoch
                    && last.epoch.0 == before
                    && last.network == header.network;
                if !is_last {
                    return Err(OfferError::OtherBoundary);
                }
                validators.verify(last, &boundary.finality)?;
            }
            _ => return Err(OfferError::OtherBoundary),
        }
        Ok(validators)
    }
}

impl LeafPage {
    /// Reads a page.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bounded("page of leaf hashes", bytes)
    }

    /// The page's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

impl StatePage {
    /// Reads a page.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bounded("page of the state", bytes)
    }

    /// The page's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

impl StatementPage {
    /// Reads a page.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bounded("page of statements", bytes)
    }

    /// The page's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

fn bounded<T>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    if bytes.len() > ANSWER_BYTES_MAX {
        return Err(DecodeError::TooLarge(what));
    }
    codec::decode(what, bytes)
}
