//! Release: the committees to which keys are sealed, and how members form one.
//!
//! ```text
//!   SetCommittee is enacted       all have joined        all have confirmed one outcome
//!   ----------------------> joining -------------> dealing ----------------------------> in force
//!                             |  another SetCommittee is enacted  |
//!                             +-----------------------------------+--> gone
//! ```
//! Members run a protocol among themselves in which a key is made that none of them has (`vault::release`). The
//! ledger is where they say the same to everybody: the keys with which they take part, what each dealer shows, and what
//! came out. Nothing of it is secret, and nothing is checked here that takes the curve: whoever takes part checks it,
//! and confirms only what it has checked.
//!
//! # Invariants
//! - **S1** A committee is in force only once each of its members has confirmed that it holds its share.
//! - **S2** A member says each thing once in a round: one key, one log, one outcome.
//! - **S3** A key is passed on by members of the committee that has it, and k stays with the key.
//! - **S4** One round is under way at most, and rounds are counted, never numbered again.

mod refusal;

use ledger::codec;
use ledger::ids::{Digest, Height, MemberName};
use minicbor::{Decode, Encode};

use crate::membership::{MembershipError, Registry, Standing};

pub use refusal::Refusal;

/// The number of this contract in a statement.
pub const CONTRACT: u16 = 2;

/// Members of a committee at most.
pub const MEMBERS_MAX: usize = 13;
/// Members that a committee may need at most.
pub const K_MAX: u32 = 7;
/// Bytes of a dealer's log, and of an outcome, at most.
const SHOWN_BYTES_MAX: usize = 8 * 1024;
/// Committees with keys of their own that are remembered: what is sealed to an older one is lost.
const COMMITTEES_MAX: usize = 16;

/// What a member of a round says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Take part in a round with a key of its own.
    #[n(0)]
    Join {
        /// The round.
        #[n(0)]
        round: u64,
        /// The member's key in it, Ed25519.
        #[n(1)]
        key: Digest,
    },
    /// Show what was dealt, once all members have acknowledged it.
    #[n(1)]
    Deal {
        /// The round.
        #[n(0)]
        round: u64,
        /// The dealer's signed log.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        log: Vec<u8>,
    },
    /// Confirm what came out, and that the own share of it is kept.
    #[n(2)]
    Confirm {
        /// The round.
        #[n(0)]
        round: u64,
        /// The committee's public part.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        outcome: Vec<u8>,
    },
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A member joined with a key.
    Joined(Digest),
    /// A dealer showed its log.
    Dealt(Vec<u8>),
    /// A member confirmed an outcome.
    Confirmed(Vec<u8>),
    /// All members have confirmed the same: the committee is in force.
    Formed,
}

/// The committees of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Committees {
    /// Rounds so far.
    #[n(0)]
    rounds: u64,
    /// The round under way.
    #[n(1)]
    forming: Option<Forming>,
    /// One for each key, the last of which is in force.
    #[n(2)]
    formed: Vec<Committee>,
}

/// A round under way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Forming {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// How many members it takes to open.
    #[n(1)]
    pub k: u32,
    /// Who will be the committee, in the order of the names.
    #[n(2)]
    pub members: Vec<MemberName>,
    /// The key that is passed on; none if a new one is made.
    #[n(3)]
    pub passes_on: Option<u64>,
    /// The keys with which members take part.
    #[n(4)]
    pub joined: Vec<Joined>,
    /// Dealers' logs, in the order of the ledger.
    #[n(5)]
    pub logs: Vec<Log>,
    /// Outcomes that were confirmed.
    #[n(6)]
    pub confirmed: Vec<Confirmed>,
}

/// A member and its key in one round.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// The member.
    #[n(0)]
    pub member: MemberName,
    /// Its key.
    #[n(1)]
    pub key: Digest,
}

/// What a dealer showed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Log {
    /// The dealer.
    #[n(0)]
    pub member: MemberName,
    /// Its signed log.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub log: Vec<u8>,
}

