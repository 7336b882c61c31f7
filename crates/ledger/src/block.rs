//! Blocks: the order of statements, and the roots of log and state after them.
//!
//! ```text
//! header = [ network, epoch, height, time, parent, validators, body, log root, log size, state root ]
//! body   = [ statement bytes, … ]
//! ```
//! A block's digest is the SHA-256 of its header; `body` in the header is the SHA-256 of the body.

use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};

use crate::codec::{self, DecodeError};
use crate::genesis::Genesis;
use crate::ids::{BlockTime, Digest, Epoch, Height, NetworkId};
use crate::limits::BLOCK_BYTES_MAX;
use crate::log;
use crate::state::StateRoot;

/// What validators agree on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The validator set's span.
    #[n(1)]
    pub epoch: Epoch,
    /// The block's number.
    #[n(2)]
    pub height: Height,
    /// Greater than the parent's.
    #[n(3)]
    pub time: BlockTime,
    /// The parent's digest.
    #[n(4)]
    pub parent: Digest,
    /// Digest of this and the next validator set.
    #[n(5)]
    pub validators: Digest,
    /// Digest of the body.
    #[n(6)]
    pub body: Digest,
    /// Root of the log after this block.
    #[n(7)]
    pub log_root: Digest,
    /// Statements in the log after this block.
    #[n(8)]
    pub log_size: u64,
    /// Root of the state after this block.
    #[n(9)]
    pub state_root: StateRoot,
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("block header", bytes)
    }

    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The block's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

/// A header and the statements that it orders, as submitted bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The statements, in order.
    pub statements: Vec<Vec<u8>>,
}

impl Block {
    /// The block that every member derives from the genesis.
    pub fn genesis(genesis: &Genesis) -> Self {
        let validators = genesis.validators();
        let header = Header {
            network: genesis.network(),
            epoch: Epoch(0),
            height: Height(0),
            time: genesis.time,
            parent: Digest([0; 32]),
            validators: validators.digest(&validators),
            body: Digest::of(&body_of::<Vec<u8>>(&[])),
            log_root: log::LogAppend::after(0)
                .root(&log::Empty)
                .unwrap_or(Digest([0; 32])),
            log_size: 0,
            state_root: StateRoot::EMPTY,
        };
        Self {
            header,
            statements: Vec::new(),
        }
    }

    /// Reads a block from its two parts, and checks that they belong together.
    pub fn decode(header: &[u8], body: &[u8]) -> Result<Self, DecodeError> {
        if body.len() > BLOCK_BYTES_MAX {
            return Err(DecodeError::TooLarge("block body"));
        }
        let header = Header::decode(header)?;
        if Digest::of(body) != header.body {
            return Err(DecodeError::Malformed("block body"));
        }
        let statements: Vec<ByteVec> = codec::decode("block body", body)?;
        Ok(Self {
            header,
            statements: statements.into_iter().map(Into::into).collect(),
        })
    }

    /// The statements' encoding.
    pub fn body(&self) -> Vec<u8> {
        body_of(&self.statements)
    }
}

/// Encodes statements as a block's body.
pub fn body_of<T: AsRef<[u8]>>(statements: &[T]) -> Vec<u8> {
    let statements = statements.iter().map(AsRef::as_ref);
    codec::encode(&statements.map(<&ByteSlice>::from).collect::<Vec<_>>())
}
