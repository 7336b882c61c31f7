//! A network under a plan: what outlives its validators' crashes, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::Signer as _;
use commonware_cryptography::ed25519::PrivateKey;
use contracts::membership::{Registry, ValidatorKeys};
use ledger::genesis::{Genesis, Rules};
use ledger::ids::{Digest, Height, Tag};
use ledger::item::Item;
use ledger::limits::CLOCK_AHEAD_MS_MAX;
use ledger::statement::SubmittedStatement;
use node::engine::EngineConfig;
use sim::forge::Forge;
use sim::network::check::{Enrolled, Published, Violation};
use sim::network::plan::{Plan, Traffic, TrafficKind, Treason};

use crate::acquaintances::Acquaintances;
use crate::committees::Committees;
use crate::cosigning::{self, cosigner};
use crate::council::Council;
use crate::disk::{Flaw, MemoryDisk};
use crate::player::Role;
use crate::validator::{Keys, Seat};
use crate::votes::Ballot;
use crate::weather::Weather;

/// The network's block interval.
const INTERVAL: Duration = Duration::from_millis(200);

/// Between two statements after the last fault.
const CLOSING_EVERY_MS: usize = 5_000;
/// How many there are at most.
const CLOSING: usize = 24;

/// Blocks in which members vote on a proposal.
const PROPOSAL_BLOCKS: u64 = 40;

/// After a disk's last refusal, its validator has stopped within this time, if it stops because of it.
const REFUSAL_NOTICED_MS: u64 = 1_000;

/// A rule that all honest validators break, to see that the checks find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Their stores break a rule of the port.
    Store(Flaw),
    /// They play another role.
    Play(Role),
    /// They forget their votes when they stop.
    ForgetVotes,
}

/// A statement that is submitted until it is final, and where it is.
pub(crate) struct Errand {
    pub(crate) traffic: Traffic,
    pub(crate) statement: SubmittedStatement,
    pub(crate) digest: Digest,
    /// When it is submitted again, by validator.
    pub(crate) submitted: BTreeMap<usize, u64>,
    /// Validators that acknowledged it as final, and its place in their logs.
    pub(crate) acknowledged: BTreeMap<usize, u64>,
}

/// All that outlives a crash.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) genesis: Genesis,
    pub(crate) seats: Vec<Seat>,
    pub(crate) errands: Vec<Errand>,
    pub(crate) council: Council,
    pub(crate) ballot: Ballot,
    pub(crate) committees: Committees,
    /// The highest height that each validator showed.
    pub(crate) shown: Vec<u64>,
    /// Writes that each disk refused, as far as they are explained.
    pub(crate) refused: Vec<u64>,
    /// Faults that have begun, and whether they have ended.
    pub(crate) struck: BTreeMap<usize, bool>,
    /// Blocks that validators found invalid.
    pub(crate) verdicts: Vec<BTreeSet<[u8; 32]>>,
    /// Until when a journal's error may stop a validator.
    pub(crate) errors_until_ms: u64,
    /// The newest checkpoint that each validator publishes, and its size, until it stops.
    pub(crate) notes: BTreeMap<usize, Vec<u8>>,
    pub(crate) last_published: BTreeMap<usize, u64>,
    /// All that honest validators ever published.
    pub(crate) published: Vec<Published>,
    /// The registries that honest validators had.
    pub(crate) enrolled: BTreeSet<Enrolled>,
    /// Since when a validator goes on although its disk refused something.
    forgiven: BTreeMap<usize, u64>,
    /// What validators had shown and acknowledged when their backups were made.
    backups: BTreeMap<usize, (u64, BTreeMap<usize, u64>)>,
    pub(crate) starts: u64,
    pub(crate) injected: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<Violation>,
}

