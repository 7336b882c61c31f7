//! Plans: one network's size, weather, faults, traitors and traffic, all drawn from a seed.
//!
//! # Invariants
//! - **N1** At most f of 3f + 1 validators are faulty for good: traitors, and those whose rows were damaged.
//! - **N2** Every other fault ends by [`Plan::heals_at_ms`].
//! - **N3** The same seed gives the same plan.

use std::collections::{BTreeMap, BTreeSet};

use ledger::limits::CLOCK_AHEAD_MS_MAX;

use super::draw::Draw;
use super::motion::{Motion, motions};

/// How long the faults of one run last, in simulated milliseconds.
const FAULTY_MS: u64 = 24_000;
/// Within this time, a validator that runs writes a few times.
const WRITES_MS: u64 = 4_000;
/// Before this, the network starts in peace.
const QUIET_MS: u64 = 500;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// Validators, 4 to 7, each of a member of its own.
    pub validators: usize,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// The links between all of them.
    pub link: Link,
    /// How far each validator's clock is off.
    pub skews_ms: Vec<i64>,
    /// Validators that follow rules of their own.
    pub traitors: BTreeMap<usize, Treason>,
    /// Whether peers that break the protocol are cut off when they are seen doing it.
    pub blocks_traitors: bool,
    /// Faults that end, by the time at which they begin.
    pub faults: Vec<Fault>,
    /// When all validators lose power at once.
    pub power_cuts_ms: Vec<u64>,
    /// Of what a consensus journal wrote and did not sync, how much is there after that, in percent.
    pub retained_percent: u64,
    /// Statements by the time of their first submission.
    pub traffic: Vec<Traffic>,
    /// What members ask of the contract of governance, by the time at which they begin to.
    pub motions: Vec<Motion>,
    /// When the last fault has ended.
    pub heals_at_ms: u64,
}

/// What a link does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Mean latency.
    pub latency_ms: u64,
    /// Deviation from it.
    pub jitter_ms: u64,
    /// Messages that are lost, in percent.
    pub loss_percent: u64,
    /// Messages that others may overtake, in percent.
    pub overtaken_percent: u64,
}

/// How a validator breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treason {
    /// Two validators with one key, each of which talks to everybody.
    Twins,
    /// Votes for two blocks in each view.
    Conflicter,
    /// Votes to finalise and to give up the same view.
    Nuller,
    /// Votes again for what is long over.
    Outdated,
    /// Proposes blocks that break a rule, and finds every block valid.
    Liar,
    /// Proposes valid blocks without any statement.
    Censor,
    /// Signs other checkpoints of the log, beside the real ones.
    Forger,
    /// Sends bytes that mean nothing, and many of them.
    Flooder,
    /// Says nothing at all.
    Silent,
}

/// A fault that begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Begin.
    pub at_ms: u64,
    /// End.
    pub until_ms: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// The kinds of [`Fault`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// A validator is killed, and started again at the end.
    Crash(usize),
    /// A validator loses power in the middle of its `write`-th write from the begin on.
    CrashAtWrite {
        /// The validator.
        validator: usize,
        /// The write, counted from one.
        write: u64,
        /// Whether the write reaches the disk.
        lands: bool,
    },
    /// The disk of a validator takes nothing.
    DiskFull(usize),
    /// The disk of a validator gives nothing.
    Unreadable(usize),
    /// A validator hears nobody, and everybody hears it.
    Deaf(usize),
    /// The consensus journals of all validators refuse writes and syncs now and then, in permille.
    JournalErrors(u64),
    /// Those inside and those outside hear nothing of each other.
    Partition(BTreeSet<usize>),
    /// A validator stops, and at the end its chain is what it was at the begin: a backup was put back.
    Restored(usize),
    /// One validator's links are slow.
    Slow(usize, u64),
    /// A row of a validator's store changes by a bit; it never ends.
    DamagedRow(usize),
}

/// A statement and where it is submitted, again and again until it is final or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// First submission.
    pub at_ms: u64,
    /// Its author.
    pub member: usize,
    /// Where it is submitted.
    pub at: BTreeSet<usize>,
    /// Numbers from which its tags are derived, two for each item.
    pub tags: Vec<[u64; 2]>,
    /// What is special about it.
    pub kind: TrafficKind,
}

