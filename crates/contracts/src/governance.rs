//! Governance: how the members change the registry, by statements alone.
//!
//! ```text
//!            propose              enough approvals
//!   (none) ----------> open ---------------------------> enacted, in the same block
//!                       |  withdraw / its last height passes / enough refusals
//!                       +--------------------------------> gone
//! ```
//! What concerns a member alone (its certificates, addresses, its validator's key) it does by itself.
//!
//! # Invariants
//! - **G1** A member has one vote on a proposal; only members that are heard count, on both sides of the threshold.
//! - **G2** What was proposed happens once, and only if it is still possible when it is approved.
//! - **G3** Validators change with the next epoch, never within one, and there is always at least one.
//! - **G4** A validator's key is one member's, and votes in one span of its life: a key once given up never votes again.
//! - **G5** A certificate is registered by whoever holds its key, if the member's authority issued it. No older
//!   certificate is needed, so a network whose certificates have all expired recovers.
//! - **G6** A command is obeyed once.

mod action;
mod evolve;
mod refusal;

use ledger::codec;
use ledger::genesis::Rules;
use ledger::ids::{BlockTime, Digest, Height, MemberName};
use ledger::statement::{Body, SubmittedStatement};
use minicbor::{Decode, Encode};

use crate::membership::{Endpoints, NodeCertificate, Registry, ValidatorKeys};

pub use action::Action;
pub use evolve::evolve;
pub use refusal::Refusal;

/// The number of this contract in a statement.
pub const CONTRACT: u16 = 1;

/// Bounds of what the registry holds.
mod limits {
    /// Members, those that left included.
    pub(super) const SEATS_MAX: usize = 1_000;
    /// Certificates of a member that are valid at a time.
    pub(super) const VALID_CERTIFICATES_MAX: usize = 8;
    /// Bytes of a certificate.
    pub(super) const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;
    /// Proposals that can be voted on at a time.
    pub(super) const PROPOSALS_MAX: usize = 64;
    /// Bytes of the network's policies.
    pub(super) const POLICIES_BYTES_MAX: usize = 32 * 1024;
    /// Bytes of the network's rules for security labels.
    pub(super) const LABEL_RULES_BYTES_MAX: usize = 32 * 1024;
}