impl World {
    pub(crate) fn new(plan: Plan, mutation: Option<Mutation>) -> Self {
        let names: Vec<String> = (0..plan.validators)
            .map(|at| format!("member-{at}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rules = Rules {
            epoch_blocks: plan.epoch_blocks,
            proposal_blocks: PROPOSAL_BLOCKS,
            ..Rules::default()
        };
        let cosigned_by = |seed: &[u8; 32]| Some(cosigning::public(seed));
        let mut forge = Forge::found_with(&names, Some(rules), cosigned_by).unwrap();
        let genesis = forge.genesis().clone();
        let committees = Committees::of(&Registry::from_genesis(&genesis).unwrap());
        let closing = closing(&plan);
        let traffic = plan.traffic.iter().chain(&closing);
        let errands = traffic.map(|one| errand(&mut forge, one, names[one.member]));
        let errands = errands.collect();
        let (ballot, acquaintances) = (Ballot::default(), Acquaintances::default());
        let seats = names.iter().enumerate().map(|(number, name)| {
            let seed = forge.validator_seed(name).unwrap();
            let seeds = [seed, later(&seed)];
            let keys = seeds.map(|seed| keys(&forge, name, seed)).to_vec();
            let shared = (&genesis, &ballot, &committees, &acquaintances);
            seat((&plan, mutation), number, keys, shared)
        });
        let seats: Vec<Seat> = seats.collect();
        let later = seats.iter().map(|seat| {
            let keys = &seat.keys[1];
            ValidatorKeys {
                vote: ledger::genesis::PublicKey(keys.public.as_ref().try_into().unwrap()),
                cosigner: Some(cosigning::public(&keys.seed)),
            }
        });
        let council = Council::new(forge, later.collect(), plan.motions.clone());
        let mut world = Self {
            mutation,
            genesis,
            seats,
            errands,
            council,
            ballot,
            committees,
            shown: vec![0; plan.validators],
            refused: vec![0; plan.validators],
            struck: BTreeMap::new(),
            backups: BTreeMap::new(),
            verdicts: vec![BTreeSet::new(); plan.validators],
            errors_until_ms: 0,
            notes: BTreeMap::new(),
            last_published: BTreeMap::new(),
            published: Vec::new(),
            enrolled: BTreeSet::new(),
            forgiven: BTreeMap::new(),
            starts: 0,
            injected: BTreeMap::new(),
            violations: Vec::new(),
            plan,
        };
        for skew_ms in world.plan.skews_ms.clone() {
            match skew_ms.unsigned_abs() {
                0 => {}
                1..=CLOCK_AHEAD_MS_MAX => world.count("clocks off by at most two seconds"),
                _ => world.count("clocks off by more than two seconds"),
            }
        }
        for treason in world.plan.traitors.clone().into_values() {
            world.count(name_of(treason));
        }
        world
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.injected.entry(what).or_default() += count;
    }

    pub(crate) fn is_honest(&self, validator: usize) -> bool {
        self.plan.honest().contains(&validator)
    }

    /// What a sound disk refused some time ago explains no stop any more.
    pub(crate) fn forget_refusals(&mut self, validator: usize, now: u64) {
        let disk = &self.seats[validator].disk;
        if disk.refused() == self.refused[validator] || !disk.is_sound() {
            self.forgiven.remove(&validator);
            return;
        }
        let since = *self.forgiven.entry(validator).or_insert(now);
        if now > since + REFUSAL_NOTICED_MS {
            self.refused[validator] = disk.refused();
        }
    }

    /// The seat of `validator` for its next start.
    pub(crate) fn seat(&mut self, validator: usize) -> Seat {
        self.starts += 1;
        let mut seat = self.seats[validator].clone();
        if self.mutation == Some(Mutation::ForgetVotes) {
            seat.forgets = Some(self.starts);
        }
        seat
    }

    /// Keeps what a validator's chain is now, and what it has shown of it.
    pub(crate) fn back_up(&mut self, validator: usize) {
        self.seats[validator].disk.back_up();
        let acknowledged = self.errands.iter().enumerate();
        let acknowledged = acknowledged.filter_map(|(number, errand)| {
            let index = errand.acknowledged.get(&validator)?;
            Some((number, *index))
        });
        let backup = (self.shown[validator], acknowledged.collect());
        self.backups.insert(validator, backup);
    }

    /// Puts the backup back: what came after it, nobody can expect of this validator.
    pub(crate) fn restore(&mut self, validator: usize) {
        self.seats[validator].disk.restore();
        let Some((shown, acknowledged)) = self.backups.remove(&validator) else {
            return;
        };
        self.shown[validator] = shown;
        for (number, errand) in self.errands.iter_mut().enumerate() {
            match acknowledged.get(&number) {
                Some(index) => errand.acknowledged.insert(validator, *index),
                None => errand.acknowledged.remove(&validator),
            };
        }
    }

    /// The second seat of a validator that is two.
    pub(crate) fn twin(&self, validator: usize) -> Seat {
        let mut seat = self.seats[validator].clone();
        seat.partition = format!("{}-twin", seat.partition);
        seat.disk = MemoryDisk::default();
        seat
    }
}

fn name_of(treason: Treason) -> &'static str {
    match treason {
        Treason::Twins => "twins",
        Treason::Conflicter => "conflicting voters",
        Treason::Nuller => "nullifying finalizers",
        Treason::Outdated => "outdated voters",
        Treason::Liar => "proposers of invalid blocks",
        Treason::Censor => "censors",
        Treason::Forger => "forgers of checkpoints",
        Treason::Flooder => "flooders",
        Treason::Silent => "silent validators",
    }
}

