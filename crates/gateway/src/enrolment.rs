//! How a wallet hands branch keys to a member: CBOR, sealed with HPKE to the member's key.
//!
//! ```text
//! plaintext = [ [branch name, 32-byte key, epoch], … ]       deterministic CBOR; no epoch means 0
//! info      = "careledger/enrolment/v1" ‖ network id (32)    the wallet key (32) is the AAD
//! sealed    = encapsulated key (32) ‖ ciphertext             base64 in the request
//! ```
//! The info binds the sealed keys to the network, the AAD to the wallet: they cannot be passed off
//! as those of another wallet.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger::ids::NetworkId;
use ledger::stream::{BranchKey, GrantedBranch, KeyEpoch};
use minicbor::{Decode, Encode};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// More branches than this in one request are refused.
const BRANCHES_MAX: usize = 1_024;

type Open = dyn Fn(&[u8], &[u8], &[u8]) -> Option<Zeroizing<Vec<u8>>> + Send + Sync;

/// The member's HPKE key, wherever it is kept: opens what was sealed to it, or to the one before.
#[derive(Clone)]
pub struct MemberKey {
    public: Arc<dyn Fn() -> Option<[u8; 32]> + Send + Sync>,
    open: Arc<Open>,
}

/// Why branches are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BranchesError {
    #[error("the branches are not sealed to this member, for this network, by this wallet")]
    NotForThisMember,
    #[error("the sealed branches are not a list of names and keys")]
    Malformed,
    #[error("there are no branches, or more than 1024")]
    Count,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
struct GrantedRow {
    #[n(0)]
    name: String,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    key: [u8; 32],
    #[n(2)]
    epoch: Option<KeyEpoch>,
}

impl MemberKey {
    /// A key of which `public` gives the public part, X25519, to which wallets seal now, and that `open` uses: it gets info,
    /// AAD, and the encapsulated key before the ciphertext.
    pub fn new(
        public: impl Fn() -> Option<[u8; 32]> + Send + Sync + 'static,
        open: impl Fn(&[u8], &[u8], &[u8]) -> Option<Zeroizing<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            public: Arc::new(public),
            open: Arc::new(open),
        }
    }

    /// The public part, base64url, to which wallets seal now; `None` while the key store fails.
    pub(crate) fn published(&self) -> Option<String> {
        (self.public)().map(|key| URL_SAFE_NO_PAD.encode(key))
    }

    /// The branches that a wallet sealed to this member.
    pub(crate) fn open_branches(
        &self,
        network: NetworkId,
        wallet_key: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Vec<GrantedBranch>, BranchesError> {
        let plain = (self.open)(&info(network), wallet_key, sealed)
            .ok_or(BranchesError::NotForThisMember)?;
        decode(&plain)
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey(..)")
    }
}

/// The HPKE info under which a wallet seals branches.
pub fn info(network: NetworkId) -> Vec<u8> {
    [b"careledger/enrolment/v1".as_slice(), &network.0.0].concat()
}

/// The plaintext that a wallet seals.
pub fn encode(branches: &[GrantedBranch]) -> Zeroizing<Vec<u8>> {
    let granted: Vec<GrantedRow> = branches
        .iter()
        .map(|granted| GrantedRow {
            name: granted.branch.name(),
            key: *granted.key.expose(),
            epoch: (granted.epoch > 0).then_some(granted.epoch),
        })
        .collect();
    Zeroizing::new(ledger::codec::encode(&granted))
}

fn decode(plain: &[u8]) -> Result<Vec<GrantedBranch>, BranchesError> {
    let granted: Vec<GrantedRow> = minicbor::decode(plain).map_err(|_| BranchesError::Malformed)?;
    if granted.is_empty() || granted.len() > BRANCHES_MAX {
        return Err(BranchesError::Count);
    }
    let branches = granted.iter().map(|granted| {
        Ok(GrantedBranch {
            branch: granted.name.parse().map_err(|_| BranchesError::Malformed)?,
            epoch: granted.epoch.unwrap_or(0),
            key: BranchKey::from_bytes(granted.key),
        })
    });
    branches.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::Digest;

    #[test]
    fn branches_round_trip_and_nothing_else_is_taken() {
        let network = NetworkId(Digest([7; 32]));
        let branches = vec![
            GrantedBranch {
                branch: "index/clinic".parse().unwrap(),
                epoch: 0,
                key: BranchKey::from_bytes([1; 32]),
            },
            GrantedBranch {
                branch: "consent/clinic".parse().unwrap(),
                epoch: 7,
                key: BranchKey::from_bytes([2; 32]),
            },
        ];
        let key = MemberKey::new(
            || None,
            move |info, aad, sealed| {
                let is_right = info == self::info(network) && aad == [3; 32];
                is_right.then(|| Zeroizing::new(sealed.to_vec()))
            },
        );
        let sealed = encode(&branches);
        assert!(key.open_branches(network, &[3; 32], &sealed) == Ok(branches));
        let refused =
            |wallet: [u8; 32], sealed: &[u8]| key.open_branches(network, &wallet, sealed).err();
        assert_eq!(
            refused([4; 32], &sealed),
            Some(BranchesError::NotForThisMember)
        );
        assert_eq!(refused([3; 32], &encode(&[])), Some(BranchesError::Count));
        assert_eq!(refused([3; 32], b"rubbish"), Some(BranchesError::Malformed));
    }
}
