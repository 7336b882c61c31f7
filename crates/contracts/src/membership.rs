//! Membership: which members there are, which keys speak for them at a time, and who validates in an epoch.
//!
//! The registry starts as the genesis says and changes by [`governance`](crate::governance) alone. Each change makes a
//! new revision, whose digest is in the state under a key that follows from its number: so a revision can be proven,
//! and that there was no later one.
//!
//! # Invariants
//! - **M1** A key speaks for a member only through a certificate that the member's authority signed.
//! - **M2** A certificate speaks only within its validity, on block time, and not once it is revoked.
//! - **M3** Who is suspended or removed is not heard.
//! - **M4** What was in the registry stays in it, so that what was once signed can be checked for ever.

mod certificate;
mod seat;

use std::collections::{BTreeMap, BTreeSet};

use ledger::codec;
use ledger::genesis::{Genesis, PublicKey, Rules, Signatory, ValidatorSet};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName};
use ledger::node_key::NodeKey;
use ledger::state::StateKey;
use minicbor::{Decode, Encode};

use crate::governance::{Proposal, Refusal};
use crate::rejection::Rejection;
use crate::release::Committees;

pub use certificate::{CertificateError, NodeCertificate};
pub use seat::{Endpoints, Registered, Seat, Standing, ValidatorKeys};

/// The members of a network, their certificates, the validators of each epoch, and what is being voted on.
#[derive(Debug, Clone)]
pub struct Registry {
    contents: Contents,
    nodes: BTreeMap<MemberName, Vec<NodeCertificate>>,
}

/// A registry as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Contents {
    #[n(0)]
    pub(crate) revision: u64,
    #[n(1)]
    pub(crate) rules: Rules,
    #[n(2)]
    pub(crate) seats: Vec<Seat>,
    #[n(3)]
    pub(crate) schedule: Vec<Span>,
    #[n(4)]
    pub(crate) proposals: Vec<Proposal>,
    #[n(5)]
    pub(crate) proposed: u64,
    #[n(6)]
    pub(crate) policies: Vec<String>,
    #[n(7)]
    pub(crate) format: u16,
    #[n(8)]
    pub(crate) committees: Option<Committees>,
    /// Rules for security labels, the newest last; absent while none were voted.
    #[n(9)]
    pub(crate) label_rules: Option<Vec<String>>,
}

/// Who validates from an epoch on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Span {
    /// The first epoch.
    #[n(0)]
    pub from: Epoch,
    /// The validators.
    #[n(1)]
    pub validators: ValidatorSet,
}

/// Why there is no such registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Two members have one name, or they are not in order.
    #[error("members are not in the order of their names, each once")]
    MembersNotInOrder,
    /// A certificate does not speak for its member.
    #[error("a certificate of `{0}`: {1}")]
    Certificate(MemberName, CertificateError),
    /// Nobody validates.
    #[error("the genesis names no validator")]
    NoValidator,
    /// A validator's key is not a key, or another validator's too.
    #[error("validators have keys of their own, Ed25519, and ML-DSA-44 besides")]
    ValidatorKeys,
    /// Nobody could live by the rules.
    #[error(
        "an epoch has at least two blocks, a proposal lives for some, and a threshold is a fraction below one"
    )]
    RulesUnsound,
    /// The bytes are no registry.
    #[error(transparent)]
    Decode(#[from] codec::DecodeError),
}

