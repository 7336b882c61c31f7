//! Sealed release: a key is sealed to a committee, and opens with the shares of any k of its n members.
//!
//! The committee has one public key; its private key exists nowhere. A key is sealed to the public key and an
//! *identity* (identity-based encryption of Boneh and Franklin, BLS12-381); what opens it is the committee's signature
//! of the identity. A member's *share* is its part of that signature, which anybody can check against the committee's
//! public part: a wrong one names its giver. So a share opens one identity alone, and says nothing about others.
//!
//! # Invariants
//! - **R1** Fewer than k shares open nothing.
//! - **R2** A wrong share is found, and its giver named, before anything is opened with it.
//! - **R3** A share for one identity opens nothing that is sealed for another.
//! - **R4** 2k > n: the members that may fail without stopping a release are too few to make one.

mod committee;
mod faults;
mod forming;
mod guardians;
mod random;

pub use committee::{Committee, KeyShare, PartialRelease, SealedToCommittee, deal};
pub use forming::{Dealing, MemberKey, Offer, Playing, Round};
pub use guardians::{GuardedRoot, Guardian};

/// Members of a committee at most.
pub const MEMBERS_MAX: usize = 13;
/// Shares that a committee may need at most.
pub const K_MAX: u32 = 7;

/// Why something of a committee is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Nobody could be asked, or those that may fail could open alone.
    #[error(
        "a committee has k of n members with 2 <= k <= 7, k <= n <= 13 and 2k > n, each with a key of its own"
    )]
    NoSuchCommittee,
    /// The bytes are not what they should be.
    #[error("the bytes are no {0}")]
    Malformed(&'static str),
    /// It takes part in neither side of the round.
    #[error("the key has no part in the round")]
    NotInRound,
    /// A committee that gets another one's key deals with its own shares.
    #[error("the dealer has no share of the key that is dealt again")]
    NoShare,
    /// The dealer's offer does not fit what it says in public.
    #[error("what the dealer offers is not what it shows in public")]
    WrongOffer,
    /// The acknowledgement is not by that player, or for another offer.
    #[error("the acknowledgement is not by that player for this offer")]
    WrongAcknowledgement,
    /// The logs do not make a key.
    #[error("the dealers' logs make no key")]
    NoKey,
    /// What the dealer offered is not here any more.
    #[error("an acknowledged offer is missing")]
    OfferMissing,
    /// A share is not by that member for that identity.
    #[error("the share is not by that member for this identity")]
    WrongShare,
    /// There are fewer shares than it takes.
    #[error("{given} shares are given of {needed}")]
    TooFewShares {
        /// How many there are.
        given: usize,
        /// How many it takes.
        needed: u32,
    },
    /// The sealed key was changed, or sealed for another identity or committee.
    #[error("the sealed key is not for this committee and identity")]
    NotAuthentic,
}

#[cfg(test)]
mod tests;
