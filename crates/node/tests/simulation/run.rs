//! Runs a plan: phases between power cuts, faults as they come, checks at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::simulated::{self, Link, Oracle};
use commonware_runtime::deterministic::{
    self, Checkpoint, Context, FaultConfig, PartialWriteMode, Runner, WriteConfig,
};
use commonware_runtime::{Clock as _, Handle, Supervisor as _};
use commonware_utils::{NZUsize, Probability};
use ledger::ids::Digest;
use node::engine::wiring::max_message_bytes;
use sim::network::check::Violation;
use sim::network::plan::{FaultKind, Plan, Treason};

use crate::player::Player;
use crate::validator::{self, Running, now_ms};
use crate::world::{Mutation, World};
use crate::{council, inspect, traitors};

/// Between two looks at the network.
const LOOK: Duration = Duration::from_millis(40);
/// After the last fault, everything has to be well within this time.
const HEALING_MS: u64 = 120_000;
/// Heights that everybody has to gain after the last fault.
const PROGRESS: u64 = 5;

/// What came out of a run.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    pub(crate) injected: BTreeMap<&'static str, u64>,
    pub(crate) simulated_ms: u64,
    pub(crate) height: u64,
    pub(crate) epochs: u64,
    pub(crate) statements: usize,
    /// Digest of everything that happened.
    pub(crate) trace: Digest,
}

/// One phase: from the power coming on to its next cut, or to the end.
pub(crate) struct Phase<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) context: Context,
    pub(crate) oracle: Oracle<PublicKey, Context>,
    /// Time since the first phase began.
    pub(crate) began_ms: u64,
    pub(crate) running: BTreeMap<usize, Running>,
    /// When a validator that is down starts again.
    pub(crate) restarts: BTreeMap<usize, u64>,
    links: BTreeMap<(usize, usize), (u64, u64)>,
    traitors: Vec<Handle<()>>,
}

/// Runs `plan`, with a broken rule if that is what is to be found.
pub(crate) fn run(plan: &Plan, mutation: Option<Mutation>) -> Outcome {
    let mut world = World::new(plan.clone(), mutation);
    let began_ms = world.genesis.time.0 + 3_600_000;
    let mut checkpoint: Option<Checkpoint> = None;
    let cuts = plan.power_cuts_ms.iter().copied().map(Some);
    let mut simulated_ms = 0;
    let mut trace = Vec::new();
    for cut in cuts.chain([None]) {
        let runner = checkpoint
            .take()
            .map_or_else(|| runner(plan, began_ms), Runner::from);
        let (ended, left) = runner.start_and_recover(|context| {
            let world = &mut world;
            async move {
                let mut phase = Phase::begin(world, context, began_ms).await;
                phase.run(cut).await;
                phase.end(cut.is_none())
            }
        });
        simulated_ms = ended.0;
        trace.extend(ended.1);
        trace.extend(left.auditor().state().bytes());
        checkpoint = Some(left);
        if cut.is_some() {
            world.count(match plan.retained_percent {
                0 => "power cuts",
                _ => "power cuts that tear the journals' last writes",
            });
            for seat in &world.seats {
                seat.disk.crash(0);
            }
            world.notes.clear();
            world.last_published.clear();
        }
        if !world.violations.is_empty() {
            break;
        }
    }
    world.violations.extend(world.ballot.violations());
    for weather in world.seats.clone().into_iter().map(|seat| seat.weather) {
        world.add("lost messages", weather.lost());
        world.add("overtaken messages", weather.overtaken());
    }
    let height = world.shown.iter().copied().max().unwrap_or(0);
    Outcome {
        violations: world.violations,
        injected: world.injected,
        simulated_ms,
        height,
        epochs: 1 + height / plan.epoch_blocks,
        statements: world.plan.traffic.len(),
        trace: Digest::of(&trace),
    }
}

/// What the journals' disk does: it tears what is not synced, and refuses `permille` of writes and syncs.
fn faults(plan: &Plan, permille: u64) -> FaultConfig {
    let retained = Probability::new(plan.retained_percent, 100).unwrap();
    let refused = Probability::new(permille, 1_000).unwrap();
    let faults = FaultConfig::default().write(WriteConfig {
        failure_rate: refused,
        retention_rate: retained,
        mode: if plan.seed.is_multiple_of(2) {
            PartialWriteMode::Prefix
        } else {
            PartialWriteMode::Subset
        },
    });
    faults.sync(refused)
}

fn runner(plan: &Plan, began_ms: u64) -> Runner {
    Runner::new(
        deterministic::Config::new()
            .with_seed(plan.seed)
            .with_start_time(UNIX_EPOCH + Duration::from_millis(began_ms))
            .with_catch_panics(true)
            .with_storage_fault_config(faults(plan, 0)),
    )
}

