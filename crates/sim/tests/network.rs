//! P8: plans keep to their bounds, and the checks of simulated networks find what they are there to find.
#![cfg(test)]

use std::collections::BTreeSet;

use contracts::membership::Registry;
use ledger::dump::DumpedBlock;
use ledger::ids::{Digest, Height, Tag};
use ledger::item::Item;
use ledger::log::{self, Empty, LogAppend};
use sim::forge::{Forge, Forged};
use sim::network::check::{
    Enrolled, Ledger, Published, Violation, check, check_enrolled, check_published,
};
use sim::network::model::log_root;
use sim::network::motion::MotionKind;
use sim::network::plan::{FaultKind, Plan, TrafficKind};

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
const SEEDS: u64 = 2_000;

fn item(n: u8) -> Item {
    Item {
        tags: [Tag([n; 16]), Tag([n + 100; 16])],
        commitment: Digest::of(&[n]),
    }
}

fn forge() -> Forge {
    let mut forge = Forge::found(&MEMBERS).unwrap();
    for n in 1..=3 {
        let statement = forge.statement("clinic", vec![item(n)]).unwrap();
        forge.append(&[statement]).unwrap();
    }
    forge.append(&[]).unwrap();
    forge
}

fn ledger(validator: usize, forge: &Forge) -> Ledger {
    let blocks = forge
        .blocks()
        .iter()
        .map(|Forged { block, finality }| DumpedBlock {
            block: block.clone(),
            finality: Some(finality.clone()),
        });
    Ledger {
        validator,
        blocks: blocks.collect(),
        registry: Registry::from_genesis(forge.genesis()).unwrap().encode(),
    }
}

#[test]
fn n1_no_plan_has_more_faulty_validators_than_a_network_bears() {
    for plan in (0..SEEDS).map(Plan::draw) {
        let faulty = plan.validators - plan.honest().len();
        assert!(faulty <= plan.faulty_max(), "seed {}", plan.seed);
        assert!((4..=7).contains(&plan.validators));
    }
}

#[test]
fn n1_whoever_leaves_the_faulty_stay_few_enough() {
    let (mut kinds, mut returns) = (BTreeSet::new(), BTreeSet::new());
    for plan in (0..SEEDS).map(Plan::draw) {
        for motion in &plan.motions {
            assert!(motion.at_ms < plan.heals_at_ms, "seed {}", plan.seed);
            kinds.insert(match motion.kind {
                MotionKind::Announce(_) => 0,
                MotionKind::Dispute => 1,
                MotionKind::Rotation(_) => 2,
                MotionKind::Departure { is_suspended, .. } => 3 + u8::from(is_suspended),
            });
            let MotionKind::Departure { member, .. } = motion.kind else {
                continue;
            };
            let left = (0..plan.validators).filter(|at| *at != member);
            let honest = plan.honest();
            let faulty = left.filter(|at| !honest.contains(at)).count();
            assert!(faulty <= (plan.validators - 2) / 3, "seed {}", plan.seed);
            returns.insert(honest.contains(&member));
        }
    }
    assert_eq!((kinds.len(), returns.len()), (5, 2));
}

#[test]
fn n2_every_other_fault_ends_and_strikes_the_honest_only() {
    for plan in (0..SEEDS).map(Plan::draw) {
        let honest: BTreeSet<usize> = plan.honest().into_iter().collect();
        for fault in &plan.faults {
            let validator = match &fault.kind {
                FaultKind::DamagedRow(_) => continue,
                FaultKind::JournalErrors(_) => None,
                FaultKind::Partition(side) => {
                    assert!(!side.is_empty() && side.len() < plan.validators);
                    None
                }
                FaultKind::Crash(at)
                | FaultKind::Deaf(at)
                | FaultKind::DiskFull(at)
                | FaultKind::Restored(at)
                | FaultKind::Unreadable(at)
                | FaultKind::Slow(at, _) => Some(at),
                FaultKind::CrashAtWrite { validator, .. } => Some(validator),
            };
            assert!(fault.at_ms < fault.until_ms && fault.until_ms <= plan.heals_at_ms);
            assert!(validator.is_none_or(|at| honest.contains(at)));
        }
        assert!(plan.traffic.iter().all(|one| one.at.is_subset(&honest)));
    }
}

#[test]
fn n3_the_same_seed_gives_the_same_plan_and_seeds_differ() {
    for seed in 0..50 {
        assert_eq!(Plan::draw(seed), Plan::draw(seed));
        assert_ne!(Plan::draw(seed).traffic, Plan::draw(seed + 1).traffic);
    }
}

#[test]
fn every_kind_of_treason_fault_and_traffic_is_drawn() {
    let (mut treasons, mut faults, mut traffic) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for plan in (0..200).map(Plan::draw) {
        treasons.extend(plan.traitors.into_values());
        faults.extend(plan.faults.iter().map(|fault| match fault.kind {
            FaultKind::Crash(_) => 0,
            FaultKind::CrashAtWrite { lands, .. } => 1 + u8::from(lands),
            FaultKind::DiskFull(_) => 3,
            FaultKind::Partition(_) => 4,
            FaultKind::Slow(..) => 5,
            FaultKind::DamagedRow(_) => 6,
            FaultKind::Deaf(_) => 7,
            FaultKind::Restored(_) => 8,
            FaultKind::JournalErrors(_) => 9,
            FaultKind::Unreadable(_) => 10,
        }));
        traffic.extend(plan.traffic.iter().map(|one| match one.kind {
            TrafficKind::Expiring(_) => TrafficKind::Expiring(0),
            kind => kind,
        }));
    }
    assert_eq!((treasons.len(), faults.len(), traffic.len()), (9, 11, 5));
}

