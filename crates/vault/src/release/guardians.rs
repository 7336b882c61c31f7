//! A wallet's root as its guardians can give it back.
//!
//! The guardians are a committee that the patient deals: the root is sealed to it, and each guardian has a share. To give
//! the root back, a guardian gives its part in opening this one root, sealed to the new wallet. The share itself never
//! leaves it.
//!
//! # Invariants
//! - **U1** Fewer than k guardians open nothing, whatever else they have.
//! - **U2** Other guardians, or the same ones once more, have shares of another key: old shares open nothing of it.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::committee::{Committee, KeyShare, PartialRelease, SealedToCommittee, deal};
use super::{MEMBERS_MAX, ReleaseError};
use crate::wrap::{HpkeKeyPair, HpkePublicKey, WrappedKey, wrap_for};

/// Who guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guardian {
    /// The guardian's wallet's Ed25519 key, by which it is known.
    pub key: [u8; 32],
    /// Where its share is sealed to.
    pub recipient: HpkePublicKey,
}

/// A root under guard. Noise to whoever has not k guardians.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct GuardedRoot {
    #[n(0)]
    k: u32,
    #[n(1)]
    number: u64,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    committee: Vec<u8>,
    #[n(3)]
    root: SealedToCommittee,
    #[n(4)]
    shares: Vec<SealedShare>,
    /// What the patient had before this root, sealed under it; noise here.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    former: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct SealedShare {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    guardian: [u8; 32],
    #[n(1)]
    share: WrappedKey,
}

impl GuardedRoot {
    /// Puts `root` under guard; `number` counts how often the patient has done so.
    pub fn seal(
        root: &[u8; 32],
        number: u64,
        k: u32,
        guardians: &[Guardian],
    ) -> Result<Self, ReleaseError> {
        let keys: Vec<_> = guardians.iter().map(|one| one.key).collect();
        let (committee, shares) = deal(k, &keys)?;
        let bytes = committee.encode();
        let identity = identity(number, &bytes);
        let shares = guardians.iter().map(|guardian| {
            let share = shares.get(&guardian.key);
            let share = share.ok_or(ReleaseError::NoShare)?.encode();
            let sealed = wrap_for(
                &guardian.recipient,
                &share_info(&identity),
                &guardian.key,
                &share,
            );
            Ok(SealedShare {
                guardian: guardian.key,
                share: sealed.map_err(|_| ReleaseError::Malformed("guardian's key"))?,
            })
        });
        Ok(Self {
            k,
            number,
            root: committee.seal(&identity, root)?,
            shares: shares.collect::<Result<_, ReleaseError>>()?,
            committee: bytes,
            former: None,
        })
    }

    /// The same, with what the patient had before this root, sealed under it.
    #[must_use]
    pub fn with_former(self, former: Option<Vec<u8>>) -> Self {
        Self { former, ..self }
    }

    /// What the patient had before this root, sealed under it.
    pub fn former(&self) -> Option<&[u8]> {
        self.former.as_deref()
    }

    /// A guardian's part in opening the root, for the new wallet and the request with `digest` alone.
    pub fn approve(
        &self,
        (guardian, keys): (&[u8; 32], &HpkeKeyPair),
        (request, recipient): (&[u8; 32], &HpkePublicKey),
    ) -> Result<WrappedKey, ReleaseError> {
        let committee = self.committee()?;
        let identity = identity(self.number, &self.committee);
        let mut shares = self.shares.iter();
        let sealed = shares.find(|one| one.guardian == *guardian);
        let sealed = sealed.ok_or(ReleaseError::NoShare)?;
        let share = keys.unwrap(&share_info(&identity), guardian, &sealed.share);
        let share = KeyShare::decode(&share.map_err(|_| ReleaseError::NoShare)?)?;
        // Whoever sealed it may have sealed something else.
        if !share.is_of(&committee, guardian) {
            return Err(ReleaseError::WrongShare);
        }
        let part = share.give(&identity);
        wrap_for(recipient, &approval_info(&identity), request, &part.0)
            .map_err(|_| ReleaseError::Malformed("wallet's key"))
    }

    /// The root, with the parts of k guardians. A part that is wrong is left out, and named with the error if the rest
    /// does not suffice.
    pub fn recover(
        &self,
        request: &[u8; 32],
        keys: &HpkeKeyPair,
        approvals: &[([u8; 32], WrappedKey)],
    ) -> Result<Zeroizing<[u8; 32]>, ReleaseError> {
        let committee = self.committee()?;
        let identity = identity(self.number, &self.committee);
        let mut parts = BTreeMap::new();
        for (guardian, sealed) in approvals {
            let Ok(part) = keys.unwrap(&approval_info(&identity), request, sealed) else {
                continue;
            };
            let part = PartialRelease(part.to_vec());
            if committee.check(guardian, &identity, &part).is_ok() {
                parts.insert(*guardian, part);
            }
        }
        committee.open(&identity, &self.root, &parts)
    }

    /// How many guardians it takes.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// How often the patient had put a root under guard.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn committee(&self) -> Result<Committee, ReleaseError> {
        if self.shares.len() > MEMBERS_MAX {
            return Err(ReleaseError::NoSuchCommittee);
        }
        Committee::decode(self.k, &self.committee)
    }
}

