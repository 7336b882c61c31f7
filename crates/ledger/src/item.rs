//! Items: 64 bytes that commit to one entry of a patient's record.
//!
//! ```text
//! byte  0 .. 16   tag   of the first stream
//! byte 16 .. 32   tag   of the second stream, or random
//! byte 32 .. 64   commitment = SHA-256 over domain, network, member, opening, descriptor digest
//! ```

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ids::{Digest, MemberName, NetworkId, Tag};

/// Bytes of an item.
pub const ITEM_BYTES: usize = 64;

/// The secret without which a commitment says nothing about what it commits to.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(transparent)]
pub struct Opening(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// In a time that does not tell where they differ.
impl PartialEq for Opening {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Opening {}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(..)")
    }
}

/// One entry of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// The positions that the entry takes in its streams.
    pub tags: [Tag; 2],
    /// What the entry commits to.
    pub commitment: Digest,
}

impl Item {
    /// Commits `member` to the descriptor with digest `descriptor`.
    pub fn commit(
        network: NetworkId,
        member: &MemberName,
        tags: [Tag; 2],
        opening: &Opening,
        descriptor: Digest,
    ) -> Self {
        let commitment = Digest::with_domain(
            "careledger/item/v1",
            &[
                &network.0.0,
                member.as_str().as_bytes(),
                &opening.0,
                &descriptor.0,
            ],
        );
        Self { tags, commitment }
    }

    /// Whether the item commits `member` to `descriptor` under `opening`.
    pub fn opens_to(
        &self,
        network: NetworkId,
        member: &MemberName,
        opening: &Opening,
        descriptor: Digest,
    ) -> bool {
        *self == Self::commit(network, member, self.tags, opening, descriptor)
    }

    /// The item's 64 bytes.
    pub fn to_bytes(&self) -> [u8; ITEM_BYTES] {
        let mut bytes = [0; ITEM_BYTES];
        let [first, second] = &self.tags;
        let parts = first.0.iter().chain(&second.0).chain(&self.commitment.0);
        bytes
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Reads an item; any 64 bytes are one.
    pub fn from_bytes(bytes: &[u8; ITEM_BYTES]) -> Self {
        let (first, rest) = bytes.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let (second, rest) = rest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let commitment = rest.first_chunk::<32>().unwrap_or(&[0; 32]);
        Self {
            tags: [Tag(*first), Tag(*second)],
            commitment: Digest(*commitment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_round_trip(low in any::<[u8; 32]>(), high in any::<[u8; 32]>()) {
            let mut bytes = [0; ITEM_BYTES];
            bytes[..32].copy_from_slice(&low);
            bytes[32..].copy_from_slice(&high);
            prop_assert_eq!(Item::from_bytes(&bytes).to_bytes(), bytes);
        }

        #[test]
        fn p1_a_commitment_opens_only_with_its_opening(
            opening in any::<[u8; 32]>(), other in any::<[u8; 32]>(), descriptor in any::<[u8; 32]>(),
        ) {
            let network = NetworkId(Digest([0; 32]));
            let member: MemberName = "clinic".parse().unwrap();
            let tags = [Tag([1; 16]), Tag([2; 16])];
            let item = Item::commit(network, &member, tags, &Opening(opening), Digest(descriptor));
            prop_assert!(item.opens_to(network, &member, &Opening(opening), Digest(descriptor)));
            prop_assert_eq!(
                item.opens_to(network, &member, &Opening(other), Digest(descriptor)),
                other == opening
            );
            let copied_by: MemberName = "payer".parse().unwrap();
            prop_assert!(!item.opens_to(network, &copied_by, &Opening(opening), Digest(descriptor)));
        }
    }
}