impl Registry {
    /// The registry that `genesis` founds.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, MembershipError> {
        if genesis.validators().keys.is_empty() {
            return Err(MembershipError::NoValidator);
        }
        for member in &genesis.members {
            NodeCertificate::issued(&member.node, &member.authority)
                .map_err(|error| MembershipError::Certificate(member.name.clone(), error))?;
        }
        let seats = genesis.members.iter();
        let registry = Self::of(Contents {
            revision: 0,
            rules: genesis.rules(),
            seats: seats.map(|member| Seat::of(member, Height(0))).collect(),
            schedule: vec![Span {
                from: Epoch(0),
                validators: genesis.validators(),
            }],
            proposals: Vec::new(),
            proposed: 0,
            policies: Vec::new(),
            format: 1,
            committees: None,
            label_rules: None,
        })?;
        let mut votes = BTreeSet::new();
        for keys in genesis.members.iter().filter_map(ValidatorKeys::of) {
            if !keys.are_keys() || !votes.insert(keys.vote) {
                return Err(MembershipError::ValidatorKeys);
            }
        }
        Ok(registry)
    }

    /// Reads a registry.
    pub fn decode(bytes: &[u8]) -> Result<Self, MembershipError> {
        Self::of(codec::decode("registry", bytes)?)
    }

    fn of(contents: Contents) -> Result<Self, MembershipError> {
        if !contents
            .seats
            .is_sorted_by(|one, next| one.name < next.name)
        {
            return Err(MembershipError::MembersNotInOrder);
        }
        if !contents.rules.are_sound() {
            return Err(MembershipError::RulesUnsound);
        }
        let mut registry = Self {
            nodes: BTreeMap::new(),
            contents,
        };
        for seat in &registry.contents.seats {
            let nodes = certificates_of(seat)
                .map_err(|error| MembershipError::Certificate(seat.name.clone(), error))?;
            registry.nodes.insert(seat.name.clone(), nodes);
        }
        Ok(registry)
    }

    /// The registry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&self.contents)
    }

    /// What the state holds of this revision: the digest of its bytes.
    pub fn entry(&self) -> (StateKey, Vec<u8>) {
        let digest = Digest::of(&self.encode());
        (StateKey::of_registry(self.revision()), digest.0.to_vec())
    }

    /// How often it has changed.
    pub fn revision(&self) -> u64 {
        self.contents.revision
    }

    /// How the network is governed.
    pub fn rules(&self) -> &Rules {
        &self.contents.rules
    }

    /// All seats, in the order of their members' names.
    pub fn seats(&self) -> &[Seat] {
        &self.contents.seats
    }

    /// A member's seat.
    pub fn seat(&self, member: &MemberName) -> Option<&Seat> {
        let seats = &self.contents.seats;
        let at = seats.binary_search_by(|seat| seat.name.cmp(member)).ok()?;
        seats.get(at)
    }

    /// Proposals that can be voted on, or could be until the next change.
    pub fn proposals(&self) -> &[Proposal] {
        &self.contents.proposals
    }

    /// The network's own access policies, in Cedar, if it has some.
    pub fn policies(&self) -> Option<&str> {
        self.contents.policies.last().map(String::as_str)
    }

    /// The text with this SHA-256 among all that was ever voted as policies: what a recorded decision rested on.
    pub fn policies_with(&self, digest: Digest) -> Option<&str> {
        let mut texts = self.contents.policies.iter().map(String::as_str);
        texts.find(|text| Digest::of(text.as_bytes()) == digest)
    }

    /// The network's own rules for security labels, in JSON, if it has some.
    pub fn label_rules(&self) -> Option<&str> {
        let newest = self.contents.label_rules.as_ref()?.last()?;
        (!newest.is_empty()).then_some(newest)
    }

    /// The format that nodes have to understand.
    pub fn format(&self) -> u16 {
        self.contents.format
    }

    /// The committees to which keys are sealed.
    pub fn committees(&self) -> &Committees {
        static NONE: Committees = Committees::NONE;
        self.contents.committees.as_ref().unwrap_or(&NONE)
    }

    /// The names of the members that are heard, in order.
    pub fn members(&self) -> impl Iterator<Item = &MemberName> {
        let seats = self.contents.seats.iter();
        seats
            .filter(|seat| seat.standing == Standing::Active)
            .map(|seat| &seat.name)
    }

    /// All nodes' certificates, by member.
    pub fn node_certificates(&self) -> impl Iterator<Item = (&MemberName, &NodeCertificate)> {
        self.nodes
            .iter()
            .flat_map(|(member, nodes)| nodes.iter().map(move |node| (member, node)))
    }

    /// The key that `thumbprint` gives `member` at `time`.
    pub fn key_at(
        &self,
        member: &MemberName,
        thumbprint: Digest,
        time: BlockTime,
    ) -> Result<&NodeKey, Rejection> {
        self.check_standing(member)?;
        let certificate = self.certificate(member, thumbprint)?;
        if certificate.revoked.is_some() {
            return Err(Rejection::CertificateRevoked(member.clone()));
        }
        certificate.check_time(member, time)?;
        Ok(&certificate.key)
    }

    /// The key of a certificate that is not registered yet, if the authority of `member` issued it and it is valid.
    pub(crate) fn key_of_new(
        &self,
        member: &MemberName,
        certificate: &[u8],
        time: BlockTime,
    ) -> Result<NodeKey, Rejection> {
        self.check_standing(member)?;
        let seat = self.seat(member);
        let seat = seat.ok_or_else(|| Rejection::UnknownMember(member.clone()))?;
        let issued =
            NodeCertificate::issued(certificate, &seat.authority).map_err(Refusal::Certificate)?;
        issued.check_time(member, time)?;
        Ok(issued.key)
    }

    /// This registry as the revision after `before`.
    pub(crate) fn revised(mut self, before: &Self) -> Self {
        self.contents.revision = before.contents.revision.saturating_add(1);
        self
    }

    /// The certificate of `member` with `thumbprint`, whatever became of it.
    pub fn certificate(
        &self,
        member: &MemberName,
        thumbprint: Digest,
    ) -> Result<&NodeCertificate, Rejection> {
        self.nodes
            .get(member)
            .ok_or_else(|| Rejection::UnknownMember(member.clone()))?
            .iter()
            .find(|certificate| certificate.thumbprint == thumbprint)
            .ok_or_else(|| Rejection::UnknownCertificate(member.clone()))
    }

    /// Whether `member` has, or had, a certificate that says the same, however its signature is written.
    pub(crate) fn has_certificate(&self, member: &MemberName, one: &NodeCertificate) -> bool {
        let mut own = self.nodes.get(member).into_iter().flatten();
        own.any(|known| known.signed == one.signed)
    }

    /// The member whose certificate has `thumbprint`, if it speaks at `time`.
    pub fn holder(&self, thumbprint: Digest, time: BlockTime) -> Option<&MemberName> {
        self.nodes
            .keys()
            .find(|member| self.key_at(member, thumbprint, time).is_ok())
    }

    /// Who validates in `epoch`, as far as it is decided.
    pub fn validators(&self, epoch: Epoch) -> &ValidatorSet {
        const NOBODY: &ValidatorSet = &ValidatorSet { keys: Vec::new() };
        let spans = self.contents.schedule.iter().rev();
        let mut before = spans.skip_while(|span| span.from > epoch);
        before.next().map_or(NOBODY, |span| &span.validators)
    }

    /// When validators changed, and to whom.
    pub fn schedule(&self) -> &[Span] {
        &self.contents.schedule
    }

    /// What the header at `height` says of its own and of the next epoch's validators.
    pub fn validators_digest(&self, height: Height) -> Digest {
        let epoch = self.rules().epoch_of(height);
        self.validators(epoch).digest(self.validators(epoch.next()))
    }

    /// The member that validates, or once did, with `vote`, and all that it signs with as such.
    pub fn validator_keys(&self, vote: PublicKey) -> Option<(&MemberName, &ValidatorKeys)> {
        self.contents.seats.iter().find_map(|seat| {
            let keys = seat.validators.iter().find(|keys| keys.vote == vote)?;
            Some((&seat.name, keys))
        })
    }

    /// Who validates in `epoch`, by name.
    pub fn signatories(&self, epoch: Epoch) -> Vec<Signatory> {
        let keys = self.validators(epoch).keys.iter();
        let all = self.all_signatories();
        let of_key = |key: &PublicKey| all.iter().find(|one| one.vote == *key).cloned();
        keys.filter_map(of_key).collect()
    }

    /// Whoever validates, or once did, with each of its keys.
    pub fn all_signatories(&self) -> Vec<Signatory> {
        let seats = self.contents.seats.iter();
        let of_seat = |seat: &Seat| {
            let keys = seat.validators.iter();
            let signatory = |keys: &ValidatorKeys| Signatory {
                member: seat.name.clone(),
                vote: keys.vote,
                cosigner: keys.cosigner.clone(),
            };
            keys.map(signatory).collect::<Vec<_>>()
        };
        seats.flat_map(of_seat).collect()
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Changes what is written down; what follows from it is derived again.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&mut Contents),
    ) -> Result<Self, MembershipError> {
        let mut contents = self.contents.clone();
        change(&mut contents);
        Self::of(contents)
    }

    pub(crate) fn check_standing(&self, member: &MemberName) -> Result<(), Rejection> {
        match self.seat(member).map(|seat| seat.standing) {
            Some(Standing::Active) => Ok(()),
            Some(Standing::Suspended) => Err(Rejection::MemberSuspended(member.clone())),
            Some(Standing::Removed) => Err(Rejection::MemberRemoved(member.clone())),
            None => Err(Rejection::UnknownMember(member.clone())),
        }
    }
}

/// The certificates were checked against the member's authority of the time when they were registered.
fn certificates_of(seat: &Seat) -> Result<Vec<NodeCertificate>, CertificateError> {
    let registered = seat.certificates.iter();
    registered
        .map(|one| {
            Ok(NodeCertificate {
                revoked: one.revoked,
                ..NodeCertificate::registered(&one.certificate)?
            })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
