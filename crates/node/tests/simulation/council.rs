//! Members at the contract of governance: they command until what they want is so.

use std::collections::{BTreeMap, BTreeSet};

use contracts::governance::{Action, CONTRACT, Command};
use contracts::membership::{Endpoints, Registry, Seat, Standing, ValidatorKeys};
use ledger::genesis::{PublicKey, Rules};
use ledger::ids::{Height, MemberName};
use ledger::statement::{Body, SubmittedStatement};
use node::chain::Chain;
use sim::forge::Forge;
use sim::network::check::{Ledger, statements};
use sim::network::motion::{Motion, MotionKind};

use crate::run::{Phase, honest};

/// Between two submissions of the same command.
const SUBMIT_EVERY_MS: u64 = 400;
/// After this time a command is signed anew: the old one may have come too early.
const SIGN_EVERY_MS: u64 = 6_000;

/// What the members see to, and how far they are.
pub(crate) struct Council {
    forge: Forge,
    names: Vec<MemberName>,
    /// With what each member's validator signs once it takes other keys.
    later: Vec<ValidatorKeys>,
    motions: Vec<Motion>,
    /// Motions whose first half is done, by number.
    begun: BTreeSet<usize>,
    bills: BTreeMap<(usize, Vec<u8>, u64), Bill>,
}

/// A signed command, and when it is submitted again.
struct Bill {
    statement: SubmittedStatement,
    due_ms: u64,
}

type Wanted = Vec<(usize, Command)>;

/// What some validator has applied.
struct View<'a> {
    registry: &'a Registry,
    height: Height,
}

impl Council {
    pub(crate) fn new(forge: Forge, later: Vec<ValidatorKeys>, motions: Vec<Motion>) -> Self {
        let members = forge.genesis().members.iter();
        let names = members.map(|member| member.name.clone()).collect();
        Self {
            forge,
            names,
            later,
            motions,
            begun: BTreeSet::new(),
            bills: BTreeMap::new(),
        }
    }

    /// Who commands what.
    fn wanted(&mut self, view: &View<'_>, now: u64) -> Wanted {
        let due = self.motions.iter().filter(|motion| motion.at_ms <= now);
        let due: Vec<MotionKind> = due.map(|motion| motion.kind).collect();
        let mut wanted = Vec::new();
        for (number, kind) in due.iter().enumerate() {
            wanted.extend(match *kind {
                MotionKind::Announce(member) => {
                    let endpoints = endpoints(&due, member);
                    let said = self.seat(view.registry, member).endpoints.as_ref();
                    let is_news = said != Some(&endpoints);
                    let command = (member, Command::Announce(endpoints));
                    Vec::from_iter(is_news.then_some(command))
                }
                MotionKind::Dispute => self.dispute(number, view),
                MotionKind::Rotation(member) => self.rotate(view, member),
                MotionKind::Departure { .. } => self.departure(number, *kind, view),
            });
        }
        wanted
    }

    /// A change of the rules that every other member is against, which is enough.
    fn dispute(&mut self, number: usize, view: &View<'_>) -> Wanted {
        let rules = *view.registry.rules();
        let action = Action::SetRules(Rules {
            proposal_blocks: rules.proposal_blocks + 1,
            ..rules
        });
        let mut open = view.registry.proposals().iter();
        if open.any(|proposal| proposal.action == action) {
            self.begun.insert(number);
        } else if self.begun.contains(&number) {
            return Vec::new();
        }
        self.votes(view, 0, action, |member| member % 2 == 0)
    }

    fn departure(&mut self, number: usize, kind: MotionKind, view: &View<'_>) -> Wanted {
        let MotionKind::Departure {
            member,
            is_suspended,
            returns,
        } = kind
        else {
            return Vec::new();
        };
        let by = (member + 1) % self.names.len();
        let name = self.names[member].clone();
        let seat = self.seat(view.registry, member);
        let everybody = |_| true;
        if seat.standing == Standing::Suspended {
            self.begun.insert(number);
            return self.votes(view, by, Action::Reinstate(name), everybody);
        }
        if !seat.validates {
            self.begun.insert(number);
        }
        if !self.begun.contains(&number) {
            let action = match is_suspended {
                true => Action::Suspend(name),
                false => Action::RemoveValidator(name),
            };
            return self.votes(view, by, action, everybody);
        }
        match returns {
            true if !has_keys(seat, self.later[member].vote) => self.rotate(view, member),
            true if !seat.validates => self.votes(view, by, Action::AddValidator(name), everybody),
            _ => Vec::new(),
        }
    }

    fn rotate(&self, view: &View<'_>, member: usize) -> Wanted {
        let keys = self.later[member].clone();
        let has_keys = has_keys(self.seat(view.registry, member), keys.vote);
        let command = (member, Command::RotateValidator(keys));
        Vec::from_iter((!has_keys).then_some(command))
    }