#[test]
fn the_model_of_the_log_agrees_with_the_log() {
    let mut log = LogAppend::after(0);
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for n in 0..70_u8 {
        assert_eq!(log_root(&entries), log.root(&Empty).unwrap(), "size {n}");
        log.push(log::leaf_hash(&[n; 5]), &Empty).unwrap();
        entries.push(vec![n; 5]);
    }
}

#[test]
fn sound_ledgers_of_any_length_pass() {
    let forge = forge();
    let mut short = ledger(1, &forge);
    short.blocks.truncate(2);
    assert_eq!(check(forge.genesis(), &[ledger(0, &forge), short]), []);
}

#[test]
fn two_blocks_at_one_height_are_found() {
    let (forge, mut other) = (forge(), Forge::found(&MEMBERS).unwrap());
    other.append(&[]).unwrap();
    let ledgers = [ledger(0, &forge), ledger(3, &other)];
    let found = check(forge.genesis(), &ledgers);
    assert_eq!(found, [Violation::Disagreement(0, 3, Height(1))]);
}

#[test]
fn a_tag_that_is_used_twice_is_found_by_model_and_contracts() {
    let mut forge = forge();
    let second = forge.statement("clinic", vec![item(9), item(2)]).unwrap();
    forge.append(&[second]).unwrap();
    let found = check(forge.genesis(), &[ledger(2, &forge)]);
    assert!(
        matches!(
            found.as_slice(),
            [
                Violation::TagTwice(2, Height(5), _),
                Violation::NotReplayed(2, _)
            ]
        ),
        "{found:?}"
    );
}

#[test]
fn a_log_that_is_not_appended_to_is_found_by_model_and_contracts() {
    let forge = forge();
    let mut ledger = ledger(0, &forge);
    ledger.blocks[1].block.header.log_root = Digest::of(b"another log");
    let found = check(forge.genesis(), &[ledger]);
    assert!(
        matches!(
            found.as_slice(),
            [
                Violation::LogNotAppended(0, Height(2)),
                Violation::NotReplayed(0, _)
            ]
        ),
        "{found:?}"
    );
}

#[test]
fn a_certificate_of_another_block_is_found() {
    let forge = forge();
    let mut ledger = ledger(0, &forge);
    ledger.blocks[2].finality = ledger.blocks[1].finality.clone();
    let found = check(forge.genesis(), &[ledger]);
    assert!(
        matches!(found.as_slice(), [Violation::NotReplayed(0, _)]),
        "{found:?}"
    );
}

#[test]
fn a_registry_that_does_not_follow_from_the_ledger_is_found() {
    let forge = forge();
    let genesis = forge.genesis();
    let of = |validator, height, bytes: &[u8]| Enrolled {
        validator,
        height: Height(height),
        registry: Digest::of(bytes),
    };
    let ledger = ledger(1, &forge);
    let founding = ledger.registry.clone();
    let (sound, other) = (of(0, 2, &founding), of(3, 2, b"another registry"));
    let ledgers = [ledger];
    let sounds = [sound, of(1, 4, &founding)];
    assert_eq!(check_enrolled(genesis, &ledgers, &sounds), None);
    let found = Violation::OtherRegistry(3, Height(2));
    let seen = check_enrolled(genesis, &ledgers, &[sound, other]);
    assert_eq!(seen, Some(found));
    let [mut ledger] = ledgers;
    ledger.registry.push(0);
    let found = Violation::OtherRegistry(1, Height(4));
    assert_eq!(check(genesis, &[ledger]), [found]);
}

#[test]
fn published_checkpoints_are_the_log_at_some_size_and_the_same_at_all() {
    let forge = forge();
    let ledgers = [ledger(0, &forge), ledger(1, &forge)];
    let of_height = |validator: usize, height: usize| {
        let header = &forge.blocks()[height - 1].block.header;
        Published {
            validator,
            size: header.log_size,
            root: header.log_root,
        }
    };
    let sound = [of_height(0, 1), of_height(1, 3), of_height(0, 3)];
    assert_eq!(check_published(&ledgers, &sound), None);
    let other = Published {
        root: Digest::of(b"another log"),
        ..of_height(1, 3)
    };
    assert_eq!(
        check_published(&ledgers, &[of_height(0, 3), other]),
        Some(Violation::SplitView(0, 1, 3))
    );
    assert!(matches!(
        check_published(&ledgers, &[other]),
        Some(Violation::WrongCheckpoint(1, 3, _))
    ));
    let ahead = Published {
        size: 4,
        ..of_height(0, 3)
    };
    assert!(matches!(
        check_published(&ledgers, &[ahead]),
        Some(Violation::WrongCheckpoint(0, 4, _))
    ));
}
