//! What a validator does to each statement and each block, on one core and in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::block::Header;
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{PublicKey, ValidatorSet};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::log::{self, LogAppend};
use ledger::node_key::NodeKey;
use ledger::receipt::{Cosigned, Receipt, Trust};
use ledger::scitt::RootSignature;
use ledger::state::{self, MemoryState, StateKey, StateRoot};
use ledger::statement::{Envelope, StatementId, SubmittedStatement};
use ledger::succession::Validators;

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

/// One statement's signature, three votes of four validators, the signatures of all four members under a checkpoint.
fn receipt_of(keys: &[SigningKey; 4]) -> (Receipt, Validators) {
    let public = |key: &SigningKey| PublicKey(VerificationKey::from(key).into());
    let statement = statement_of(&keys[0], 256);
    let mut log = LogAppend::after(0);
    for number in 0..10_000_u32 {
        let entry = number.to_be_bytes();
        log.push(log::leaf_hash(&entry), &log::Empty).unwrap();
    }
    let index = log
        .push(log::leaf_hash(statement.envelope()), &log::Empty)
        .unwrap();
    let (size, root) = (log.size(), log.root(&log::Empty).unwrap());
    let path = log::prove_inclusion(index, size, &log).unwrap();
    let mut set = ValidatorSet {
        keys: keys.iter().map(public).collect(),
    };
    set.keys.sort_unstable();
    let header = Header {
        network: statement.payload().network,
        epoch: Epoch(0),
        height: Height(9),
        time: BlockTime(1),
        parent: Digest([1; 32]),
        log_size: size,
        log_root: root,
        state_root: StateRoot::EMPTY,
        body: Digest([2; 32]),
        validators: set.digest(&set),
    };
    let mut finality = FinalityCertificate {
        epoch: 0,
        view: 20,
        parent_view: 19,
        block: header.digest(),
        votes: Vec::new(),
    };
    let message = finality.signed_bytes(header.network);
    let mut votes: Vec<Vote> = keys
        .iter()
        .map(|key| Vote {
            validator: u16::try_from(set.keys.binary_search(&public(key)).unwrap()).unwrap(),
            signature: key.sign(&message).to_bytes().into(),
        })
        .collect();
    votes.sort_unstable_by_key(|vote| vote.validator);
    votes.truncate(3);
    finality.votes = votes;
    let member = member();
    let cosigned = keys.iter().map(|key| {
        let certificate = Digest::of(&public(key).0);
        let sign = |bytes: &[u8]| Ok::<_, std::convert::Infallible>(key.sign(bytes).to_bytes());
        RootSignature::sign((&member, certificate), (size, root), sign).unwrap()
    });
    let receipt = Receipt {
        item: statement.items()[7].to_bytes(),
        item_path: statement.item_path(7).unwrap(),
        statement: statement.envelope().to_vec(),
        log_path: path.clone(),
        header,
        finality,
        absent: Vec::new(),
        cosigned: Some(Cosigned {
            path,
            root,
            signatures: cosigned.collect(),
        }),
        succession: None,
    };
    (receipt, set.into())
}

/// A receipt with eight signatures, and those alone, one after the other.
fn receipt(criterion: &mut Criterion) {
    let keys = [1, 2, 3, 4].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let (receipt, validators) = receipt_of(&keys);
    let key_of = |_: &MemberName, certificate: Digest| {
        let mut all = keys.iter().map(VerificationKey::from);
        let key = all.find(|key| Digest::of(&<[u8; 32]>::from(*key)) == certificate);
        // The statement's certificate is no digest of a key.
        Some(NodeKey::from(key.unwrap_or_else(|| (&keys[0]).into())))
    };
    let trust = Trust {
        network: receipt.header.network,
        validators,
        key_of,
    };
    let bytes = receipt.encode();
    let mut group = criterion.benchmark_group("receipt");
    group.throughput(Throughput::Elements(1));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let receipt = Receipt::decode(black_box(&bytes)).unwrap();
            receipt.verify(&trust).unwrap()
        });
    });
    let envelope = Envelope::decode(&receipt.statement).unwrap();
    let key = key_of(&envelope.member, envelope.certificate).unwrap();
    let cosigned = receipt.cosigned.as_ref().unwrap();
    let message = receipt.finality.signed_bytes(trust.network);
    let validators = trust.validators.of(Epoch(0));
    group.bench_function("its signatures, one by one", |bencher| {
        bencher.iter(|| {
            envelope.verify(black_box(&key)).unwrap();
            for vote in &receipt.finality.votes {
                vote.verify(validators, &message).unwrap();
            }
            for one in &cosigned.signatures {
                let key = key_of(&one.member, one.certificate).unwrap();
                let root = (cosigned.path.size, cosigned.root);
                one.verify(root, &key).unwrap();
            }
        });
    });
    group.bench_function("its votes, together", |bencher| {
        let finality = &receipt.finality;
        bencher.iter(|| finality.verify(trust.network, validators, black_box(finality.block)));
    });
    group.bench_function("its votes, one by one", |bencher| {
        let votes = &receipt.finality.votes;
        bencher.iter(|| {
            for vote in votes {
                vote.verify(validators, black_box(&message)).unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, state_insert, log_append, statement, receipt);
criterion_main!(benches);
