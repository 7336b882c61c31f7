//! Messages of release between members: `docs/formats/release.md`.

use contracts::membership::Registry;
use ledger::codec;
use ledger::ids::{BlockTime, Digest, MemberName, Tag};
use minicbor::{Decode, Encode};
use vault::release::{Committee, Offer, PartialRelease, ReleaseError};
use vault::wrap::WrappedKey;

use crate::custody::{ReleaseTerms, SealedCopy};
use crate::exchange::message::{Ask, again};

/// Copies with payloads in one message at most.
pub(super) const COPIES_MAX: usize = 16;

/// What a dealer offers in a round.
#[derive(Encode, Decode)]
pub(super) struct Dealt {
    #[n(0)]
    pub(super) round: u64,
    #[n(1)]
    pub(super) offer: Offer,
}

/// The player's acknowledgement.
#[derive(Encode, Decode)]
pub(super) struct Acknowledged {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) acknowledgement: Vec<u8>,
}

/// Copies that the caller asks another member to keep, or that a member keeps.
#[derive(Encode, Decode)]
pub(super) struct Copies {
    #[n(0)]
    pub(super) copies: Vec<SealedCopy>,
}

/// Asks for the copies of another member's versions.
#[derive(Encode, Decode)]
pub(super) struct CopiesOf {
    #[n(0)]
    pub(super) home: MemberName,
    #[n(1)]
    pub(super) tags: Vec<Tag>,
    /// With payloads; without them a copy says what there is.
    #[n(2)]
    pub(super) whole: bool,
}

/// Asks to let go of copies of the caller's versions.
#[derive(Encode, Decode)]
pub(super) struct Forget {
    #[n(0)]
    pub(super) tags: Vec<Tag>,
}

/// It is done, durably.
#[derive(Encode, Decode)]
pub(super) struct Done {
    #[n(0)]
    pub(super) count: u64,
}

/// Asks a member of the committee for its shares.
#[derive(Encode, Decode)]
pub(super) struct ShareAsk {
    #[n(0)]
    pub(super) ask: Ask,
    #[n(1)]
    pub(super) terms: Vec<ReleaseTerms>,
}

/// What the member gives, and what it does not.
#[derive(Encode, Decode)]
pub(super) struct Shares {
    #[n(0)]
    pub(super) given: Vec<GivenShare>,
    #[n(1)]
    pub(super) withheld: Vec<WithheldShare>,
}

/// A share, signed by its giver and wrapped to the request's key.
#[derive(Encode, Decode)]
pub(super) struct GivenShare {
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    pub(super) share: WrappedKey,
    /// SHA-256 of the certificate whose key signed.
    #[n(2)]
    pub(super) certificate: Digest,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) signature: [u8; 64],
    /// What the consent covers on which it is given, where the notice of 42 CFR 2.32 goes with the document.
    #[n(4)]
    pub(super) scope: Option<String>,
}

#[derive(Encode, Decode)]
pub(super) struct WithheldShare {
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    pub(super) reason: String,
}

/// A share that its giver has signed and that is wrong: evidence against it, for whoever has the registry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseFault {
    /// The member that gave it.
    #[n(0)]
    pub giver: MemberName,
    /// SHA-256 of the certificate whose key signed.
    #[n(1)]
    pub certificate: Digest,
    /// The request that it answers.
    #[n(2)]
    pub request: Digest,
    /// The round in which the committee's key was made.
    #[n(3)]
    pub key: u64,
    /// What it should have opened.
    #[n(4)]
    pub identity: Digest,
    /// The share.
    #[n(5)]
    pub share: PartialRelease,
    /// The giver's signature.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// A member's share is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the share of `{0}` is wrong, and it has signed it")]
pub struct WrongShare(pub MemberName);

impl ReleaseFault {
    /// Whether it convicts: the share is signed with the giver's key of `time`, and wrong. The answer names the giver.
    pub fn convicts(
        &self,
        registry: &Registry,
        committee: &Committee,
        time: BlockTime,
    ) -> Option<WrongShare> {
        let key = registry.key_at(&self.giver, self.certificate, time).ok()?;
        let signed = signed_share(self.request, self.identity, &self.share);
        key.verify(&signed, &self.signature).ok()?;
        let standing = registry.committees().with_key(self.key)?;
        let mut members = standing.members.iter();
        let giver = members.find(|one| one.member == self.giver)?;
        let check = committee.check(&giver.key.0, &self.identity.0, &self.share);
        (check == Err(ReleaseError::WrongShare)).then(|| WrongShare(self.giver.clone()))
    }
}

/// The messages of release, as the targets in `fuzz/` name them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseMessage {
    Dealt,
    Acknowledged,
    Copies,
    CopiesOf,
    Forget,
    Done,
    ShareAsk,
    Shares,
    Fault,
}

/// Reads a message as the exchange does and writes it again, for the targets in `fuzz/`.
#[doc(hidden)]
pub fn reread_release(kind: ReleaseMessage, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        ReleaseMessage::Dealt => again::<Dealt>(bytes),
        ReleaseMessage::Acknowledged => again::<Acknowledged>(bytes),
        ReleaseMessage::Copies => again::<Copies>(bytes),
        ReleaseMessage::CopiesOf => again::<CopiesOf>(bytes),
        ReleaseMessage::Forget => again::<Forget>(bytes),
        ReleaseMessage::Done => again::<Done>(bytes),
        ReleaseMessage::ShareAsk => again::<ShareAsk>(bytes),
        ReleaseMessage::Shares => again::<Shares>(bytes),
        ReleaseMessage::Fault => again::<ReleaseFault>(bytes),
    }
}

/// What the giver of a share signs.
pub(super) fn signed_share(request: Digest, identity: Digest, share: &PartialRelease) -> Vec<u8> {
    let share = codec::encode(share);
    [
        b"careledger/release-share/v1".as_slice(),
        &request.0,
        &identity.0,
        &share,
    ]
    .concat()
}

/// HPKE info of a wrapped share.
pub(super) fn share_info(request: Digest, tag: Tag) -> Vec<u8> {
    [
        b"careledger/release-share-key/v1".as_slice(),
        &request.0,
        &tag.0,
    ]
    .concat()
}