impl<'a> Phase<'a> {
    async fn begin(world: &'a mut World, context: Context, began_ms: u64) -> Self {
        let keys = world.seats.iter().flat_map(|seat| &seat.keys);
        let keys: Vec<PublicKey> = keys.map(|keys| keys.public.clone()).collect();
        let settings = simulated::Config {
            max_size: max_message_bytes::<Player>(&world.seats[0].config),
            max_peers_per_set: NZUsize!(16),
            disconnect_on_block: world.plan.blocks_traitors,
            tracked_peer_sets: NZUsize!(1),
        };
        let child = context.child("network");
        let (network, oracle) = simulated::Network::new_with_peers(child, settings, keys).await;
        network.start();
        let mut phase = Self {
            world,
            context,
            oracle,
            began_ms,
            running: BTreeMap::new(),
            restarts: BTreeMap::new(),
            links: BTreeMap::new(),
            traitors: Vec::new(),
        };
        phase.relink(phase.now()).await;
        for validator in 0..phase.world.plan.validators {
            phase.start(validator);
        }
        phase
    }

    /// Milliseconds since the first phase began.
    pub(crate) fn now(&self) -> u64 {
        now_ms(&self.context) - self.began_ms
    }

    async fn run(&mut self, cut: Option<u64>) {
        let mut healed_at = None;
        loop {
            let now = self.now();
            if cut.is_some_and(|cut| now >= cut) || !self.world.violations.is_empty() {
                return;
            }
            self.strike(now).await;
            self.restart(now);
            inspect::look(self, now);
            council::sit(self, now);
            if now >= self.world.plan.heals_at_ms && cut.is_none() {
                let target = *healed_at.get_or_insert_with(|| self.highest() + PROGRESS);
                match inspect::unsettled(self, target, now) {
                    None => return,
                    Some(why) if now > self.world.plan.heals_at_ms + HEALING_MS => {
                        self.world.violations.push(why);
                        return;
                    }
                    Some(_) => {}
                }
            }
            self.context.sleep(self.pause(now, cut)).await;
        }
    }

    /// How long nothing needs to be done.
    fn pause(&self, now: u64, cut: Option<u64>) -> Duration {
        let faults = self.world.plan.faults.iter();
        let next = faults
            .flat_map(|fault| [fault.at_ms, fault.until_ms])
            .chain(self.restarts.values().copied())
            .chain(cut)
            .filter(|at| *at > now)
            .min();
        let next = next.map_or(LOOK, |at| Duration::from_millis(at - now));
        next.min(LOOK)
    }

    /// Ends the phase: gives its duration, and a digest of the chains that are left.
    fn end(mut self, is_last: bool) -> (u64, Vec<u8>) {
        let mut tips = Vec::new();
        for running in self.running.values() {
            let tip = running.chain.tip();
            tips.extend(tip.digest.0);
            tips.extend(tip.state_root.0.0);
        }
        inspect::tally(&mut self);
        if is_last || !self.world.violations.is_empty() {
            inspect::judge(&mut self);
        }
        (self.now(), tips)
    }

    pub(crate) fn highest(&self) -> u64 {
        self.world.shown.iter().copied().max().unwrap_or(0)
    }

    /// Begins and ends the faults whose time has come.
    async fn strike(&mut self, now: u64) {
        let faults = self.world.plan.faults.clone();
        let mut relink = false;
        for (number, fault) in faults.iter().enumerate() {
            let (begins, ends) = (fault.at_ms <= now, fault.until_ms <= now);
            let state = self.world.struck.get(&number).copied();
            if begins && state.is_none() {
                self.world.struck.insert(number, false);
                self.begin_fault(&fault.kind, fault.until_ms);
                relink = true;
            }
            if ends && self.world.struck.get(&number) == Some(&false) {
                self.world.struck.insert(number, true);
                self.end_fault(&fault.kind);
                relink = true;
            }
        }
        if relink {
            self.relink(now).await;
        }
    }

    fn begin_fault(&mut self, kind: &FaultKind, until_ms: u64) {
        match kind {
            FaultKind::Crash(validator) => {
                self.world.count("crashes");
                self.kill(*validator, until_ms);
            }
            FaultKind::CrashAtWrite {
                validator,
                write,
                lands,
            } => self.world.seats[*validator].disk.trap(*write, *lands),
            FaultKind::DiskFull(validator) => {
                self.world.count("full disks");
                self.world.seats[*validator].disk.fill(true);
            }
            FaultKind::Unreadable(validator) => {
                self.world.count("unreadable disks");
                self.world.seats[*validator].disk.hide(true);
            }
            FaultKind::Deaf(_) => self.world.count("deaf validators"),
            FaultKind::JournalErrors(permille) => {
                self.world.count("spells of journal errors");
                self.world.errors_until_ms = until_ms;
                *self.context.storage_fault_config().write() = faults(&self.world.plan, *permille);
            }
            FaultKind::Partition(_) => self.world.count("partitions"),
            FaultKind::Restored(validator) => self.world.back_up(*validator),
            FaultKind::Slow(..) => self.world.count("slow validators"),
            FaultKind::DamagedRow(validator) => {
                self.world.count("damaged rows");
                let number = usize::try_from(self.world.plan.seed).unwrap_or(0);
                self.world.seats[*validator].disk.damage(number * 7 + 3);
            }
        }
    }

