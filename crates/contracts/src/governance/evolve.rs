//! What follows from an event.

use ledger::genesis::ValidatorSet;
use ledger::ids::{Digest, MemberName};

use super::{Action, Context, Event};
use crate::membership::{Contents, MembershipError, Registered, Registry, Seat, Span, Standing};

/// Folds events of one command into the registry. An error means that an event was not decided on this registry.
pub fn evolve(
    registry: &Registry,
    context: &Context<'_>,
    events: &[Event],
) -> Result<Registry, MembershipError> {
    registry.change(|contents| {
        contents
            .proposals
            .retain(|proposal| proposal.closes_at >= context.height);
        for event in events {
            fold(contents, context, event);
        }
        schedule(contents, context);
    })
}

fn fold(contents: &mut Contents, context: &Context<'_>, event: &Event) {
    match event {
        Event::Proposed(proposal) => {
            contents.proposed = proposal.number;
            contents.proposals.push(proposal.clone());
        }
        Event::Voted { proposal, approves } => {
            let mut open = contents.proposals.iter_mut();
            if let Some(proposal) = open.find(|one| one.number == *proposal) {
                let side = if *approves {
                    &mut proposal.approvals
                } else {
                    &mut proposal.refusals
                };
                side.push(context.member.clone());
            }
        }
        Event::Closed(number) => contents.proposals.retain(|one| one.number != *number),
        Event::Enacted(number, action) => {
            contents.proposals.retain(|one| one.number != *number);
            enact(contents, context, action);
        }
        Event::CertificateRegistered(certificate) => {
            with_seat(contents, context.member, |seat| {
                seat.certificates.push(Registered {
                    certificate: certificate.clone(),
                    since: context.height,
                    revoked: None,
                });
            });
        }
        Event::CertificateRevoked(thumbprint) => with_seat(contents, context.member, |seat| {
            let mut all = seat.certificates.iter_mut();
            if let Some(one) = all.find(|one| Digest::of(&one.certificate) == *thumbprint) {
                one.revoked = Some(context.time);
            }
        }),
        Event::Announced(endpoints) => with_seat(contents, context.member, |seat| {
            seat.endpoints = Some(endpoints.clone());
        }),
        Event::ValidatorRotated(keys) => {
            with_seat(contents, context.member, |seat| {
                seat.validators.push(keys.clone());
            });
        }
    }
}

fn enact(contents: &mut Contents, context: &Context<'_>, action: &Action) {
    match action {
        Action::Admit { member, endpoints } => {
            let seats = &mut contents.seats;
            let at = seats.partition_point(|seat| seat.name < member.name);
            let mut seat = Seat::of(member, context.height);
            seat.validates = false;
            seat.endpoints.clone_from(endpoints);
            seats.insert(at, seat);
        }
        Action::Suspend(member) => stand(contents, member, Standing::Suspended),
        Action::Reinstate(member) => stand(contents, member, Standing::Active),
        Action::Remove(member) => stand(contents, member, Standing::Removed),
        Action::ReplaceAuthority { member, authority } => with_seat(contents, member, |seat| {
            seat.authority.clone_from(authority);
        }),
        Action::AddValidator(member) => with_seat(contents, member, |seat| seat.validates = true),
        Action::RemoveValidator(member) => {
            with_seat(contents, member, |seat| seat.validates = false);
        }
        Action::SetPolicies(policies) => contents.policies.push(policies.clone()),
        Action::SetRules(rules) => contents.rules = *rules,
        Action::SetFormat(format) => contents.format = *format,
        Action::SetCommittee { k, members, renews } => {
            let committees = contents.committees.get_or_insert_default();
            committees.begin(*k, members, *renews);
        }
        Action::SetLabelRules(rules) => {
            let voted = contents.label_rules.get_or_insert_default();
            voted.push(rules.clone());
        }
    }
}

fn stand(contents: &mut Contents, member: &MemberName, standing: Standing) {
    with_seat(contents, member, |seat| {
        seat.standing = standing;
        // Who comes back validates with other keys, by another vote (G4).
        seat.validates = false;
    });
}

fn with_seat(contents: &mut Contents, member: &MemberName, change: impl FnOnce(&mut Seat)) {
    let mut seats = contents.seats.iter_mut();
    if let Some(seat) = seats.find(|seat| seat.name == *member) {
        change(seat);
    }
}

/// Who validates from the next epoch on follows from the seats (G3).
fn schedule(contents: &mut Contents, context: &Context<'_>) {
    let next = contents.rules.epoch_of(context.height).next();
    let seats = contents.seats.iter();
    let mut keys: Vec<_> = seats
        .filter_map(|seat| seat.validator().map(|keys| keys.vote))
        .collect();
    keys.sort_unstable();
    contents.schedule.retain(|span| span.from < next);
    let current = contents.schedule.last().map(|span| &span.validators.keys);
    if current != Some(&keys) {
        contents.schedule.push(Span {
            from: next,
            validators: ValidatorSet { keys },
        });
    }
}
