//! Finality certificates: 2f + 1 validators' signatures that a block is final.
//!
//! Each validator's Ed25519 signature (RFC 8032, verified by the rules of ZIP 215) covers
//!
//! ```text
//! varint(length of N) ‖ N ‖ varint(epoch) ‖ varint(view) ‖ varint(parent view) ‖ block digest
//! N = network id ‖ "_FINALIZE"          varint = LEB128, least significant group first
//! ```
//! which is the consensus engine's finalize vote; nothing of the engine is needed to check it.

use std::collections::BTreeSet;

use ed25519_zebra::{Signature, VerificationKey};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::genesis::{PublicKey, ValidatorSet};
use crate::ids::{Digest, NetworkId};
use crate::signatures::Signatures;

/// Signatures over one block's digest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FinalityCertificate {
    /// The engine's epoch.
    #[n(0)]
    pub epoch: u64,
    /// The view in which the block was finalised.
    #[n(1)]
    pub view: u64,
    /// The view of its parent.
    #[n(2)]
    pub parent_view: u64,
    /// The block's digest.
    #[n(3)]
    pub block: Digest,
    /// Validators by their index in the set, ascending, and their signatures.
    #[n(4)]
    pub votes: Vec<Vote>,
}

/// One validator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    /// The validator's index in the set.
    #[n(0)]
    pub validator: u16,
    /// Its signature.
    #[n(1)]
    pub signature: ByteArray<64>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FinalityError {
    /// It is for another block.
    #[error("the finality certificate is for another block")]
    OtherBlock,
    /// It is of another epoch than the block.
    #[error("the finality certificate is of another epoch than the block")]
    OtherEpoch,
    /// Fewer validators than a quorum signed.
    #[error("the finality certificate has fewer votes than a quorum")]
    NoQuorum,
    /// A vote is by nobody in the set, or counted twice.
    #[error("the finality certificate counts a vote of no validator, or one twice")]
    VoteOfNoValidator,
    /// A signature does not verify.
    #[error("the vote of validator {0} does not verify")]
    VoteInvalid(u16),
}

impl Vote {
    /// Whether it is that validator's signature under `message`, which is [`FinalityCertificate::signed_bytes`].
    pub fn verify(&self, validators: &ValidatorSet, message: &[u8]) -> Result<(), FinalityError> {
        VerificationKey::try_from(self.key(validators)?.0)
            .and_then(|key| key.verify(&Signature::from(*self.signature), message))
            .map_err(|_| FinalityError::VoteInvalid(self.validator))
    }

    fn key(&self, validators: &ValidatorSet) -> Result<PublicKey, FinalityError> {
        let key = validators.keys.get(usize::from(self.validator));
        key.copied().ok_or(FinalityError::VoteOfNoValidator)
    }
}

impl FinalityCertificate {
    /// Whether a quorum of `validators` finalised `block` on `network`.
    pub fn verify(
        &self,
        network: NetworkId,
        validators: &ValidatorSet,
        block: Digest,
    ) -> Result<(), FinalityError> {
        Signatures::check(|signatures| self.add_votes((network, block), validators, signatures))
    }

    /// The same, with the votes' signatures left to be checked with others.
    pub(crate) fn add_votes<E: From<FinalityError>>(
        &self,
        (network, block): (NetworkId, Digest),
        validators: &ValidatorSet,
        signatures: &mut Signatures<E>,
    ) -> Result<(), FinalityError> {
        if self.block != block {
            return Err(FinalityError::OtherBlock);
        }
        let voters: BTreeSet<u16> = self.votes.iter().map(|vote| vote.validator).collect();
        if voters.len() != self.votes.len() {
            return Err(FinalityError::VoteOfNoValidator);
        }
        if voters.len() < validators.quorum() {
            return Err(FinalityError::NoQuorum);
        }
        let message = self.signed_bytes(network);
        for vote in &self.votes {
            let key = vote.key(validators)?;
            let signature = Signature::from(*vote.signature);
            let invalid = FinalityError::VoteInvalid(vote.validator);
            signatures.add_ed25519(key.0.into(), (&message, signature), invalid.into());
        }
        Ok(())
    }

    /// What each vote signs.
    pub fn signed_bytes(&self, network: NetworkId) -> Vec<u8> {
        let namespace = [network.0.0.as_slice(), b"_FINALIZE"].concat();
        let mut bytes = Vec::new();
        varint(
            u64::try_from(namespace.len()).unwrap_or(u64::MAX),
            &mut bytes,
        );
        bytes.extend(namespace);
        for number in [self.epoch, self.view, self.parent_view] {
            varint(number, &mut bytes);
        }
        bytes.extend(self.block.0);
        bytes
    }
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    loop {
        let group = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(group);
            return;
        }
        bytes.push(group | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_zebra::SigningKey;

    const NETWORK: NetworkId = NetworkId(Digest([1; 32]));
    const BLOCK: Digest = Digest([2; 32]);

    fn network_of_four() -> (Vec<SigningKey>, ValidatorSet) {
        let mut keys: Vec<_> = (1..=4).map(|n| SigningKey::from_bytes(&[n; 32])).collect();
        let public = |key: &SigningKey| PublicKey(VerificationKey::from(key).into());
        keys.sort_by_key(public);
        let set = ValidatorSet {
            keys: keys.iter().map(public).collect(),
        };
        (keys, set)
    }

    fn certificate(keys: &[SigningKey], voters: &[u16]) -> FinalityCertificate {
        let mut certificate = FinalityCertificate {
            epoch: 0,
            view: 300,
            parent_view: 299,
            block: BLOCK,
            votes: vec![],
        };
        let message = certificate.signed_bytes(NETWORK);
        certificate.votes = voters
            .iter()
            .map(|at| Vote {
                validator: *at,
                signature: keys[usize::from(*at) % 4].sign(&message).to_bytes().into(),
            })
            .collect();
        certificate
    }

    #[test]
    fn p8_a_certificate_needs_a_quorum_of_different_validators() {
        let (keys, set) = network_of_four();
        let verify = |voters: &[u16]| certificate(&keys, voters).verify(NETWORK, &set, BLOCK);
        assert_eq!(verify(&[0, 1, 2]), Ok(()));
        assert_eq!(verify(&[0, 1, 2, 3]), Ok(()));
        assert_eq!(verify(&[0, 3]), Err(FinalityError::NoQuorum));
        assert_eq!(verify(&[0, 1, 1]), Err(FinalityError::VoteOfNoValidator));
        assert_eq!(verify(&[0, 1, 4]), Err(FinalityError::VoteOfNoValidator));
    }

    #[test]
    fn a_certificate_is_for_one_block_and_one_network() {
        let (keys, set) = network_of_four();
        let certificate = certificate(&keys, &[1, 2, 3]);
        let other = Digest([3; 32]);
        assert_eq!(
            certificate.verify(NETWORK, &set, other),
            Err(FinalityError::OtherBlock)
        );
        let elsewhere = certificate.verify(NetworkId(other), &set, BLOCK);
        assert_eq!(elsewhere, Err(FinalityError::VoteInvalid(1)));
    }
}