/// What a member says came out.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Confirmed {
    /// The member.
    #[n(0)]
    pub member: MemberName,
    /// The committee's public part.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub outcome: Vec<u8>,
}

/// A committee whose members have confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Committee {
    /// The round that formed it.
    #[n(0)]
    pub round: u64,
    /// The round in which its key was made.
    #[n(1)]
    pub key: u64,
    /// How many members it takes to open.
    #[n(2)]
    pub k: u32,
    /// Its members, with the keys that they have in it.
    #[n(3)]
    pub members: Vec<Joined>,
    /// Its public part.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub outcome: Vec<u8>,
    /// The block from which on it is in force.
    #[n(5)]
    pub since: Height,
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

    fn round(&self) -> u64 {
        match self {
            Self::Join { round, .. } | Self::Deal { round, .. } | Self::Confirm { round, .. } => {
                *round
            }
        }
    }
}

impl Committees {
    /// Before the first round.
    pub(crate) const NONE: Self = Self {
        rounds: 0,
        forming: None,
        formed: Vec::new(),
    };

    /// The round under way.
    pub fn forming(&self) -> Option<&Forming> {
        self.forming.as_ref()
    }

    /// The committee to which keys are sealed now.
    pub fn in_force(&self) -> Option<&Committee> {
        self.formed.last()
    }

    /// The committees, one for each key.
    pub fn formed(&self) -> &[Committee] {
        &self.formed
    }

    /// The committee that has the key which was made in a round.
    pub fn with_key(&self, key: u64) -> Option<&Committee> {
        self.formed.iter().find(|committee| committee.key == key)
    }

    /// Begins a round; one that is under way is given up.
    pub(crate) fn begin(&mut self, k: u32, members: &[MemberName], renews: bool) {
        self.rounds = self.rounds.saturating_add(1);
        let before = self.in_force().filter(|before| !renews && before.k == k);
        self.forming = Some(Forming {
            number: self.rounds,
            k,
            members: members.to_vec(),
            passes_on: before.map(|before| before.key),
            joined: Vec::new(),
            logs: Vec::new(),
            confirmed: Vec::new(),
        });
    }

    fn fold(&mut self, member: &MemberName, height: Height, event: &Event) {
        let Some(forming) = &mut self.forming else {
            return;
        };
        let member = member.clone();
        match event {
            Event::Joined(key) => forming.joined.push(Joined { member, key: *key }),
            Event::Dealt(log) => forming.logs.push(Log {
                member,
                log: log.clone(),
            }),
            Event::Confirmed(outcome) => forming.confirmed.push(Confirmed {
                member,
                outcome: outcome.clone(),
            }),
            Event::Formed => self.form(height),
        }
    }

    fn form(&mut self, height: Height) {
        let Some(forming) = self.forming.take() else {
            return;
        };
        let Some(confirmed) = forming.confirmed.into_iter().next() else {
            return;
        };
        let key = forming.passes_on.unwrap_or(forming.number);
        self.formed.retain(|committee| committee.key != key);
        self.formed.push(Committee {
            round: forming.number,
            key,
            k: forming.k,
            members: forming.joined,
            outcome: confirmed.outcome,
            since: height,
        });
        if self.formed.len() > COMMITTEES_MAX {
            self.formed.remove(0);
        }
    }
}

impl Forming {
    /// Whether all members have joined, so that dealers deal.
    pub fn is_dealing(&self) -> bool {
        self.joined.len() == self.members.len()
    }

    /// The key of a member in this round.
    pub fn key_of(&self, member: &MemberName) -> Option<Digest> {
        let mut joined = self.joined.iter();
        let joined = joined.find(|joined| joined.member == *member)?;
        Some(joined.key)
    }

    /// Who deals, with which key: the members, or those of the committee whose key is passed on (S3).
    pub fn dealers<'a>(&'a self, committees: &'a Committees) -> &'a [Joined] {
        let before = self.passes_on.and_then(|key| committees.with_key(key));
        before.map_or(&self.joined, |before| &before.members)
    }