/// The kinds of [`Traffic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficKind {
    /// Nothing: it has to become final.
    Plain,
    /// Another member's tags: it has to become final all the same.
    Copied,
    /// The author's own tags a second time: one of the two becomes final.
    SecondVersion,
    /// Its signature is damaged: it never becomes final.
    Forged,
    /// It may be final up to this height, and need not be.
    Expiring(u64),
}

impl Plan {
    /// Draws the plan of `seed`.
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw::of(seed);
        let validators = 4 + draw.index(4);
        let link = Link {
            latency_ms: draw.between(2, 40),
            jitter_ms: draw.between(0, 15),
            loss_percent: draw.one_of(&[0, 1, 3, 8], 0),
            overtaken_percent: draw.one_of(&[0, 0, 2, 10], 0),
        };
        let (traitors, damaged) = traitors(&mut draw, validators);
        let honest: Vec<usize> = (0..validators)
            .filter(|at| !traitors.contains_key(at) && !damaged.contains(at))
            .collect();
        let mut faults = faults(&mut draw, validators, &honest);
        faults.extend(damaged.iter().map(|validator| Fault {
            at_ms: draw.between(QUIET_MS, FAULTY_MS),
            until_ms: u64::MAX,
            kind: FaultKind::DamagedRow(*validator),
        }));
        faults.sort_by_key(|fault| fault.at_ms);
        let power_cuts = draw.one_of(&[0, 0, 0, 1, 1, 2], 0);
        let mut power_cuts_ms: Vec<u64> = (0..power_cuts)
            .map(|_| draw.between(2_000, FAULTY_MS))
            .collect();
        power_cuts_ms.sort_unstable();
        let faulty = traitors.keys().chain(&damaged).copied().collect();
        let epoch_blocks = draw.between(6, 24);
        let skews_ms: Vec<i64> = (0..validators).map(|_| skew(&mut draw)).collect();
        let far_off = (0..).zip(&skews_ms).filter(|(_, skew)| is_far_off(**skew));
        let slow = far_off.map(|(at, _)| at).collect();
        Self {
            seed,
            validators,
            epoch_blocks,
            link,
            skews_ms,
            blocks_traitors: draw.happens(50),
            faults,
            power_cuts_ms,
            retained_percent: draw.one_of(&[0, 20, 50, 90], 0),
            traffic: traffic(&mut draw, validators, &honest),
            // Early enough for what follows to happen among the faults.
            motions: motions(&mut draw, validators, (&faulty, &slow), FAULTY_MS / 2),
            traitors,
            heals_at_ms: FAULTY_MS,
        }
    }

    /// How many validators may be faulty for good.
    pub fn faulty_max(&self) -> usize {
        (self.validators - 1) / 3
    }

    /// Validators whose rows are damaged.
    pub fn damaged(&self) -> BTreeSet<usize> {
        let faults = self.faults.iter();
        faults
            .filter_map(|fault| match fault.kind {
                FaultKind::DamagedRow(validator) => Some(validator),
                _ => None,
            })
            .collect()
    }

    /// Validators that follow the rules on hardware that does.
    pub fn honest(&self) -> Vec<usize> {
        let damaged = self.damaged();
        (0..self.validators)
            .filter(|at| !self.traitors.contains_key(at) && !damaged.contains(at))
            .collect()
    }
}

fn traitors(draw: &mut Draw, validators: usize) -> (BTreeMap<usize, Treason>, BTreeSet<usize>) {
    const KINDS: [Treason; 9] = [
        Treason::Twins,
        Treason::Conflicter,
        Treason::Nuller,
        Treason::Outdated,
        Treason::Liar,
        Treason::Censor,
        Treason::Forger,
        Treason::Flooder,
        Treason::Silent,
    ];
    let faulty_max = (validators - 1) / 3;
    let (mut traitors, mut damaged) = (BTreeMap::new(), BTreeSet::new());
    for _ in 0..faulty_max {
        let at = draw.index(validators);
        if traitors.contains_key(&at) || damaged.contains(&at) || draw.happens(20) {
            continue;
        }
        if draw.happens(12) {
            damaged.insert(at);
        } else {
            traitors.insert(at, draw.one_of(&KINDS, Treason::Silent));
        }
    }
    (traitors, damaged)
}