    fn end_fault(&mut self, kind: &FaultKind) {
        match kind {
            FaultKind::Restored(validator) => {
                self.world.count("restored backups");
                self.kill(*validator, self.now());
                self.world.restore(*validator);
            }
            FaultKind::CrashAtWrite { validator, .. } => self.world.seats[*validator].disk.disarm(),
            FaultKind::DiskFull(validator) => self.world.seats[*validator].disk.fill(false),
            FaultKind::Unreadable(validator) => self.world.seats[*validator].disk.hide(false),
            FaultKind::JournalErrors(_) => {
                *self.context.storage_fault_config().write() = faults(&self.world.plan, 0);
            }
            _ => {}
        }
    }

    /// Kills a validator, which starts again at `until_ms`.
    pub(crate) fn kill(&mut self, validator: usize, until_ms: u64) {
        if let Some(running) = self.running.remove(&validator) {
            inspect::note_tip(self.world, validator, &running.chain, self.now());
            inspect::count_seen(self.world, validator, &running);
            running.kill();
            self.world.notes.remove(&validator);
            self.world.last_published.remove(&validator);
            self.world.seats[validator].disk.crash(0);
            self.restarts.insert(validator, until_ms);
        }
    }

    fn restart(&mut self, now: u64) {
        let due: Vec<usize> = self
            .restarts
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(validator, _)| *validator)
            .collect();
        for validator in due {
            self.restarts.remove(&validator);
            self.world.count("restarts");
            self.start(validator);
        }
    }

    /// Starts a validator, whatever it is.
    fn start(&mut self, validator: usize) {
        let seat = self.world.seat(validator);
        let (context, oracle) = (&self.context, &self.oracle);
        match self.world.plan.traitors.get(&validator).copied() {
            None | Some(Treason::Liar | Treason::Censor | Treason::Forger) => {
                match validator::start(context, oracle, &seat) {
                    Ok(running) => {
                        self.running.insert(validator, running);
                        inspect::started(self, validator);
                    }
                    Err(why) => inspect::not_started(self, validator, why),
                }
            }
            Some(Treason::Twins) => {
                let others = self
                    .world
                    .seats
                    .iter()
                    .filter(|one| one.number != validator);
                let keys = others.step_by(2).flat_map(|one| one.keys.clone());
                let second = keys.map(|keys| keys.public).collect();
                let seats = [seat, self.world.twin(validator)];
                let task = validator::start_twins(context, oracle, seats, second);
                self.traitors.push(task);
            }
            Some(Treason::Silent) => {}
            Some(treason) => {
                let task = traitors::start(context, oracle, &seat, treason);
                self.traitors.push(task);
            }
        }
    }

    /// Makes all links what the faults of this time make of them.
    async fn relink(&mut self, now: u64) {
        let plan = self.world.plan.clone();
        let active: Vec<&FaultKind> = plan
            .faults
            .iter()
            .filter(|fault| fault.at_ms <= now && now < fault.until_ms)
            .map(|fault| &fault.kind)
            .collect();
        for from in 0..plan.validators {
            for to in (0..plan.validators).filter(|to| *to != from) {
                let wanted = quality(&plan, &active, from, to);
                if self.links.get(&(from, to)) == wanted.as_ref() {
                    continue;
                }
                let is_linked = self.links.remove(&(from, to)).is_some();
                self.links.extend(wanted.map(|wanted| ((from, to), wanted)));
                for sender in self.world.seats[from].keys.clone() {
                    for receiver in &self.world.seats[to].keys {
                        let ends = (sender.public.clone(), receiver.public.clone());
                        link(&self.oracle, ends, is_linked, wanted).await;
                    }
                }
            }
        }
    }
}

/// Makes the link from one key to another what is wanted.
async fn link(
    oracle: &Oracle<PublicKey, Context>,
    (sender, receiver): (PublicKey, PublicKey),
    is_linked: bool,
    wanted: Option<(u64, u64)>,
) {
    if is_linked {
        let removed = oracle.remove_link(sender.clone(), receiver.clone());
        removed.await.unwrap();
    }
    let Some((latency, jitter)) = wanted else {
        return;
    };
    let link = Link {
        latency: Duration::from_millis(latency),
        jitter: Duration::from_millis(jitter),
        // What is lost is lost on arrival, where it is counted.
        success_rate: Probability::new(1, 1).unwrap(),
    };
    oracle.add_link(sender, receiver, link).await.unwrap();
}

/// Latency and jitter from one validator to another, if they are connected.
fn quality(plan: &Plan, active: &[&FaultKind], from: usize, to: usize) -> Option<(u64, u64)> {
    let mut latency = plan.link.latency_ms;
    for kind in active {
        match kind {
            FaultKind::Partition(side) if side.contains(&from) != side.contains(&to) => {
                return None;
            }
            FaultKind::Deaf(deaf) if *deaf == to => return None,
            FaultKind::Slow(slow, more) if [from, to].contains(slow) => latency += more,
            _ => {}
        }
    }
    Some((latency, plan.link.jitter_ms))
}

/// Validators of which something is expected.
pub(crate) fn honest(plan: &Plan) -> BTreeSet<usize> {
    plan.honest().into_iter().collect()
}