fn seat(
    (plan, mutation): (&Plan, Option<Mutation>),
    number: usize,
    keys: Vec<Keys>,
    (genesis, ballot, committees, acquaintances): (&Genesis, &Ballot, &Committees, &Acquaintances),
) -> Seat {
    let address = "127.0.0.1:1".parse().unwrap();
    let namespace = genesis.network().0.0.to_vec();
    let mut config = EngineConfig::new(keys[0].seed, address, "unused".into(), namespace);
    config.block_interval = INTERVAL;
    config.epoch_blocks = plan.epoch_blocks;
    let treason = plan.traitors.get(&number);
    let (role, flaw) = match (treason, mutation) {
        (Some(Treason::Liar), _) => (Role::Liar, Some(Flaw::ForgetsTags)),
        (Some(Treason::Censor), _) => (Role::Censor, None),
        (Some(Treason::Forger), _) => (Role::Forger, None),
        (None, Some(Mutation::Store(flaw))) => (Role::Fair, Some(flaw)),
        (None, Some(Mutation::Play(role))) => (role, None),
        _ => (Role::Fair, None),
    };
    Seat {
        number,
        genesis: genesis.clone(),
        config,
        keys,
        disk: MemoryDisk::with(flaw),
        partition: format!("validator-{number}"),
        forgets: None,
        committees: committees.clone(),
        skew_ms: plan.skews_ms[number],
        weather: Weather::of(plan.link),
        acquaintances: acquaintances.clone(),
        role,
        ballot: plan.honest().contains(&number).then(|| ballot.clone()),
    }
}

fn keys(forge: &Forge, member: &str, seed: [u8; 32]) -> Keys {
    let private = PrivateKey::decode(Copying(&seed)).unwrap();
    Keys {
        seed,
        public: private.public_key(),
        cosigner: cosigner(forge, member, seed),
    }
}

/// The seed of the keys that a validator takes after those of this one.
fn later(seed: &[u8; 32]) -> [u8; 32] {
    Digest::of(seed).0
}

/// Once the faults are over, a statement now and then, so that there is something to sign a checkpoint of.
///
/// One from before may lack signatures for good: of a validator with other keys now, where all have lost power since.
fn closing(plan: &Plan) -> Vec<Traffic> {
    let honest = plan.honest();
    let numbers = (1_000_000_u64..).step_by(2);
    let times = (plan.heals_at_ms..).step_by(CLOSING_EVERY_MS);
    let traffic = times
        .zip(numbers)
        .take(CLOSING)
        .map(|(at_ms, number)| Traffic {
            at_ms,
            member: honest[0],
            at: honest.iter().copied().collect(),
            tags: vec![[number, number + 1]],
            kind: TrafficKind::Plain,
        });
    traffic.collect()
}

fn errand(forge: &mut Forge, traffic: &Traffic, member: &str) -> Errand {
    let tag = |number: u64| {
        Tag(Digest::of(&number.to_be_bytes()).0[..16]
            .try_into()
            .unwrap())
    };
    let items = traffic.tags.iter().map(|pair| Item {
        tags: pair.map(tag),
        commitment: Digest::of(&pair[0].to_le_bytes()),
    });
    let expires_at = match traffic.kind {
        TrafficKind::Expiring(height) => height,
        _ => 9_000,
    };
    let statement = forge.statement_until(member, items.collect(), Height(expires_at));
    let mut statement = statement.unwrap();
    if traffic.kind == TrafficKind::Forged {
        statement = forged(&statement);
    }
    Errand {
        traffic: traffic.clone(),
        digest: statement.digest(),
        statement,
        submitted: BTreeMap::new(),
        acknowledged: BTreeMap::new(),
    }
}

/// The statement with a changed byte in the signature, with which its envelope ends.
fn forged(statement: &SubmittedStatement) -> SubmittedStatement {
    let (mut bytes, envelope) = (statement.encode(), statement.envelope());
    let at = bytes
        .windows(envelope.len())
        .position(|window| window == envelope);
    bytes[at.unwrap() + envelope.len() - 1] ^= 1;
    SubmittedStatement::decode(&bytes).unwrap()
}
