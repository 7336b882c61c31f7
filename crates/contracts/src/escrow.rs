//! Escrow: the member that keeps a patient's root hands it to the patient's wallet, once.
//!
//! ```text
//!   kept ----------------> offered to a wallet ----------------------------> taken: the member's copy is destroyed
//!          the member           ^        |        the wallet has the root
//!                               +--------+ instead of a wallet that is lost
//! ```
//! Evaluated at the member that is the escrow. The root itself is sealed to the wallet; here it is a digest.
//!
//! # Invariants
//! - **W1** The root is destroyed only once the wallet has signed that it has this very root.
//! - **W2** A root is on offer to one wallet; another takes that one's place only if the member says so.
//! - **W3** What was taken is neither offered nor taken again; the wallet that took it may say so again.

use ed25519_zebra::{Signature, VerificationKey};
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId};
use minicbor::{Decode, Encode};

/// How far the handing over of a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// The member keeps the root, and has offered it to this wallet, if to any.
    Kept(Option<Digest>),
    /// The patient has this wallet.
    Taken(Digest),
}

/// What a wallet says once it has the root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Taken {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The member that was the escrow.
    #[n(1)]
    pub member: MemberName,
    /// What names the root: [`root_digest`].
    #[n(2)]
    pub root: Digest,
    /// The wallet's Ed25519 key, which signs.
    #[n(3)]
    pub wallet: Digest,
    /// The signature of all that comes before.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// Why a root is not offered or not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is a wallet.
    #[error("the patient has a wallet: there is no root in escrow")]
    TakenBefore,
    /// Another wallet may have it.
    #[error("the root is on offer to another wallet, which may have it already")]
    OnOffer,
    /// The root was not offered to this wallet.
    #[error("the root was not offered to this wallet")]
    NotOffered,
    /// What the wallet has is not the root.
    #[error("what the wallet has is not the root in escrow here")]
    OtherRoot,
    /// The signature is not by the wallet.
    #[error("the signature is not by the wallet that is named")]
    NotSigned,
}

/// What names a root without telling anything about it: it has 256 random bits.
pub fn root_digest(root: &[u8; 32]) -> Digest {
    Digest::with_domain("careledger/escrow-root/v1", &[root])
}

/// The HPKE info under which a root is sealed to a wallet; the wallet's Ed25519 key is the associated data.
pub fn info(network: NetworkId, member: &MemberName) -> Vec<u8> {
    let domain = b"careledger/escrow/v1".as_slice();
    [domain, &network.0.0, member.as_str().as_bytes()].concat()
}

/// Whether the root may be offered to `wallet`; with `instead`, in the place of another wallet.
pub fn offer(standing: Handover, wallet: Digest, instead: bool) -> Result<(), Refusal> {
    match standing {
        Handover::Taken(_) => Err(Refusal::TakenBefore),
        Handover::Kept(Some(other)) if other != wallet && !instead => Err(Refusal::OnOffer),
        Handover::Kept(_) => Ok(()),
    }
}

/// Whether what a wallet says ends the escrow of the root that `root` names; `false` if it had ended before.
pub fn take(
    standing: Handover,
    (network, member, root): (NetworkId, &MemberName, Option<Digest>),
    taken: &Taken,
) -> Result<bool, Refusal> {
    taken.check()?;
    if taken.network != network || taken.member != *member {
        return Err(Refusal::OtherRoot);
    }
    match standing {
        Handover::Taken(wallet) if wallet == taken.wallet => Ok(false),
        Handover::Taken(_) => Err(Refusal::TakenBefore),
        Handover::Kept(offered) if offered != Some(taken.wallet) => Err(Refusal::NotOffered),
        Handover::Kept(_) if root != Some(taken.root) => Err(Refusal::OtherRoot),
        Handover::Kept(_) => Ok(true),
    }
}

impl Taken {
    /// Says that `wallet` has the root; `sign` returns the signature of the bytes that it is given.
    pub fn sign(
        (network, member): (NetworkId, MemberName),
        root: Digest,
        wallet: Digest,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let mut taken = Self {
            network,
            member,
            root,
            wallet,
            signature: [0; 64],
        };
        taken.signature = sign(&taken.input());
        taken
    }

    fn input(&self) -> Vec<u8> {
        let said = (self.network, &self.member, self.root, self.wallet);
        [
            b"careledger/escrow-taken/v1".as_slice(),
            &codec::encode(&said),
        ]
        .concat()
    }

    fn check(&self) -> Result<(), Refusal> {
        let key = VerificationKey::try_from(self.wallet.0).map_err(|_| Refusal::NotSigned)?;
        let verified = key.verify(&Signature::from(self.signature), &self.input());
        verified.map_err(|_| Refusal::NotSigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_zebra::SigningKey;

    const ROOT: [u8; 32] = [7; 32];

    fn public(seed: u8) -> Digest {
        Digest(VerificationKey::from(&SigningKey::from_bytes(&[seed; 32])).into())
    }

    fn network() -> NetworkId {
        NetworkId(Digest([1; 32]))
    }

    fn clinic() -> MemberName {
        "clinic".parse().unwrap()
    }

    fn said(root: &[u8; 32], seed: u8) -> Taken {
        let place = (network(), clinic());
        Taken::sign(place, root_digest(root), public(seed), |bytes| {
            SigningKey::from_bytes(&[seed; 32]).sign(bytes).into()
        })
    }

    fn taking(standing: Handover, taken: &Taken) -> Result<bool, Refusal> {
        let root = root_digest(&ROOT);
        take(standing, (network(), &clinic(), Some(root)), taken)
    }

    #[test]
    fn w1_only_the_wallet_that_was_offered_the_root_and_has_it_ends_the_escrow() {
        let offered = Handover::Kept(Some(public(2)));
        assert_eq!(taking(offered, &said(&ROOT, 2)), Ok(true));
        let other = taking(offered, &said(&[8; 32], 2));
        assert_eq!(other, Err(Refusal::OtherRoot));
        assert_eq!(taking(offered, &said(&ROOT, 3)), Err(Refusal::NotOffered));
        let unasked = taking(Handover::Kept(None), &said(&ROOT, 2));
        assert_eq!(unasked, Err(Refusal::NotOffered));
        let forged = Taken {
            wallet: public(2),
            ..said(&ROOT, 3)
        };
        assert_eq!(taking(offered, &forged), Err(Refusal::NotSigned));
        let elsewhere = (network(), &"hospital".parse().unwrap(), None);
        let elsewhere = take(offered, elsewhere, &said(&ROOT, 2));
        assert_eq!(elsewhere, Err(Refusal::OtherRoot));
    }

    #[test]
    fn w2_another_wallet_takes_the_place_of_one_only_if_that_is_said() {
        assert_eq!(offer(Handover::Kept(None), public(2), false), Ok(()));
        let offered = Handover::Kept(Some(public(2)));
        assert_eq!(offer(offered, public(2), false), Ok(()), "the same again");
        assert_eq!(offer(offered, public(3), false), Err(Refusal::OnOffer));
        assert_eq!(offer(offered, public(3), true), Ok(()));
    }

    #[test]
    fn w3_a_second_taking_is_refused_and_the_first_may_be_said_again() {
        let taken = Handover::Taken(public(2));
        assert_eq!(offer(taken, public(3), true), Err(Refusal::TakenBefore));
        assert_eq!(taking(taken, &said(&ROOT, 3)), Err(Refusal::TakenBefore));
        let again = take(taken, (network(), &clinic(), None), &said(&ROOT, 2));
        assert_eq!(again, Ok(false));
    }
}
