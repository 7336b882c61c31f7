//! What is too long, too deep or not as long as it says is refused, soon and without much memory.

#![cfg(test)]

use std::fs;
use std::time::{Duration, Instant};

use fuzz::targets;
use ledger::block::{Block, body_of};
use ledger::codec::DecodeError;
use ledger::limits::{BLOCK_BYTES_MAX, STATEMENT_BYTES_MAX};
use ledger::statement::{StatementError, SubmittedStatement};

const BYTES: usize = 3 << 20;
const TIME_MAX: Duration = Duration::from_secs(10);
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// Repeated, these nest without end or are many empty items: CBOR, DER, JSON, text.
const PATTERNS: [&[u8]; 14] = [
    &[0x40],
    &[0x80],
    &[0x81],
    &[0x9f],
    &[0xa1, 0x00],
    &[0xd2, 0x84],
    &[0x30, 0x80],
    &[0xff],
    &[0x00],
    b"[",
    b"{\"a\":",
    b"log x\n",
    "\u{2014} a AAAAAAEC\n".as_bytes(),
    b"Patient?_id=a,",
];

fn memory_peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0)
}

#[test]
fn no_target_is_brought_down_by_depth_or_length() {
    for target in targets() {
        for pattern in PATTERNS {
            let bytes = pattern.repeat(BYTES / pattern.len());
            let start = Instant::now();
            (target.run)(&bytes);
            assert!(
                start.elapsed() < TIME_MAX,
                "{} on {pattern:02x?}",
                target.name
            );
        }
    }
    let peak = memory_peak_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB were in use at once");
}

#[test]
fn no_target_believes_a_length() {
    for target in targets() {
        for major in [0x40_u8, 0x60, 0x80, 0xa0] {
            for length in [u64::from(u32::MAX), i64::MAX.cast_unsigned(), u64::MAX] {
                let head = [&[major | 0x1b], length.to_be_bytes().as_slice()].concat();
                for before in [&[][..], &[0x81], &[0x82], &[0x82, 0x00], &[0xd2, 0x84]] {
                    (target.run)(&[before, &head, &[0; 64]].concat());
                }
            }
        }
    }
    let peak = memory_peak_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB were in use at once");
}

#[test]
fn what_is_over_a_bound_is_refused_before_it_is_read() {
    let long = vec![0x40; STATEMENT_BYTES_MAX + 1];
    let refused = StatementError::Decode(DecodeError::TooLarge("statement"));
    assert_eq!(SubmittedStatement::decode(&long), Err(refused.clone()));
    assert_eq!(ledger::scitt::registered(&long), Err(refused));
    let header = fuzz::world::world().header().encode();
    let body = body_of(&[vec![0; BLOCK_BYTES_MAX]]);
    let refused = Block::decode(&header, &body);
    assert_eq!(refused, Err(DecodeError::TooLarge("block body")));
}