impl std::fmt::Debug for GuardedRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedRoot")
            .field("k", &self.k)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Another set-up is another identity, under another key.
fn identity(number: u64, committee: &[u8]) -> Vec<u8> {
    [
        b"careledger/guardians/v1".as_slice(),
        &number.to_be_bytes(),
        committee,
    ]
    .concat()
}

fn share_info(identity: &[u8]) -> Vec<u8> {
    [b"share of ".as_slice(), identity].concat()
}

fn approval_info(identity: &[u8]) -> Vec<u8> {
    [b"approval of ".as_slice(), identity].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::MemberKey;

    const ROOT: [u8; 32] = [3; 32];
    const REQUEST: [u8; 32] = [4; 32];

    struct Circle {
        guardians: Vec<(Guardian, HpkeKeyPair)>,
        wallet: HpkeKeyPair,
    }

    impl Circle {
        fn of(n: usize) -> Self {
            let guardian = |_| {
                let keys = HpkeKeyPair::generate();
                let guardian = Guardian {
                    key: MemberKey::generate().public(),
                    recipient: keys.public_key(),
                };
                (guardian, keys)
            };
            Self {
                guardians: (0..n).map(guardian).collect(),
                wallet: HpkeKeyPair::generate(),
            }
        }

        fn guards(&self, number: u64, k: u32) -> GuardedRoot {
            let guardians: Vec<_> = self.guardians.iter().map(|one| one.0).collect();
            GuardedRoot::seal(&ROOT, number, k, &guardians).unwrap()
        }

        fn approval(&self, guarded: &GuardedRoot, at: usize) -> ([u8; 32], WrappedKey) {
            let (guardian, keys) = &self.guardians[at];
            let request = (&REQUEST, &self.wallet.public_key());
            let approval = guarded.approve((&guardian.key, keys), request);
            (guardian.key, approval.unwrap())
        }
    }

    #[test]
    fn p2_every_k_guardians_recover_the_root_and_no_fewer_do() {
        let circle = Circle::of(5);
        let guarded = circle.guards(1, 3);
        let all: Vec<_> = (0..5).map(|at| circle.approval(&guarded, at)).collect();
        for bits in 0_u32..32 {
            let chosen = (0..5).filter(|at| bits >> at & 1 == 1);
            let chosen: Vec<_> = chosen.map(|at| all[at].clone()).collect();
            let recovered = guarded.recover(&REQUEST, &circle.wallet, &chosen);
            match (chosen.len(), recovered) {
                (3.., Ok(root)) => assert_eq!(*root, ROOT),
                (given @ ..3, Err(error)) => {
                    assert_eq!(error, ReleaseError::TooFewShares { given, needed: 3 });
                }
                (_, outcome) => panic!("{bits:b}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn what_is_approved_for_one_request_and_wallet_serves_no_other() {
        let circle = Circle::of(3);
        let guarded = circle.guards(1, 2);
        let approvals = [0, 1].map(|at| circle.approval(&guarded, at));
        let thief = HpkeKeyPair::generate();
        let none = Err(ReleaseError::TooFewShares {
            given: 0,
            needed: 2,
        });
        assert_eq!(guarded.recover(&REQUEST, &thief, &approvals), none);
        assert_eq!(guarded.recover(&[5; 32], &circle.wallet, &approvals), none);
    }

    #[test]
    fn shares_of_guardians_before_are_useless_after() {
        let circle = Circle::of(3);
        let (before, after) = (circle.guards(1, 2), circle.guards(2, 2));
        let old = [0, 1].map(|at| circle.approval(&before, at));
        assert!(after.recover(&REQUEST, &circle.wallet, &old).is_err());
        // Nor with one of the new ones.
        let mixed = [old[0].clone(), circle.approval(&after, 1)];
        let recovered = after.recover(&REQUEST, &circle.wallet, &mixed);
        let too_few = ReleaseError::TooFewShares {
            given: 1,
            needed: 2,
        };
        assert_eq!(recovered, Err(too_few));
    }

    #[test]
    fn a_guardian_that_lies_is_left_out() {
        let circle = Circle::of(3);
        let guarded = circle.guards(1, 2);
        let mut approvals = [0, 1, 2].map(|at| circle.approval(&guarded, at)).to_vec();
        // It says what another has said.
        approvals[0].1 = approvals[1].1.clone();
        let root = guarded.recover(&REQUEST, &circle.wallet, &approvals);
        assert_eq!(*root.unwrap(), ROOT);
        let fewer = guarded.recover(&REQUEST, &circle.wallet, &approvals[..2]);
        assert!(fewer.is_err());
    }

    #[test]
    fn a_stranger_has_no_share() {
        let circle = Circle::of(3);
        let guarded = circle.guards(1, 2);
        let stranger = HpkeKeyPair::generate();
        let guardian = circle.guardians[0].0.key;
        let request = (&REQUEST, &circle.wallet.public_key());
        let approved = guarded.approve((&guardian, &stranger), request);
        assert_eq!(approved, Err(ReleaseError::NoShare));
        let nobody = guarded.approve((&[1; 32], &stranger), request);
        assert_eq!(nobody, Err(ReleaseError::NoShare));
    }
}
