//! Genesis: the members and validators that a network starts with. Its digest names the network.

use minicbor::{Decode, Encode};

use crate::codec::{self, DecodeError};
use crate::ids::{BlockTime, Digest, MemberName, NetworkId};

/// An Ed25519 verification key, as its 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct PublicKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// An ML-DSA-44 public key (FIPS 204), as its 1,312 bytes.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct MlDsa44Key(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl MlDsa44Key {
    /// A key from its bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for MlDsa44Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MlDsa44Key({})", Digest::of(&self.0))
    }
}

/// A member organisation at genesis.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Its name.
    #[n(0)]
    pub name: MemberName,
    /// Its certification authority's certificate, DER.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub authority: Vec<u8>,
    /// Its node's certificate, DER.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub node: Vec<u8>,
    /// Its validator's key, if it runs one.
    #[n(3)]
    pub validator: Option<PublicKey>,
    /// With what its validator cosigns checkpoints besides, against quantum computers.
    #[n(4)]
    pub cosigner: Option<MlDsa44Key>,
}

/// What a network starts from. Members are in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// The network's name, for people.
    #[n(0)]
    pub name: String,
    /// The time of block 0.
    #[n(1)]
    pub time: BlockTime,
    /// The founding members.
    #[n(2)]
    pub members: Vec<Member>,
}

impl Genesis {
    /// Reads a genesis.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("genesis", bytes)
    }

    /// The genesis's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The network that this genesis founds.
    pub fn network(&self) -> NetworkId {
        NetworkId(Digest::of(&self.encode()))
    }

    /// The founding validators.
    pub fn validators(&self) -> ValidatorSet {
        let mut keys: Vec<_> = self
            .members
            .iter()
            .filter_map(|member| member.validator)
            .collect();
        keys.sort_unstable();
        ValidatorSet { keys }
    }
}

/// Validators in their canonical order: by key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorSet {
    /// The keys, ascending.
    #[n(0)]
    pub keys: Vec<PublicKey>,
}

impl ValidatorSet {
    /// Validators whose agreement finalises a block: n − ⌊(n − 1) / 3⌋.
    pub fn quorum(&self) -> usize {
        let faults = self.keys.len().saturating_sub(1) / 3;
        self.keys.len().saturating_sub(faults)
    }

    /// What a block header says of its own and of the next validator set.
    pub fn digest(&self, next: &Self) -> Digest {
        Digest::with_domain(
            "careledger/validators/v1",
            &[&codec::encode(self), &codec::encode(next)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p8_a_quorum_leaves_no_room_for_two_decisions() {
        for n in 1..=100_usize {
            let key = |at: usize| PublicKey([u8::try_from(at).unwrap(); 32]);
            let validators = ValidatorSet {
                keys: (0..n).map(key).collect(),
            };
            let faults = (n - 1) / 3;
            assert!(
                2 * validators.quorum() > n + faults,
                "two quorums share an honest validator"
            );
            assert!(
                validators.quorum() <= n - faults,
                "honest validators alone are a quorum"
            );
        }
    }
}
