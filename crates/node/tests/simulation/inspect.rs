//! Looks at running validators from outside: submits, notes what they acknowledge, and judges them at the end.

use contracts::rejection::Rejection;
use ledger::dump::Dump;
use ledger::ids::{Digest, Height};
use ledger::limits::CLOCK_AHEAD_MS_MAX;
use node::chain::{Chain, Position, SubmitError};
use sim::network::check::{self, Enrolled, Ledger, Violation};
use sim::network::plan::TrafficKind;

use crate::council;
use crate::proofs;
use crate::run::{Phase, honest};
use crate::validator::Running;
use crate::world::{Errand, World};

/// Between two submissions of the same statement at the same validator.
const SUBMIT_EVERY_MS: u64 = 400;
/// What the runtime says where it refuses a journal's write; the engine may find that much later.
const INJECTED: &str = "injected storage fault";
/// After the last error of a journal that ends it without a word, its validator has stopped within this time.
const JOURNAL_NOTICED_MS: u64 = 500;

/// One look at all validators that run.
pub(crate) fn look(phase: &mut Phase<'_>, now: u64) {
    let validators: Vec<usize> = phase.running.keys().copied().collect();
    for validator in validators {
        if phase.world.seats[validator].disk.is_dark() {
            phase.world.count("writes cut off by a loss of power");
            phase.kill(validator, now + 300);
            continue;
        }
        let running = &phase.running[&validator];
        if let Some(why) = running.ended() {
            stopped(phase, validator, &why, now);
            continue;
        }
        let chosen = phase.world.seats[validator].with_keys_of(&running.chain);
        if chosen.own().public != running.key {
            // As an operator would, once it has other keys.
            phase.world.count("restarts with another validator's key");
            phase.kill(validator, now + 200);
            continue;
        }
        if !phase.world.is_honest(validator) {
            continue;
        }
        let chain = running.chain.clone();
        phase.world.forget_refusals(validator, now);
        note_tip(phase.world, validator, &chain, now);
        submit(phase.world, validator, &chain, now);
        acknowledge(phase.world, validator, &chain);
        proofs::published(phase.world, validator, &chain);
    }
}

/// A validator ended on its own: a fault explains it, or it is a fault of ours.
fn stopped(phase: &mut Phase<'_>, validator: usize, why: &str, now: u64) {
    let refused = phase.world.seats[validator].disk.refused();
    let explained = refused > phase.world.refused[validator];
    phase.world.refused[validator] = refused;
    let of_journals = why.contains(INJECTED);
    if of_journals || now <= phase.world.errors_until_ms + JOURNAL_NOTICED_MS {
        phase.world.count("journal errors that stopped a validator");
        phase.kill(validator, now + 300);
    } else if explained {
        phase
            .world
            .count("refused reads and writes that stopped a validator");
        // As a supervisor would: again and again, until there is space.
        phase.kill(validator, now + 300);
    } else if phase.world.is_honest(validator) {
        let violation = Violation::Stopped(validator, why.to_owned());
        phase.world.violations.push(violation);
    } else {
        phase.world.count("damage that stopped a validator");
        phase.running.remove(&validator);
    }
}

/// A validator did not start: it is tried again if its disk explains that.
pub(crate) fn not_started(phase: &mut Phase<'_>, validator: usize, why: String) {
    let now = phase.now();
    let disk = &phase.world.seats[validator].disk;
    let (refused, is_dark) = (disk.refused(), disk.is_dark());
    if is_dark || refused > phase.world.refused[validator] {
        phase.world.refused[validator] = refused;
        phase.restarts.insert(validator, now + 300);
    } else if phase.world.is_honest(validator) {
        let violation = Violation::Stopped(validator, why);
        phase.world.violations.push(violation);
    }
}

/// Notes how far a validator is; its blocks must not be ahead of everybody's time.
pub(crate) fn note_tip(world: &mut World, validator: usize, chain: &Chain, now: u64) {
    let tip = chain.tip();
    if tip.height.0 <= world.shown[validator] {
        return;
    }
    world.shown[validator] = tip.height.0;
    let registry = chain.registry();
    world.committees.note(&registry, tip.height);
    if world.is_honest(validator) {
        world.enrolled.insert(Enrolled {
            validator,
            height: tip.height,
            registry: Digest::of(&registry.encode()),
        });
    }
    let clocks = honest(&world.plan);
    let ahead = clocks.iter().map(|at| world.plan.skews_ms[*at]).max();
    let real = world.genesis.time.0 + 3_600_000 + now;
    let latest = real.saturating_add_signed(ahead.unwrap_or(0).max(0)) + CLOCK_AHEAD_MS_MAX;
    if tip.time.0 > latest && world.is_honest(validator) {
        let violation = Violation::AheadOfTime(validator, tip.height, tip.time.0 - latest);
        world.violations.push(violation);
    }
}

