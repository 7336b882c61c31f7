//! Genesis: the members and validators that a network starts with. Its digest names the network.

use minicbor::{Decode, Encode};

use crate::codec::{self, DecodeError};
use crate::ids::{BlockTime, Digest, Epoch, Height, MemberName, NetworkId};

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

/// Who signs as a validator, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatory {
    /// The member.
    pub member: MemberName,
    /// The key of its votes.
    pub vote: PublicKey,
    /// The key of its cosignatures besides.
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
    /// How the network is governed; the default if absent.
    #[n(3)]
    pub rules: Option<Rules>,
}

/// How a network is governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Rules {
    /// Blocks of an epoch: the validator set changes between two of them. For the life of the network.
    #[n(0)]
    pub epoch_blocks: u64,
    /// Blocks for which a proposal can be voted on.
    #[n(1)]
    pub proposal_blocks: u64,
    /// What admits, suspends and removes members, and replaces their authorities.
    #[n(2)]
    pub members: Threshold,
    /// What changes the validators.
    #[n(3)]
    pub validators: Threshold,
    /// What changes policies, these rules and the format of the software.
    #[n(4)]
    pub settings: Threshold,
    /// How fast each member may submit items; unbounded if absent.
    #[n(5)]
    pub quota: Option<Quota>,
}

/// How fast a member may submit items. Validators refuse what is beyond it; blocks are not judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Quota {
    /// In the long run.
    #[n(0)]
    pub items_per_second: u32,
    /// At once, after a rest.
    #[n(1)]
    pub burst_items: u32,
}

impl Quota {
    /// Whether it lets anything pass.
    pub fn is_sound(self) -> bool {
        self.items_per_second > 0 && self.burst_items > 0
    }
}

/// The part of the active members that has to be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Threshold {
    /// Of the fraction.
    #[n(0)]
    pub numerator: u16,
    /// Of the fraction.
    #[n(1)]
    pub denominator: u16,
}

impl Threshold {
    /// Whether `approvals` of `members` are more than this part.
    pub fn is_exceeded(self, approvals: usize, members: usize) -> bool {
        approvals.saturating_mul(self.denominator.into())
            > members.saturating_mul(self.numerator.into())
    }

    /// Whether it is a fraction below one.
    pub fn is_sound(self) -> bool {
        self.numerator < self.denominator
    }
}

impl Default for Rules {
    fn default() -> Self {
        let two_thirds = Threshold {
            numerator: 2,
            denominator: 3,
        };
        Self {
            epoch_blocks: 1_000,
            proposal_blocks: 100_000,
            members: two_thirds,
            validators: two_thirds,
            settings: two_thirds,
            quota: None,
        }
    }
}

impl Rules {
    /// The epoch of a height: each has the same number of blocks, and genesis belongs to the first.
    pub fn epoch_of(&self, height: Height) -> Epoch {
        Epoch(height.0.checked_div(self.epoch_blocks).unwrap_or(0))
    }

    /// Whether the block at `height` is the last of its epoch.
    pub fn is_last_of_epoch(&self, height: Height) -> bool {
        self.epoch_of(height) != self.epoch_of(height.next())
    }

    /// Whether a network can live by them.
    pub fn are_sound(&self) -> bool {
        let thresholds = [self.members, self.validators, self.settings];
        self.epoch_blocks > 1
            && self.proposal_blocks > 0
            && thresholds.into_iter().all(Threshold::is_sound)
            && self.quota.is_none_or(Quota::is_sound)
    }
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

    /// How the network is governed at first.
    pub fn rules(&self) -> Rules {
        self.rules.unwrap_or_default()
    }

    /// The founding validators, by name.
    pub fn signatories(&self) -> Vec<Signatory> {
        let members = self.members.iter();
        let signatory = |member: &Member| {
            Some(Signatory {
                member: member.name.clone(),
                vote: member.validator?,
                cosigner: member.cosigner.clone(),
            })
        };
        members.filter_map(signatory).collect()
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

/// How many of `validators` finalise a block: n − ⌊(n − 1) / 3⌋.
pub fn quorum(validators: usize) -> usize {
    let faults = validators.saturating_sub(1) / 3;
    validators.saturating_sub(faults)
}

/// Validators in their canonical order: by key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorSet {
    /// The keys, ascending.
    #[n(0)]
    pub keys: Vec<PublicKey>,
}

impl ValidatorSet {
    /// Validators whose agreement finalises a block.
    pub fn quorum(&self) -> usize {
        quorum(self.keys.len())
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