    /// Members that have not said what the round waits for.
    pub fn awaited(&self) -> Vec<&MemberName> {
        let has_said = |member: &MemberName| {
            if self.is_dealing() {
                self.confirmed.iter().any(|one| one.member == *member)
            } else {
                self.key_of(member).is_some()
            }
        };
        self.members
            .iter()
            .filter(|member| !has_said(member))
            .collect()
    }
}

/// Whether `members` can be asked to be a committee that takes `k` of them.
pub(crate) fn check(registry: &Registry, k: u32, members: &[MemberName]) -> Result<(), Refusal> {
    let n = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let is_sized = members.len() <= MEMBERS_MAX && (2..=K_MAX).contains(&k);
    // Those that may fail without stopping a release are too few to make one.
    if !is_sized || k > n || n >= k.saturating_mul(2) {
        return Err(Refusal::NoSuchCommittee);
    }
    if !members.is_sorted_by(|one, next| one < next) {
        return Err(Refusal::NotInOrder);
    }
    let is_heard = |member: &MemberName| {
        registry.seat(member).map(|seat| seat.standing) == Some(Standing::Active)
    };
    match members.iter().find(|member| !is_heard(member)) {
        Some(member) => Err(Refusal::NotHeard(member.clone())),
        None => Ok(()),
    }
}

/// Answers a command with what will have happened, or with the reason it may not.
pub fn decide(
    registry: &Registry,
    member: &MemberName,
    command: Command,
) -> Result<Vec<Event>, Refusal> {
    let committees = registry.committees();
    let forming = committees.forming();
    let forming = forming
        .filter(|forming| forming.number == command.round())
        .ok_or(Refusal::NoSuchRound)?;
    let is_member = forming.members.contains(member);
    match command {
        Command::Join { key, .. } => {
            if !is_member {
                return Err(Refusal::NotInRound);
            }
            let mut joined = forming.joined.iter();
            if joined.any(|joined| joined.member == *member || joined.key == key) {
                return Err(Refusal::SaidBefore);
            }
            Ok(vec![Event::Joined(key)])
        }
        Command::Deal { log, .. } => {
            let mut dealers = forming.dealers(committees).iter();
            if !dealers.any(|dealer| dealer.member == *member) {
                return Err(Refusal::NotInRound);
            }
            if forming.logs.iter().any(|log| log.member == *member) {
                return Err(Refusal::SaidBefore);
            }
            if !forming.is_dealing() {
                return Err(Refusal::TooEarly);
            }
            bounded(log).map(|log| vec![Event::Dealt(log)])
        }
        Command::Confirm { outcome, .. } => {
            if !is_member {
                return Err(Refusal::NotInRound);
            }
            confirm(forming, member, bounded(outcome)?)
        }
    }
}

fn confirm(
    forming: &Forming,
    member: &MemberName,
    outcome: Vec<u8>,
) -> Result<Vec<Event>, Refusal> {
    if forming.confirmed.iter().any(|one| one.member == *member) {
        return Err(Refusal::SaidBefore);
    }
    if u32::try_from(forming.logs.len()).is_ok_and(|logs| logs < forming.k) {
        return Err(Refusal::TooEarly);
    }
    let agree = forming.confirmed.iter().all(|one| one.outcome == outcome);
    // The members that have confirmed, and this one.
    let are_all = forming.confirmed.len().saturating_add(1) == forming.members.len();
    let formed = (agree && are_all).then_some(Event::Formed);
    let confirmed = Event::Confirmed(outcome);
    Ok(std::iter::once(confirmed).chain(formed).collect())
}

fn bounded(shown: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    if shown.len() > SHOWN_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    Ok(shown)
}

/// Folds events of one command into the registry.
pub fn evolve(
    registry: &Registry,
    (member, height): (&MemberName, Height),
    events: &[Event],
) -> Result<Registry, MembershipError> {
    registry.change(|contents| {
        let committees = contents.committees.get_or_insert_default();
        for event in events {
            committees.fold(member, height, event);
        }
    })
}

#[cfg(test)]
mod tests;
