//! The block as consensus carries it: opaque except for its place in the chain.

use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Decode as _, Encode as _, EncodeSize, Error, FixedSize as _, MaxEncodeSize as _, RangeCfg,
    Read, ReadExt as _, Write,
};
use commonware_consensus::{Block as ConsensusBlock, BoundedBlock, Heightable, types::Height};
use commonware_cryptography::{
    Digestible, Hasher as _, Sha256,
    sha256::{self, Digest as Sha256Digest},
};
use std::fmt;

/// Most bytes that the length prefix of a byte string takes.
const LENGTH_PREFIX: usize = 5;

/// A block as the engine carries it: `header` is the ledger's header, `body` the rest.
///
/// The digest that validators vote on is SHA-256 of the header bytes alone. Height, parent and
/// body are therefore only as good as the header that states them: see
/// [`Application::binds`](super::Application::binds).
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    height: u64,
    parent: [u8; 32],
    header: Bytes,
    body: Bytes,
    digest: [u8; 32],
}

impl Block {
    /// Puts a block together; `parent` is the digest of the parent's header.
    pub fn new(height: u64, parent: [u8; 32], header: Bytes, body: Bytes) -> Self {
        let digest = Sha256::hash(&[&header]).0;
        Self {
            height,
            parent,
            header,
            body,
            digest,
        }
    }

    /// Number of blocks before this one; genesis has height zero.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Digest of the parent's header; all zeroes for genesis by convention.
    pub fn parent(&self) -> [u8; 32] {
        self.parent
    }

    /// The ledger's header.
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// All that is not header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// SHA-256 of the header.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Bytes of header and body together, which the configured limit bounds.
    pub fn size(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("height", &self.height)
            .field("digest", &Sha256Digest(self.digest))
            .field("header_bytes", &self.header.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a decoder accepts: no larger than the limit, and bound together by the header.
#[derive(Clone, Copy)]
pub struct BlockRules {
    pub(super) max_bytes: usize,
    pub(super) binds: fn(&Block) -> bool,
}

impl fmt::Debug for BlockRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockRules")
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl BlockRules {
    /// Whether a block built here would be decoded by others.
    pub(super) fn accept(&self, block: &Block) -> bool {
        block.size() <= self.max_bytes && (self.binds)(block)
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        Height::new(self.height).write(buf);
        Sha256Digest(self.parent).write(buf);
        self.header.write(buf);
        self.body.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        Height::new(self.height).encode_size()
            + Sha256Digest::SIZE
            + self.header.encode_size()
            + self.body.encode_size()
    }
}

impl Read for Block {
    type Cfg = BlockRules;

    fn read_cfg(buf: &mut impl Buf, rules: &Self::Cfg) -> Result<Self, Error> {
        let height = Height::read(buf)?.get();
        let parent = Sha256Digest::read(buf)?.0;
        let header = Bytes::read_cfg(buf, &RangeCfg::from(..=rules.max_bytes))?;
        let body = Bytes::read_cfg(buf, &RangeCfg::from(..=rules.max_bytes - header.len()))?;
        let block = Self::new(height, parent, header, body);
        if !(rules.binds)(&block) {
            return Err(Error::Invalid(
                "Block",
                "header does not bind height, parent and body",
            ));
        }
        Ok(block)
    }
}

/// Reads a block as the engine does and writes it again, for the targets in `fuzz/`.
#[doc(hidden)]
pub fn reread_block(bytes: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let rules = BlockRules {
        max_bytes,
        binds: |_| true,
    };
    let block = Block::decode_cfg(Bytes::copy_from_slice(bytes), &rules).ok()?;
    Some(block.encode().into())
}

impl Digestible for Block {
    type Digest = sha256::Digest;

    fn digest(&self) -> Self::Digest {
        Sha256Digest(self.digest)
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.height)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Self::Digest {
        Sha256Digest(self.parent)
    }
}

impl BoundedBlock for Block {
    fn max_encode_size(rules: &Self::Cfg) -> usize {
        Height::MAX_ENCODE_SIZE + Sha256Digest::SIZE + 2 * LENGTH_PREFIX + rules.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY: BlockRules = BlockRules {
        max_bytes: 64,
        binds: |_| true,
    };

    fn block(header: &[u8], body: &[u8]) -> Block {
        Block::new(
            7,
            [1; 32],
            Bytes::copy_from_slice(header),
            Bytes::copy_from_slice(body),
        )
    }

    #[test]
    fn digest_covers_the_header_only() {
        assert_eq!(block(b"h", b"a").digest(), block(b"h", b"b").digest());
        assert_ne!(block(b"h", b"a").digest(), block(b"i", b"a").digest());
    }

    #[test]
    fn size_limit_is_exact() {
        let fits = block(&[0; 60], &[0; 4]);
        assert!(Block::decode_cfg(fits.encode(), &ANY).is_ok());
        assert!(Block::decode_cfg(block(&[0; 60], &[0; 5]).encode(), &ANY).is_err());
        assert!(Block::decode_cfg(block(&[0; 65], &[]).encode(), &ANY).is_err());
        assert!(fits.encode().len() <= Block::max_encode_size(&ANY));
    }

    #[test]
    fn a_body_that_the_header_does_not_bind_is_not_decoded() {
        let rules = BlockRules {
            max_bytes: 64,
            binds: |block| block.header() == block.body(),
        };
        assert!(Block::decode_cfg(block(b"same", b"same").encode(), &rules).is_ok());
        assert!(Block::decode_cfg(block(b"same", b"sane").encode(), &rules).is_err());
    }

    proptest! {
        #[test]
        fn decoding_is_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(block) = Block::decode_cfg(bytes.clone(), &ANY) {
                prop_assert_eq!(block.encode().to_vec(), bytes);
            }
        }

        #[test]
        fn encoding_round_trips(height: u64, header in proptest::collection::vec(any::<u8>(), 0..32),
                                body in proptest::collection::vec(any::<u8>(), 0..32)) {
            let block = Block::new(height, [9; 32], header.into(), body.into());
            prop_assert_eq!(Block::decode_cfg(block.encode(), &ANY).unwrap(), block);
        }
    }
}
