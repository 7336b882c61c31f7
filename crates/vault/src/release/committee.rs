//! A committee's public part, its members' shares, and what is sealed to it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use commonware_codec::{Copying, DecodeExt as _, Encode as _, Read as _};
use commonware_cryptography::bls12381::dkg::feldman_desmedt::{self, Output};
use commonware_cryptography::bls12381::primitives::group::Share;
use commonware_cryptography::bls12381::primitives::ops::{self, threshold};
use commonware_cryptography::bls12381::primitives::sharing::{Mode, ModeVersion};
use commonware_cryptography::bls12381::primitives::variant::{MinPk, PartialSignature};
use commonware_cryptography::bls12381::tle;
use commonware_cryptography::ed25519::PublicKey;
use commonware_parallel::Sequential;
use commonware_utils::ordered::Set;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::faults::{for_k, is_sound};
use super::{MEMBERS_MAX, ReleaseError, random};

/// Keeps what is sealed here apart from all else that could be signed with such a key.
const NAMESPACE: &[u8] = b"careledger/release/v1";

/// A committee as everybody may know it.
#[derive(Clone, PartialEq, Eq)]
pub struct Committee {
    pub(super) k: u32,
    pub(super) output: Output<MinPk, PublicKey>,
}

/// One member's share of a committee's private key.
#[derive(Clone)]
pub struct KeyShare(pub(super) Share);

/// A key that k members of a committee open together.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SealedToCommittee(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

/// One member's part in opening what is sealed for one identity.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PartialRelease(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl Committee {
    /// Reads the public part of a committee that takes `k` members.
    pub fn decode(k: u32, bytes: &[u8]) -> Result<Self, ReleaseError> {
        let malformed = ReleaseError::Malformed("committee");
        let max = u32::try_from(MEMBERS_MAX).ok().and_then(NonZeroU32::new);
        let bounds = (max.ok_or(malformed)?, ModeVersion::v0());
        let mut rest = Copying(bytes);
        let output = Output::read_cfg(&mut rest, &bounds).map_err(|_| malformed)?;
        let committee = Self { k, output };
        let public = committee.output.public();
        let members = committee.output.players().len();
        let is_whole = rest.0.is_empty()
            && usize::try_from(public.total().get()) == Ok(members)
            && public.required() == k
            && committee.output.revealed().is_empty();
        if is_whole && is_sound(k, members) {
            Ok(committee)
        } else {
            Err(malformed)
        }
    }

    /// The public part's bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.output.encode().to_vec()
    }

    /// How many members it takes.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// The members' keys, in the order of their shares.
    pub fn members(&self) -> Vec<[u8; 32]> {
        let players = self.output.players().iter();
        players.map(bytes_of).collect()
    }

    /// The public key, which stays when the committee's members change.
    pub fn public_key(&self) -> Vec<u8> {
        self.output.public().public().encode().to_vec()
    }

    /// Seals a key so that k members open it, for `identity` alone.
    pub fn seal(&self, identity: &[u8], key: &[u8; 32]) -> Result<SealedToCommittee, ReleaseError> {
        let public = *self.output.public().public();
        let block = tle::Block::new(*key);
        let sealed =
            tle::encrypt::<_, MinPk>(&mut random::fresh(), public, (NAMESPACE, identity), &block);
        let sealed = sealed.map_err(|_| ReleaseError::Malformed("committee"))?;
        Ok(SealedToCommittee(sealed.encode().to_vec()))
    }

    /// Whether `partial` is the part of the member with the key `giver` (R2).
    pub fn check(
        &self,
        giver: &[u8; 32],
        identity: &[u8],
        partial: &PartialRelease,
    ) -> Result<(), ReleaseError> {
        self.checked(giver, identity, partial).map(|_| ())
    }

    /// Opens what is sealed for `identity` with k members' parts, by their keys.
    pub fn open(
        &self,
        identity: &[u8],
        sealed: &SealedToCommittee,
        partials: &BTreeMap<[u8; 32], PartialRelease>,
    ) -> Result<Zeroizing<[u8; 32]>, ReleaseError> {
        let checked = partials
            .iter()
            .map(|(giver, partial)| self.checked(giver, identity, partial));
        let checked = checked.collect::<Result<Vec<_>, _>>()?;
        let too_few = ReleaseError::TooFewShares {
            given: checked.len(),
            needed: self.k,
        };
        let public = self.output.public();
        let signature = threshold::recover::<MinPk, _>(public, &checked, &Sequential);
        let signature = signature.map_err(|_| too_few)?;
        ops::verify_message::<MinPk>(public.public(), NAMESPACE, identity, &signature)
            .map_err(|_| ReleaseError::WrongShare)?;
        let sealed = tle::Ciphertext::<MinPk>::decode(Copying(&sealed.0))
            .map_err(|_| ReleaseError::Malformed("sealed key"))?;
        let block = tle::decrypt::<MinPk>(&signature, &sealed).ok_or(ReleaseError::NotAuthentic)?;
        let block = Zeroizing::new(block);
        let key = <[u8; 32]>::try_from(block.as_ref());
        key.map(Zeroizing::new)
            .map_err(|_| ReleaseError::NotAuthentic)
    }

    fn checked(
        &self,
        giver: &[u8; 32],
        identity: &[u8],
        partial: &PartialRelease,
    ) -> Result<PartialSignature<MinPk>, ReleaseError> {
        let partial = PartialSignature::<MinPk>::decode(Copying(&partial.0))
            .map_err(|_| ReleaseError::WrongShare)?;
        let players = self.output.players();
        let index = usize::from(partial.index);
        let is_theirs = players.iter().nth(index).map(bytes_of) == Some(*giver);
        let is_right =
            threshold::verify_message(self.output.public(), NAMESPACE, identity, &partial).is_ok();
        if is_theirs && is_right {
            Ok(partial)
        } else {
            Err(ReleaseError::WrongShare)
        }
    }
}