    /// The votes that a proposal lacks, or the proposal itself.
    fn votes(
        &self,
        view: &View<'_>,
        by: usize,
        action: Action,
        approves: impl Fn(usize) -> bool,
    ) -> Wanted {
        let mut open = view.registry.proposals().iter();
        let proposal = open.find(|one| one.action == action && one.closes_at >= view.height.next());
        let Some(proposal) = proposal else {
            return vec![(by, Command::Propose(action))];
        };
        let numbered = self.names.iter().enumerate();
        let silent = numbered.filter(|(_, name)| {
            let mut voters = proposal.approvals.iter().chain(&proposal.refusals);
            voters.all(|voter| voter != *name)
        });
        let vote = |(member, _)| {
            let command = Command::Vote {
                proposal: proposal.number,
                approves: approves(member),
            };
            (member, command)
        };
        silent.map(vote).collect()
    }

    fn seat<'a>(&self, registry: &'a Registry, member: usize) -> &'a Seat {
        registry.seat(&self.names[member]).unwrap()
    }

    /// The statement that commands it, if it is to be submitted now.
    fn due(&mut self, member: usize, command: &Command, now: u64) -> Option<SubmittedStatement> {
        let (name, command) = (self.names[member].as_str(), command.encode());
        let key = (member, command.clone(), now / SIGN_EVERY_MS);
        let forge = &mut self.forge;
        let bill = self.bills.entry(key).or_insert_with(|| Bill {
            statement: forge.command(name, CONTRACT, command).unwrap(),
            due_ms: now,
        });
        (bill.due_ms <= now).then(|| {
            bill.due_ms = now + SUBMIT_EVERY_MS;
            bill.statement.clone()
        })
    }

    /// What the members have seen to, and is not so at a validator.
    pub(crate) fn undone(&self, chain: &Chain) -> Option<String> {
        let registry = chain.registry();
        let all: Vec<MotionKind> = self.motions.iter().map(|motion| motion.kind).collect();
        let open = all.iter().find(|kind| match **kind {
            MotionKind::Announce(member) => {
                let endpoints = endpoints(&all, member);
                self.seat(&registry, member).endpoints.as_ref() != Some(&endpoints)
            }
            MotionKind::Dispute => false,
            MotionKind::Rotation(member) => !self.has_later_keys(&registry, member),
            MotionKind::Departure {
                member, returns, ..
            } => {
                let seat = self.seat(&registry, member);
                let is_placed = match returns {
                    true => self.has_later_keys(&registry, member),
                    false => !seat.validates,
                };
                seat.standing != Standing::Active || !is_placed
            }
        });
        if let Some(kind) = open {
            return Some(format!("{kind:?}"));
        }
        let epoch = registry.rules().epoch_of(chain.tip().height);
        let last = registry.schedule().last().map(|span| span.from);
        (last > Some(epoch)).then(|| "the last change of validators".to_owned())
    }

    fn has_later_keys(&self, registry: &Registry, member: usize) -> bool {
        let keys = self.seat(registry, member).validator();
        keys.is_some_and(|keys| keys.vote == self.later[member].vote)
    }
}

/// Where a member is that has said so as often as `motions` say.
fn endpoints(motions: &[MotionKind], member: usize) -> Endpoints {
    let own = |kind: &&MotionKind| **kind == MotionKind::Announce(member);
    let count = motions.iter().filter(own).count();
    Endpoints {
        consensus: format!("127.0.0.{member}:{count}"),
        exchange: format!("127.0.1.{member}:{count}"),
    }
}

/// Submits what is wanted, as the furthest honest validator has it.
pub(crate) fn sit(phase: &mut Phase<'_>, now: u64) {
    let honest = honest(&phase.world.plan);
    let running = phase.running.iter().filter(|(at, _)| honest.contains(at));
    let chains: Vec<Chain> = running.map(|(_, one)| one.chain.clone()).collect();
    let Some(furthest) = chains.iter().max_by_key(|chain| chain.tip().height) else {
        return;
    };
    let (registry, height) = (furthest.registry(), furthest.tip().height);
    let view = View {
        registry: &registry,
        height,
    };
    let council = &mut phase.world.council;
    for (member, command) in council.wanted(&view, now) {
        let Some(statement) = council.due(member, &command, now) else {
            continue;
        };
        // Elsewhere each time: a validator may be cut off.
        let turn = usize::try_from(now / SUBMIT_EVERY_MS).unwrap();
        let chain = &chains[(turn + member) % chains.len()];
        // What comes too early or twice is refused, and asked for again if it has no effect.
        let _refused = chain.submit(statement).err();
    }
}

/// The commands of a ledger, by name.
pub(crate) fn commands(ledger: &Ledger) -> Vec<&'static str> {
    let statements = statements(ledger).into_iter();
    let commands = statements.filter_map(|(_, statement)| match &statement.payload().body {
        Body::Command { command, .. } => Command::decode(command).ok(),
        Body::Items { .. } => None,
    });
    let name = |command| match command {
        Command::Announce(_) => "announced addresses",
        Command::Propose(_) => "proposals",
        Command::Vote { .. } => "votes on proposals",
        Command::RotateValidator(_) => "rotated validator's keys",
        _ => "other commands",
    };
    commands.map(name).collect()
}

fn has_keys(seat: &Seat, vote: PublicKey) -> bool {
    seat.validators.iter().any(|keys| keys.vote == vote)
}
