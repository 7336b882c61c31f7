//! Who validates in one epoch, and who else may connect.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Address, AddressableTrackedPeers};
use commonware_utils::ordered::{Map, Set};
use std::net::SocketAddr;
use thiserror::Error;

/// One validator of the network, or one that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Ed25519 public key, 32 bytes.
    pub public_key: [u8; 32],
    /// Where it listens for the others.
    pub address: SocketAddr,
}

/// Who takes part in one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committee {
    /// Who votes, ascending by public key.
    pub validators: Vec<Validator>,
    /// Who else may connect, fetch blocks and gossip, ascending by public key. Followers dial
    /// validators, not the other way round; one that validates too counts as a validator.
    pub followers: Vec<Validator>,
}

impl Committee {
    /// The voters in the order that numbers them.
    pub(super) fn voters(&self) -> Result<Set<PublicKey>, CommitteeError> {
        Ok(addresses(&self.validators)?.into_keys())
    }

    /// Everyone, for the network.
    pub(super) fn peers(
        &self,
        max_peers: usize,
    ) -> Result<AddressableTrackedPeers<PublicKey>, CommitteeError> {
        if self.validators.is_empty() {
            return Err(CommitteeError::NoValidators);
        }
        if self.validators.len() + self.followers.len() > max_peers {
            return Err(CommitteeError::TooManyPeers);
        }
        Ok(AddressableTrackedPeers::new(
            addresses(&self.validators)?,
            addresses(&self.followers)?,
        ))
    }
}

fn addresses(listed: &[Validator]) -> Result<Map<PublicKey, Address>, CommitteeError> {
    if !listed.is_sorted_by(|a, b| a.public_key < b.public_key) {
        return Err(CommitteeError::OutOfOrder);
    }
    let mut addresses = Vec::with_capacity(listed.len());
    for (number, one) in listed.iter().enumerate() {
        let key = PublicKey::decode(Copying(&one.public_key))
            .map_err(|_| CommitteeError::BadPublicKey(number))?;
        addresses.push((key, Address::from(one.address)));
    }
    addresses.try_into().map_err(|_| CommitteeError::OutOfOrder)
}

/// Why a committee cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommitteeError {
    /// The application names none though it has applied the block that decides it.
    #[error("the application names no committee")]
    Unknown,
    /// Nobody could vote.
    #[error("there are no validators")]
    NoValidators,
    /// More than the settings provide for.
    #[error("there are more validators and followers than the settings allow")]
    TooManyPeers,
    /// Signers are numbered by this order, so it is fixed and without repetition.
    #[error("validators are not in ascending order of their public keys")]
    OutOfOrder,
    /// A public key is not a point of the curve.
    #[error("validator {0} has no valid Ed25519 public key")]
    BadPublicKey(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};

    fn listed(count: u64) -> Vec<Validator> {
        let key = |seed| PrivateKey::from_seed(seed).public_key();
        let mut listed: Vec<_> = (0..count)
            .map(|seed| Validator {
                public_key: key(seed).as_ref().try_into().unwrap(),
                address: ([127, 0, 0, 1], 1).into(),
            })
            .collect();
        listed.sort_by_key(|one| one.public_key);
        listed
    }

    #[test]
    fn a_committee_that_cannot_be_numbered_or_connected_is_named() {
        let refused = |change: fn(&mut Committee)| {
            let mut committee = Committee {
                validators: listed(3),
                followers: Vec::new(),
            };
            assert!(committee.peers(4).is_ok());
            change(&mut committee);
            committee.peers(4).err()
        };
        let none = refused(|committee| committee.validators.clear());
        assert_eq!(none, Some(CommitteeError::NoValidators));
        let reversed = refused(|committee| committee.validators.reverse());
        assert_eq!(reversed, Some(CommitteeError::OutOfOrder));
        let crowd = refused(|committee| committee.followers = listed(2));
        assert_eq!(crowd, Some(CommitteeError::TooManyPeers));
        // No point of the curve has this y.
        let bad = refused(|committee| {
            committee.validators[0].public_key = [0; 32];
            committee.validators[0].public_key[0] = 2;
        });
        assert_eq!(bad, Some(CommitteeError::BadPublicKey(0)));
    }
}
