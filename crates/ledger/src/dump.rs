//! Dumps: every block of a ledger in one file, for whoever checks or studies it offline.
//!
//! ```text
//! dump  = start block block …               a CBOR sequence (RFC 8742), blocks from height 1 upwards
//! start = [ "careledger-dump-v1", network ]
//! block = [ header, [ statement bytes, … ], finality certificate ]     (the last field may be absent)
//! ```
//! Block 0 follows from the genesis and is not written. A block without a certificate is final through a later one
//! that has one, so a dump ends with a certified block.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};

use crate::block::{Block, Header};
use crate::codec::{self, DecodeError};
use crate::finality::FinalityCertificate;
use crate::ids::NetworkId;

/// The first word of every dump.
pub const FORMAT: &str = "careledger-dump-v1";

/// One block of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedBlock {
    /// Header and statements.
    pub block: Block,
    /// That it is final, where the dumping member has a certificate of this very block.
    pub finality: Option<FinalityCertificate>,
}

/// Reads a dump block by block; after an error it yields nothing more.
#[derive(Debug, Clone)]
pub struct Dump<'a> {
    network: NetworkId,
    rest: &'a [u8],
}

#[derive(Encode, Decode)]
struct Start {
    #[n(0)]
    format: String,
    #[n(1)]
    network: NetworkId,
}

#[derive(Encode, Decode)]
struct Entry {
    #[n(0)]
    header: Header,
    #[n(1)]
    statements: Vec<ByteVec>,
    #[n(2)]
    finality: Option<FinalityCertificate>,
}

/// What a dump of `network` starts with.
pub fn start(network: NetworkId) -> Vec<u8> {
    codec::encode(&Start {
        format: FORMAT.to_owned(),
        network,
    })
}

/// What is appended to a dump for each block.
pub fn entry(block: &Block, finality: Option<&FinalityCertificate>) -> Vec<u8> {
    codec::encode(&Entry {
        header: block.header.clone(),
        statements: block.statements.iter().cloned().map(Into::into).collect(),
        finality: finality.cloned(),
    })
}

impl<'a> Dump<'a> {
    /// Reads a dump's start.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let what = "start of the dump";
        let (start, rest) = split(what, bytes)?;
        let start: Start = codec::decode(what, start)?;
        if start.format != FORMAT {
            return Err(DecodeError::Malformed(what));
        }
        Ok(Self {
            network: start.network,
            rest,
        })
    }

    /// The network that the dump says it is of.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    fn read_block(&mut self) -> Result<DumpedBlock, DecodeError> {
        let what = "block of the dump";
        let (entry, rest) = split(what, self.rest)?;
        let entry: Entry = codec::decode(what, entry)?;
        self.rest = rest;
        Ok(DumpedBlock {
            block: Block {
                header: entry.header,
                statements: entry.statements.into_iter().map(Into::into).collect(),
            },
            finality: entry.finality,
        })
    }
}

impl Iterator for Dump<'_> {
    type Item = Result<DumpedBlock, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read_block();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

/// The first CBOR item of a sequence, and what follows it.
fn split<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    let mut decoder = Decoder::new(bytes);
    decoder.skip().map_err(|_| DecodeError::Malformed(what))?;
    bytes
        .split_at_checked(decoder.position())
        .ok_or(DecodeError::Malformed(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesis::Genesis;
    use crate::ids::{BlockTime, Digest};
    use proptest::prelude::*;

    fn block() -> Block {
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(1),
            members: vec![],
            rules: None,
        };
        let mut block = Block::genesis(&genesis);
        block.statements = vec![vec![1, 2, 3], vec![]];
        block
    }

    fn certificate() -> FinalityCertificate {
        FinalityCertificate {
            epoch: 0,
            view: 1,
            parent_view: 0,
            block: Digest([7; 32]),
            votes: vec![],
        }
    }

    fn dump() -> Vec<u8> {
        let network = NetworkId(Digest([1; 32]));
        [
            start(network),
            entry(&block(), None),
            entry(&block(), Some(&certificate())),
        ]
        .concat()
    }

    #[test]
    fn a_dump_reads_as_it_was_written() {
        let bytes = dump();
        let read = Dump::read(&bytes).unwrap();
        assert_eq!(read.network(), NetworkId(Digest([1; 32])));
        let blocks: Vec<_> = read.map(Result::unwrap).collect();
        let [first, second] = blocks.as_slice() else {
            panic!("two blocks")
        };
        assert_eq!((&first.block, &first.finality), (&block(), &None));
        assert_eq!(second.finality, Some(certificate()));
    }

    #[test]
    fn a_cut_dump_ends_with_an_error() {
        let bytes = dump();
        let whole = Dump::read(&bytes).unwrap().count();
        let cut = &bytes[..bytes.len() - 1];
        let read: Vec<_> = Dump::read(cut).unwrap().collect();
        assert_eq!(read.len(), whole);
        assert!(read.last().unwrap().is_err());
        let mut other = bytes.clone();
        other[4] ^= 1;
        assert!(Dump::read(&other).is_err(), "another format");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_in_an_error_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let dump = [start(NetworkId(Digest([1; 32]))), bytes].concat();
            prop_assert!(Dump::read(&dump).unwrap().last().unwrap().is_err());
        }
    }
}
