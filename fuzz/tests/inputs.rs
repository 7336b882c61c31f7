//! Every target over its corpus, and over what mutations make of it.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::draw::Draw;
use fuzz::{Target, mutate, targets};
use ledger::ids::Digest;

/// Mutations of each target in a short run.
const INPUTS: u64 = 1_000;
/// Time for each target in a long run.
const TIME: Duration = Duration::from_secs(4);
/// Memory that a process of tests never needs: more means that a decoder believed a length.
const MEMORY_KIB_MAX: u64 = 1 << 20;
const CORPUS_BYTES_MAX: usize = 300_000;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let Ok(listed) = fs::read_dir(folder("corpus").join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn try_input(target: &Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_ok() {
        return;
    }
    let name = format!("{}-{}", target.name, &Digest::of(bytes).to_string()[..12]);
    fs::create_dir_all(folder("failures")).unwrap();
    fs::write(folder("failures").join(&name), bytes).unwrap();
    panic!(
        "an input fails; to run it again:\n    CARELEDGER_INPUT={name} cargo test -p fuzz --test inputs one_input"
    );
}

fn try_group(targets: &[Target]) {
    let is_long = std::env::var_os("CARELEDGER_LONG").is_some();
    let seed = std::env::var("CARELEDGER_SEED").map_or(0, |seed| seed.parse().unwrap());
    for target in targets {
        let seeds = corpus(target.name);
        assert!(!seeds.is_empty(), "`{}` has no corpus", target.name);
        for bytes in &seeds {
            try_input(target, bytes);
        }
        let mut draw = Draw::named(target.name, seed);
        let (start, mut tried) = (Instant::now(), 0);
        while if is_long {
            start.elapsed() < TIME
        } else {
            tried < INPUTS
        } {
            try_input(target, &mutate::mutated(&seeds, &mut draw));
            tried += 1;
        }
        println!("{}: {} seeds, {tried} mutations", target.name, seeds.len());
    }
    check_memory();
}

/// Where the system tells how much memory was used at most.
fn check_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    assert!(
        kib.unwrap_or(0) < MEMORY_KIB_MAX,
        "{kib:?} KiB were in use at once"
    );
}

#[test]
fn statements() {
    try_group(fuzz::statements::TARGETS);
}

#[test]
fn blocks() {
    try_group(fuzz::blocks::TARGETS);
}

#[test]
fn proofs() {
    try_group(fuzz::proofs::TARGETS);
}

#[test]
fn notes() {
    try_group(fuzz::notes::TARGETS);
}

#[test]
fn registry() {
    try_group(fuzz::registry::TARGETS);
}

#[test]
fn exchange() {
    try_group(fuzz::exchange::TARGETS);
}

#[test]
fn snapshots() {
    try_group(fuzz::snapshots::TARGETS);
}

#[test]
fn sealed() {
    try_group(fuzz::sealed::TARGETS);
}

#[test]
fn fhir() {
    try_group(fuzz::fhir::TARGETS);
}

#[test]
fn hl7v2() {
    try_group(fuzz::hl7v2::TARGETS);
}

#[test]
fn ccda() {
    try_group(fuzz::ccda::TARGETS);
}

#[test]
fn languages() {
    try_group(fuzz::languages::TARGETS);
}

#[test]
fn release() {
    try_group(fuzz::release::TARGETS);
}

#[test]
fn erasure() {
    try_group(fuzz::erasure::TARGETS);
}

#[test]
fn one_input() {
    let Ok(name) = std::env::var("CARELEDGER_INPUT") else {
        return;
    };
    let bytes = fs::read(folder("failures").join(&name)).unwrap();
    let (target, _) = name.rsplit_once('-').unwrap();
    let target = targets().find(|one| one.name == target).unwrap();
    (target.run)(&bytes);
}

#[test]
fn the_corpus_is_small_and_of_targets_that_are_there() {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(folder("corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets().any(|target| target.name == name), "{name}");
        let size: usize = corpus(&name).iter().map(Vec::len).sum();
        sizes.insert(name, size);
    }
    assert!(
        sizes.values().sum::<usize>() < CORPUS_BYTES_MAX,
        "{sizes:?}"
    );
}

#[test]
fn what_a_seed_is_made_of_is_read() {
    for (target, seeds) in fuzz::seeds::all() {
        let target = targets().find(|one| one.name == target).unwrap();
        for bytes in seeds {
            (target.run)(&bytes);
        }
    }
}
