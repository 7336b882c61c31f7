//! Actions: what takes the members' votes.

use interop::fhir::labels::RuleSet;
use ledger::genesis::{Member, Rules, Threshold};
use ledger::ids::MemberName;
use ledger::limits::MEMBERS_MAX;
use minicbor::{Decode, Encode};

use super::{Refusal, limits};
use crate::membership::{Endpoints, NodeCertificate, Registry, Standing, ValidatorKeys};
use crate::{access, release};

/// What can be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// Admit a member, which does not validate yet: its validator's key is that of its connections.
    #[n(0)]
    Admit {
        /// The member.
        #[n(0)]
        member: Box<Member>,
        /// Where its node is.
        #[n(1)]
        endpoints: Option<Endpoints>,
    },
    /// Stop hearing a member.
    #[n(1)]
    Suspend(#[n(0)] MemberName),
    /// Hear a suspended member again.
    #[n(2)]
    Reinstate(#[n(0)] MemberName),
    /// Stop hearing a member for ever.
    #[n(3)]
    Remove(#[n(0)] MemberName),
    /// Give a member another certification authority, DER. Certificates of the old one stay until they are revoked.
    #[n(4)]
    ReplaceAuthority {
        /// The member.
        #[n(0)]
        member: MemberName,
        /// The authority's certificate, DER.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        authority: Vec<u8>,
    },
    /// Have a member validate from the next epoch on, with the keys that it has.
    #[n(5)]
    AddValidator(#[n(0)] MemberName),
    /// Have a member validate no more, from the next epoch on.
    #[n(6)]
    RemoveValidator(#[n(0)] MemberName),
    /// Replace the network's access policies, in Cedar.
    #[n(7)]
    SetPolicies(#[n(0)] String),
    /// Replace the rules of governance.
    #[n(8)]
    SetRules(#[n(0)] Rules),
    /// Have nodes understand a format; those that do not stop.
    #[n(9)]
    SetFormat(#[n(0)] u16),
    /// Have members form a committee to which keys are sealed.
    #[n(10)]
    SetCommittee {
        /// How many of them open what is sealed.
        #[n(0)]
        k: u32,
        /// Who, in the order of the names.
        #[n(1)]
        members: Vec<MemberName>,
        /// Whether they make a new key even if they could take over the one there is.
        #[n(2)]
        renews: bool,
    },
    /// Replace the network's own rules for security labels, which stand beside those of the release; an empty text takes
    /// them back.
    #[n(11)]
    SetLabelRules(#[n(0)] String),
}

impl Action {
    /// The part of the members that has to be exceeded.
    pub(super) fn threshold(&self, rules: &Rules) -> Threshold {
        match self {
            Self::Admit { .. }
            | Self::Suspend(_)
            | Self::Reinstate(_)
            | Self::Remove(_)
            | Self::ReplaceAuthority { .. }
            | Self::SetCommittee { .. } => rules.members,
            Self::AddValidator(_) | Self::RemoveValidator(_) => rules.validators,
            Self::SetPolicies(_)
            | Self::SetRules(_)
            | Self::SetFormat(_)
            | Self::SetLabelRules(_) => rules.settings,
        }
    }

    /// Whether it can happen as things are.
    pub(super) fn check(&self, registry: &Registry) -> Result<(), Refusal> {
        match self {
            Self::Admit { member, endpoints } => {
                check_admission(registry, member)?;
                let is_addressed = endpoints.as_ref().is_none_or(Endpoints::are_addresses);
                is_addressed.then_some(()).ok_or(Refusal::NotAnAddress)
            }
            Self::Suspend(member) => leaves(registry, member, &[Standing::Active]),
            Self::Reinstate(member) => {
                has_room(registry)?;
                stands(registry, member, &[Standing::Suspended])
            }
            Self::Remove(member) => {
                leaves(registry, member, &[Standing::Active, Standing::Suspended])
            }
            Self::ReplaceAuthority { member, authority } => {
                stands(registry, member, &[Standing::Active, Standing::Suspended])?;
                if authority.len() > limits::CERTIFICATE_BYTES_MAX {
                    return Err(Refusal::OutOfBounds("certificates"));
                }
                Ok(NodeCertificate::check_authority(authority)?)
            }
            Self::AddValidator(member) => {
                stands(registry, member, &[Standing::Active])?;
                let seat = registry.seat(member);
                let keys = seat.and_then(|seat| seat.validators.last());
                let vote = keys.ok_or(Refusal::NoValidator)?.vote;
                let mut spans = registry.schedule().iter();
                if spans.any(|span| span.validators.keys.contains(&vote)) {
                    return Err(Refusal::ValidatorKeyUsed);
                }
                Ok(())
            }
            Self::RemoveValidator(member) => {
                let seat = registry.seat(member);
                seat.and_then(|seat| seat.validator())
                    .ok_or(Refusal::NoValidator)?;
                leaves(registry, member, &[Standing::Active])
            }
            Self::SetPolicies(policies) if policies.len() > limits::POLICIES_BYTES_MAX => {
                Err(Refusal::OutOfBounds("policies"))
            }
            Self::SetPolicies(policies) => {
                access::check_policies(policies).map_err(|_| Refusal::PoliciesMalformed)
            }
            Self::SetRules(rules) => {
                let keeps_epochs = rules.epoch_blocks == registry.rules().epoch_blocks;
                let is_sound = rules.are_sound() && keeps_epochs;
                is_sound.then_some(()).ok_or(Refusal::RulesUnsound)
            }
            Self::SetFormat(format) => {
                let is_above = *format > registry.format();
                is_above.then_some(()).ok_or(Refusal::FormatNotAbove)
            }
            Self::SetCommittee { k, members, .. } => Ok(release::check(registry, *k, members)?),
            Self::SetLabelRules(rules) => check_label_rules(rules),
        }
    }
}

fn check_label_rules(rules: &str) -> Result<(), Refusal> {
    if rules.len() > limits::LABEL_RULES_BYTES_MAX {
        return Err(Refusal::OutOfBounds("label rules"));
    }
    if rules.is_empty() {
        return Ok(());
    }
    RuleSet::parse(rules.as_bytes())?;
    Ok(())
}

/// Whether a member could take these keys (G4).
pub(super) fn check_keys(registry: &Registry, keys: &ValidatorKeys) -> Result<(), Refusal> {
    if !keys.are_keys() {
        return Err(Refusal::NotKeys);
    }
    if registry.validator_keys(keys.vote).is_some() {
        return Err(Refusal::ValidatorKeyUsed);
    }
    Ok(())
}

fn check_admission(registry: &Registry, member: &Member) -> Result<(), Refusal> {
    if registry.seat(&member.name).is_some() {
        return Err(Refusal::NameTaken(member.name.clone()));
    }
    if registry.seats().len() >= limits::SEATS_MAX {
        return Err(Refusal::OutOfBounds("members"));
    }
    has_room(registry)?;
    if let Some(keys) = ValidatorKeys::of(member) {
        check_keys(registry, &keys)?;
    }
    let largest = member.node.len().max(member.authority.len());
    if largest > limits::CERTIFICATE_BYTES_MAX {
        return Err(Refusal::OutOfBounds("certificates"));
    }
    NodeCertificate::issued(&member.node, &member.authority)?;
    Ok(())
}

/// Whether one more member can be heard.
fn has_room(registry: &Registry) -> Result<(), Refusal> {
    if registry.members().count() >= MEMBERS_MAX {
        return Err(Refusal::OutOfBounds("members"));
    }
    Ok(())
}

fn stands(registry: &Registry, member: &MemberName, allowed: &[Standing]) -> Result<(), Refusal> {
    match registry.seat(member) {
        Some(seat) if allowed.contains(&seat.standing) => Ok(()),
        _ => Err(Refusal::NoSuchMember(member.clone())),
    }
}

/// Whether the member may go: somebody else still validates (G3).
fn leaves(registry: &Registry, member: &MemberName, allowed: &[Standing]) -> Result<(), Refusal> {
    stands(registry, member, allowed)?;
    let mut others = registry.seats().iter().filter(|seat| seat.name != *member);
    if others.any(|seat| seat.validator().is_some()) {
        Ok(())
    } else {
        Err(Refusal::NoValidatorLeft)
    }
}