/// What a member can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Put something to the vote; counts as the proposer's approval.
    #[n(0)]
    Propose(#[n(0)] Action),
    /// Vote on a proposal.
    #[n(1)]
    Vote {
        /// Its number.
        #[n(0)]
        proposal: u64,
        /// For or against it.
        #[n(1)]
        approves: bool,
    },
    /// Take an own proposal back.
    #[n(2)]
    Withdraw(#[n(0)] u64),
    /// Register a certificate of an own node, in a statement that its key signs.
    #[n(3)]
    RegisterCertificate(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    /// Revoke an own certificate, by its SHA-256.
    #[n(4)]
    RevokeCertificate(#[n(0)] Digest),
    /// Say where the own node is.
    #[n(5)]
    Announce(#[n(0)] Endpoints),
    /// Connect and, if the member validates, vote with other keys from the next epoch on.
    #[n(6)]
    RotateValidator(#[n(0)] ValidatorKeys),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something was put to the vote.
    Proposed(Proposal),
    /// A member voted.
    Voted {
        /// The proposal's number.
        proposal: u64,
        /// For or against it.
        approves: bool,
    },
    /// A proposal ended without effect.
    Closed(u64),
    /// A proposal took effect.
    Enacted(u64, Action),
    /// A certificate was registered.
    CertificateRegistered(Vec<u8>),
    /// A certificate was revoked.
    CertificateRevoked(Digest),
    /// A member said where its node is.
    Announced(Endpoints),
    /// A validator took other keys.
    ValidatorRotated(ValidatorKeys),
}

/// Something that members vote on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Proposal {
    /// Counted from 1.
    #[n(0)]
    pub number: u64,
    /// What is to happen.
    #[n(1)]
    pub action: Action,
    /// Who proposed it.
    #[n(2)]
    pub proposer: MemberName,
    /// The last block in which it can be voted on.
    #[n(3)]
    pub closes_at: Height,
    /// Members for it, in the order of their votes.
    #[n(4)]
    pub approvals: Vec<MemberName>,
    /// Members against it.
    #[n(5)]
    pub refusals: Vec<MemberName>,
}

/// Who commands, and when.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The member that signed.
    pub member: &'a MemberName,
    /// The certificate that it signed with, by its SHA-256.
    pub certificate: Digest,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub time: BlockTime,
}

impl Command {
    /// Reads a command.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode("command", bytes).map_err(|_| Refusal::Malformed)
    }

    /// The command's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

impl Proposal {
    /// The part of the members that has to approve.
    fn is_approved(&self, rules: &Rules, registry: &Registry) -> bool {
        let threshold = self.action.threshold(rules);
        threshold.is_exceeded(count(&self.approvals, registry), registry.members().count())
    }

    /// Whether it cannot be approved any more, however the others vote.
    fn is_refused(&self, rules: &Rules, registry: &Registry) -> bool {
        let members = registry.members().count();
        let possible = members.saturating_sub(count(&self.refusals, registry));
        !self.action.threshold(rules).is_exceeded(possible, members)
    }
}

fn count(voters: &[MemberName], registry: &Registry) -> usize {
    let members = registry.members();
    members.filter(|member| voters.contains(member)).count()
}

/// The certificate that `statement` registers, if that is what it does: it is signed with the key in it.
pub fn registers(statement: &SubmittedStatement) -> Option<Vec<u8>> {
    let Body::Command { contract, command } = &statement.payload().body else {
        return None;
    };
    match (*contract == CONTRACT).then(|| Command::decode(command)) {
        Some(Ok(Command::RegisterCertificate(certificate))) => Some(certificate),
        _ => None,
    }
}

/// Answers a command with what will have happened, in order, or with the reason it may not.
pub fn decide(
    registry: &Registry,
    context: &Context<'_>,
    command: Command,
) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Propose(action) => propose(registry, context, action),
        Command::Vote { proposal, approves } => vote(registry, context, proposal, approves),
        Command::Withdraw(number) => {
            let proposal = open(registry, context.height, number)?;
            if proposal.proposer != *context.member {
                return Err(Refusal::NotTheProposer);
            }
            Ok(vec![Event::Closed(number)])
        }
        Command::RegisterCertificate(certificate) => register(registry, context, certificate),
        Command::RevokeCertificate(thumbprint) => {
            let certificate = registry.certificate(context.member, thumbprint);
            match certificate {
                Ok(certificate) if certificate.revoked.is_none() => {
                    Ok(vec![Event::CertificateRevoked(thumbprint)])
                }
                _ => Err(Refusal::NothingToRevoke),
            }
        }
        Command::Announce(endpoints) => {
            if !endpoints.are_addresses() {
                return Err(Refusal::NotAnAddress);
            }
            Ok(vec![Event::Announced(endpoints)])
        }
        Command::RotateValidator(keys) => {
            action::check_keys(registry, &keys)?;
            Ok(vec![Event::ValidatorRotated(keys)])
        }
    }
}

fn propose(
    registry: &Registry,
    context: &Context<'_>,
    action: Action,
) -> Result<Vec<Event>, Refusal> {
    action.check(registry)?;
    let open = registry.proposals().iter();
    if open
        .filter(|proposal| proposal.closes_at >= context.height)
        .count()
        >= limits::PROPOSALS_MAX
    {
        return Err(Refusal::TooManyProposals);
    }
    let rules = registry.rules();
    let proposal = Proposal {
        number: registry.contents().proposed.saturating_add(1),
        action: action.clone(),
        proposer: context.member.clone(),
        closes_at: Height(context.height.0.saturating_add(rules.proposal_blocks)),
        approvals: vec![context.member.clone()],
        refusals: Vec::new(),
    };
    let enacted = proposal
        .is_approved(rules, registry)
        .then_some(Event::Enacted(proposal.number, action));
    let proposed = Event::Proposed(proposal);
    Ok(std::iter::once(proposed).chain(enacted).collect())
}

fn vote(
    registry: &Registry,
    context: &Context<'_>,
    number: u64,
    approves: bool,
) -> Result<Vec<Event>, Refusal> {
    let mut proposal = open(registry, context.height, number)?.clone();
    let mut voters = proposal.approvals.iter().chain(&proposal.refusals);
    if voters.any(|member| member == context.member) {
        return Err(Refusal::VotedBefore);
    }
    let voted = Event::Voted {
        proposal: number,
        approves,
    };
    let side = if approves {
        &mut proposal.approvals
    } else {
        &mut proposal.refusals
    };
    side.push(context.member.clone());
    let rules = registry.rules();
    let outcome = if proposal.is_approved(rules, registry) {
        proposal.action.check(registry)?;
        Some(Event::Enacted(number, proposal.action))
    } else if proposal.is_refused(rules, registry) {
        Some(Event::Closed(number))
    } else {
        None
    };
    Ok(std::iter::once(voted).chain(outcome).collect())
}

fn open(registry: &Registry, height: Height, number: u64) -> Result<&Proposal, Refusal> {
    let mut proposals = registry.proposals().iter();
    proposals
        .find(|proposal| proposal.number == number && proposal.closes_at >= height)
        .ok_or(Refusal::NoSuchProposal(number))
}

fn register(
    registry: &Registry,
    context: &Context<'_>,
    certificate: Vec<u8>,
) -> Result<Vec<Event>, Refusal> {
    if certificate.len() > limits::CERTIFICATE_BYTES_MAX {
        return Err(Refusal::OutOfBounds("certificates"));
    }
    if Digest::of(&certificate) != context.certificate {
        return Err(Refusal::NotItsKey);
    }
    let seat = registry
        .seat(context.member)
        .ok_or_else(|| Refusal::NoSuchMember(context.member.clone()))?;
    let issued = NodeCertificate::issued(&certificate, &seat.authority)?;
    if registry.has_certificate(context.member, &issued) {
        return Err(Refusal::RegisteredBefore);
    }
    let own = registry.node_certificates();
    let valid =
        own.filter(|(member, one)| *member == context.member && one.is_valid_at(context.time));
    if valid.count() >= limits::VALID_CERTIFICATES_MAX {
        return Err(Refusal::TooManyCertificates);
    }
    Ok(vec![Event::CertificateRegistered(certificate)])
}

#[cfg(test)]
mod tests;