impl KeyShare {
    /// This member's part in opening what is sealed for `identity`.
    pub fn give(&self, identity: &[u8]) -> PartialRelease {
        let partial = threshold::sign_message::<MinPk>(&self.0, NAMESPACE, identity);
        PartialRelease(partial.encode().to_vec())
    }

    /// Whether it is the share of the member with `key` in `committee`.
    pub fn is_of(&self, committee: &Committee, key: &[u8; 32]) -> bool {
        let players = committee.output.players();
        let public = committee.output.public().partial_public(self.0.index);
        players.iter().nth(usize::from(self.0.index)).map(bytes_of) == Some(*key)
            && public.is_ok_and(|public| public == self.0.public::<MinPk>())
    }

    /// Reads a share.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let share = Share::decode(Copying(bytes));
        share
            .map(Self)
            .map_err(|_| ReleaseError::Malformed("share"))
    }

    /// The share's bytes, which are secret.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.encode().to_vec())
    }
}

/// A fresh key dealt by whoever owns the secret, such as a patient, to `members`; each gets one share.
pub fn deal(
    k: u32,
    members: &[[u8; 32]],
) -> Result<(Committee, BTreeMap<[u8; 32], KeyShare>), ReleaseError> {
    let players = set_of(members)?;
    if !is_sound(k, players.len()) {
        return Err(ReleaseError::NoSuchCommittee);
    }
    let dealt = for_k!(k, M => {
        feldman_desmedt::deal::<MinPk, _, M>(random::fresh(), Mode::NonZeroCounter, players)
    });
    let (output, shares) = dealt
        .and_then(Result::ok)
        .ok_or(ReleaseError::NoSuchCommittee)?;
    let shares = shares.iter_pairs();
    let shares = shares.map(|(key, share)| (bytes_of(key), KeyShare(share.clone())));
    Ok((Committee { k, output }, shares.collect()))
}

pub(super) fn bytes_of(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.as_ref());
    bytes
}

pub(super) fn key_of(bytes: &[u8; 32]) -> Result<PublicKey, ReleaseError> {
    PublicKey::decode(Copying(bytes)).map_err(|_| ReleaseError::Malformed("member's key"))
}

/// Keys, each once.
pub(super) fn set_of(keys: &[[u8; 32]]) -> Result<Set<PublicKey>, ReleaseError> {
    let all = keys.iter().map(key_of).collect::<Result<Vec<_>, _>>()?;
    let set = Set::from_iter_dedup(all);
    if set.len() == keys.len() && (1..=MEMBERS_MAX).contains(&set.len()) {
        Ok(set)
    } else {
        Err(ReleaseError::NoSuchCommittee)
    }
}

impl fmt::Debug for Committee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committee")
            .field("k", &self.k)
            .field("members", &self.output.players().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyShare(..)")
    }
}