fn submit(world: &mut World, validator: usize, chain: &Chain, now: u64) {
    let mut taken = Vec::new();
    for errand in &mut world.errands {
        let due = errand.submitted.get(&validator).copied();
        let due = due.unwrap_or(errand.traffic.at_ms);
        let settled = errand.acknowledged.contains_key(&validator);
        if !errand.traffic.at.contains(&validator) || settled || now < due {
            continue;
        }
        errand.submitted.insert(validator, now + SUBMIT_EVERY_MS);
        let forged = errand.traffic.kind == TrafficKind::Forged;
        match chain.submit(errand.statement.clone()) {
            Ok(()) if forged => taken.push("a forged statement".to_owned()),
            Err(SubmitError::Rejected(
                Rejection::TagUsed { .. } | Rejection::MemberSuspended(_),
            )) => {}
            Err(SubmitError::Rejected(why)) if must_be_final(errand) => {
                taken.push(format!("nothing, a valid statement was refused: {why}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let taken = taken
        .into_iter()
        .map(|what| Violation::Taken(validator, what));
    world.violations.extend(taken);
}

/// Where the very statement of `errand` stands in the chain.
pub(crate) fn position(chain: &Chain, errand: &Errand) -> Option<Position> {
    let tag = errand.statement.items().first()?.tags[0];
    let position = chain.locate(errand.statement.member(), tag).ok()??;
    let statement = chain.statement(position.statement).ok()??;
    (statement.digest() == errand.digest).then_some(position)
}

fn acknowledge(world: &mut World, validator: usize, chain: &Chain) {
    for errand in &mut world.errands {
        if errand.acknowledged.contains_key(&validator) {
            continue;
        }
        if let Some(position) = position(chain, errand) {
            errand.acknowledged.insert(validator, position.statement);
        }
    }
}

/// After a start, everything is there that was shown before.
pub(crate) fn started(phase: &mut Phase<'_>, validator: usize) {
    if !phase.world.is_honest(validator) {
        return;
    }
    let chain = phase.running[&validator].chain.clone();
    let lost = lost(phase.world, validator, &chain);
    phase.world.violations.extend(lost);
}

fn lost(world: &World, validator: usize, chain: &Chain) -> Option<Violation> {
    let shown = world.shown[validator];
    let height = chain.tip().height.0;
    if height < shown {
        let what = format!("height {shown}, now {height}");
        return Some(Violation::Lost(validator, what));
    }
    for (number, errand) in world.errands.iter().enumerate() {
        let Some(index) = errand.acknowledged.get(&validator) else {
            continue;
        };
        let now = position(chain, errand).map(|position| position.statement);
        if now != Some(*index) {
            let what = format!("statement {number} at {index}, now at {now:?}");
            return Some(Violation::Lost(validator, what));
        }
    }
    None
}

/// What is not well yet, though all faults are over.
pub(crate) fn unsettled(phase: &Phase<'_>, target: u64, now: u64) -> Option<Violation> {
    let world = &phase.world;
    for validator in honest(&world.plan) {
        let height = world.shown[validator];
        if height < target || !phase.running.contains_key(&validator) {
            return Some(Violation::Stuck(validator, Height(height)));
        }
        if let Some(what) = world.council.undone(&phase.running[&validator].chain) {
            return Some(Violation::NotGoverned(validator, what));
        }
        let last = world.errands.iter();
        let last = last.filter_map(|errand| errand.acknowledged.get(&validator));
        if let Some(index) = last.max().filter(|last| {
            let size = world.last_published.get(&validator);
            size.is_none_or(|size| size <= *last)
        }) {
            return Some(Violation::NotPublished(validator, *index));
        }
        for (number, errand) in world.errands.iter().enumerate() {
            if !must_be_final(errand) || errand.traffic.at_ms > now {
                continue;
            }
            // It is final here, or another version of it is.
            let rivals = world.errands.iter().filter(|other| collide(errand, other));
            let mut settled = rivals.filter(|one| one.acknowledged.contains_key(&validator));
            if settled.next().is_none() {
                return Some(Violation::NotFinal(number, validator));
            }
        }
    }
    None
}

fn must_be_final(errand: &Errand) -> bool {
    !matches!(
        errand.traffic.kind,
        TrafficKind::Forged | TrafficKind::Expiring(_)
    )
}

/// Whether at most one of two statements can be final; each collides with itself.
fn collide(one: &Errand, other: &Errand) -> bool {
    let tags = |errand: &Errand| errand.traffic.tags.clone();
    one.traffic.member == other.traffic.member
        && tags(one).iter().any(|pair| tags(other).contains(pair))
}

/// Counts what the validators that run have seen of the traitors.
pub(crate) fn tally(phase: &mut Phase<'_>) {
    let running = std::mem::take(&mut phase.running);
    for (validator, one) in &running {
        count_seen(phase.world, *validator, one);
    }
    phase.running = running;
}

/// Counts what a validator has seen of the traitors since it was started.
pub(crate) fn count_seen(world: &mut World, validator: usize, running: &Running) {
    if world.is_honest(validator) {
        let contradictions = running.status.read().contradictions;
        world.add(
            "sightings of a validator that votes against itself",
            contradictions,
        );
        let refused = running.sights.refused();
        let count = u64::try_from(refused.len()).unwrap();
        world.add("sightings of an invalid proposal", count);
        world.verdicts[validator].extend(refused);
    }
}

/// The checks at the end.
pub(crate) fn judge(phase: &mut Phase<'_>) {
    let mut ledgers = Vec::new();
    let mut violations = Vec::new();
    for validator in honest(&phase.world.plan) {
        let Some(running) = phase.running.get(&validator) else {
            continue;
        };
        violations.extend(lost(phase.world, validator, &running.chain));
        let chain = running.chain.clone();
        violations.extend(proofs::receipts(phase.world, validator, &chain));
        violations.extend(proofs::continuity(phase.world, validator, &chain));
        match ledger(validator, &running.chain) {
            Ok(ledger) => ledgers.push(ledger),
            Err(why) => violations.push(Violation::NotReplayed(validator, why)),
        }
    }
    violations.extend(check::check(&phase.world.genesis, &ledgers));
    let changes = phase.running.values().map(|one| changes(&one.chain)).max();
    let validators_changed = "changes of the validators";
    phase.world.add(validators_changed, changes.unwrap_or(0));
    let enrolled: Vec<Enrolled> = phase.world.enrolled.iter().copied().collect();
    let genesis = &phase.world.genesis;
    violations.extend(check::check_enrolled(genesis, &ledgers, &enrolled));
    for command in ledgers.first().map(council::commands).unwrap_or_default() {
        phase.world.count(command);
    }
    violations.extend(check::check_published(&ledgers, &phase.world.published));
    violations.extend(refusals(phase.world, &ledgers));
    let forged = phase.world.errands.iter();
    let forged = forged.filter(|errand| errand.traffic.kind == TrafficKind::Forged);
    for errand in forged.filter(|errand| !errand.acknowledged.is_empty()) {
        let what = format!("the forged statement {}", errand.digest);
        violations.push(Violation::Taken(usize::MAX, what));
    }
    phase.world.violations.extend(violations);
}

/// How often the validators have changed.
fn changes(chain: &Chain) -> u64 {
    let registry = chain.registry();
    let epoch = registry.rules().epoch_of(chain.tip().height);
    let spans = registry.schedule().iter();
    let past = spans.filter(|span| span.from <= epoch).count();
    u64::try_from(past - 1).unwrap()
}

/// A verdict is the same everywhere: what became final was refused by nobody.
fn refusals(world: &World, ledgers: &[Ledger]) -> Option<Violation> {
    let blocks = ledgers.iter().flat_map(|ledger| &ledger.blocks);
    let headers = blocks.map(|dumped| &dumped.block.header);
    for header in headers {
        let digest = header.digest().0;
        let mut verdicts = world.verdicts.iter();
        if let Some(validator) = verdicts.position(|refused| refused.contains(&digest)) {
            return Some(Violation::Refused(validator, header.height));
        }
    }
    None
}

fn ledger(validator: usize, chain: &Chain) -> Result<Ledger, String> {
    let mut dump = Vec::new();
    chain.dump(&mut dump).map_err(|error| error.to_string())?;
    let dump = Dump::read(&dump).map_err(|error| error.to_string())?;
    let blocks = dump.collect::<Result<_, _>>();
    Ok(Ledger {
        validator,
        blocks: blocks.map_err(|error| error.to_string())?,
        registry: chain.registry().encode(),
    })
}