/// Most clocks are off by less than a block's time may be ahead; a few by more.
fn skew(draw: &mut Draw) -> i64 {
    let off = match draw.between(0, 19) {
        0 => draw.between(0, 8_000),
        1..=8 => 0,
        _ => draw.between(0, 900),
    };
    let off = i64::try_from(off).unwrap_or(0);
    if draw.happens(50) { -off } else { off }
}

/// Whether a validator whose clock is off by so much votes too late, or proposes what the others wait for.
fn is_far_off(skew_ms: i64) -> bool {
    skew_ms.unsigned_abs() > CLOCK_AHEAD_MS_MAX
}

fn faults(draw: &mut Draw, validators: usize, honest: &[usize]) -> Vec<Fault> {
    let count = draw.between(4, 12);
    let mut faults = Vec::new();
    for _ in 0..count {
        let at_ms = draw.between(QUIET_MS, FAULTY_MS - 1_000);
        let validator = draw.one_of(honest, 0);
        let lasts = match draw.index(10) {
            0..=2 => draw.between(1, 60),
            3..=5 => draw.between(60, 800),
            6..=8 => draw.between(800, 6_000),
            _ => draw.between(6_000, FAULTY_MS),
        };
        let kind = match draw.index(14) {
            0..=2 => FaultKind::Crash(validator),
            3..=5 => FaultKind::CrashAtWrite {
                validator,
                write: draw.between(1, 6),
                lands: draw.happens(50),
            },
            6 => FaultKind::DiskFull(validator),
            7 | 8 => FaultKind::Partition(side(draw, validators)),
            9 => FaultKind::Deaf(validator),
            10 => FaultKind::Restored(validator),
            11 => FaultKind::Unreadable(validator),
            12 => FaultKind::JournalErrors(draw.between(1, 60)),
            _ => FaultKind::Slow(validator, draw.between(100, 900)),
        };
        let lasts = match kind {
            FaultKind::CrashAtWrite { .. } => lasts.max(WRITES_MS),
            _ => lasts,
        };
        faults.push(Fault {
            at_ms,
            until_ms: (at_ms + lasts).min(FAULTY_MS),
            kind,
        });
    }
    faults
}

fn side(draw: &mut Draw, validators: usize) -> BTreeSet<usize> {
    let size = 1 + draw.index(validators / 2);
    let mut side = BTreeSet::new();
    while side.len() < size {
        side.insert(draw.index(validators));
    }
    side
}

fn traffic(draw: &mut Draw, validators: usize, honest: &[usize]) -> Vec<Traffic> {
    let mut traffic: Vec<Traffic> = Vec::new();
    let mut numbers = 0..;
    for _ in 0..draw.between(12, 36) {
        let mut at_ms = draw.between(0, FAULTY_MS);
        let mut at = BTreeSet::from([draw.one_of(honest, 0)]);
        if draw.happens(25) {
            at.insert(draw.one_of(honest, 0));
        }
        let member = draw.index(validators);
        let items = draw.one_of(&[1, 1, 2, 5, 5, 120], 1);
        let plain = traffic
            .iter()
            .filter(|one| one.kind == TrafficKind::Plain)
            .collect::<Vec<_>>();
        let earlier = plain.get(draw.index(plain.len())).copied().cloned();
        let fresh = |numbers: &mut std::ops::RangeFrom<u64>| {
            let mut next = || numbers.next().unwrap_or(0);
            (0..items).map(|_| [next(), next()]).collect()
        };
        let (member, tags, kind) = match (draw.index(10), earlier) {
            (0, Some(one)) => ((one.member + 1) % validators, one.tags, TrafficKind::Copied),
            (1 | 2, Some(one)) => {
                if draw.happens(70) {
                    // Close to the first, so that the two race.
                    at_ms = one.at_ms + draw.between(0, 300);
                }
                let mut tags: Vec<[u64; 2]> = fresh(&mut numbers);
                tags.extend(one.tags.first());
                (one.member, tags, TrafficKind::SecondVersion)
            }
            (3, _) => (member, fresh(&mut numbers), TrafficKind::Forged),
            (4, _) => {
                let height = at_ms / 400 + draw.between(0, 20);
                (member, fresh(&mut numbers), TrafficKind::Expiring(height))
            }
            _ => (member, fresh(&mut numbers), TrafficKind::Plain),
        };
        traffic.push(Traffic {
            at_ms,
            member,
            at,
            tags,
            kind,
        });
    }
    traffic.sort_by_key(|one| one.at_ms);
    traffic
}
