//! What a validator does to each statement and each block, on one core and in memory.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::ids::{Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::log::{self, LogAppend};
use ledger::node_key::NodeKey;
use ledger::state::{self, MemoryState, StateKey};
use ledger::statement::{StatementId, SubmittedStatement};

/// Keys that the state holds before it is measured.
const STATE_KEYS: [u64; 3] = [1_000, 100_000, 1_000_000];
/// Keys added at once.
const BATCHES: [u64; 3] = [64, 512, 4_096];
const ITEMS: [u16; 3] = [1, 16, 256];

fn member() -> MemberName {
    "clinic".parse().unwrap_or_else(|_| unreachable!())
}

fn entries(numbers: std::ops::Range<u64>) -> Vec<(StateKey, Vec<u8>)> {
    let member = member();
    let entry = |number: u64| {
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&number.to_be_bytes());
        (StateKey::of_tag(&member, Tag(tag)), vec![7; 10])
    };
    numbers.map(entry).collect()
}

fn state_insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state insert");
    group.sample_size(10);
    let mut state = MemoryState::default();
    let (mut keys, mut changes) = (0, 0);
    for wanted in STATE_KEYS {
        while keys < wanted {
            let until = (keys + 10_000).min(wanted);
            let _root = state.insert(entries(keys..until));
            (keys, changes) = (until, changes + 1);
        }
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch));
            let id = BenchmarkId::new(format!("{wanted} keys"), batch);
            let fresh = entries(keys..keys + batch);
            group.bench_function(id, |bencher| {
                bencher.iter_batched(
                    || fresh.clone(),
                    |fresh| state::insert(&state, changes, fresh),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

fn log_append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append");
    let leaf = log::leaf_hash(&[7; 300]);
    for count in [64_u64, 1_024] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let mut log = LogAppend::after(0);
                for _ in 0..count {
                    let _index = log.push(black_box(leaf), &log::Empty);
                }
                log.root(&log::Empty)
            });
        });
    }
    group.finish();
}

fn statement(criterion: &mut Criterion) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = NodeKey::from(VerificationKey::from(&key));
    let mut group = criterion.benchmark_group("statement");
    for count in ITEMS {
        let statement = statement_of(&key, count);
        let bytes = statement.encode();
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(BenchmarkId::new("decode", count), |bencher| {
            bencher.iter(|| SubmittedStatement::decode(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("verify", count), |bencher| {
            bencher.iter(|| statement.verify(black_box(&public)));
        });
    }
    group.finish();
}

fn statement_of(key: &SigningKey, items: u16) -> SubmittedStatement {
    let item = |number: u16| {
        let mut tag = [0; 16];
        tag[..2].copy_from_slice(&number.to_be_bytes());
        let mut other = tag;
        other[15] = 1;
        Item {
            tags: [Tag(tag), Tag(other)],
            commitment: Digest([7; 32]),
        }
    };
    let signed = SubmittedStatement::sign_items(
        (&member(), Digest([1; 32])),
        (
            NetworkId(Digest([2; 32])),
            StatementId([3; 16]),
            Height(1_000),
        ),
        (0..items).map(item).collect(),
        |bytes| Ok::<_, std::convert::Infallible>(key.sign(bytes).to_bytes()),
    );
    signed.unwrap_or_else(|_| unreachable!())
}

criterion_group!(benches, state_insert, log_append, statement);
criterion_main!(benches);
