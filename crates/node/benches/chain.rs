//! Blocks that a node executes and applies, with the database below, and receipts; one core.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ledger::ids::{Digest, Tag};
use ledger::item::Item;
use ledger::receipt::Receipt;
use node::chain::{Chain, ChainApplication};
use node::engine::{self, Application as _};
use sim::forge::Forge;

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
/// Statements in a block, and items in each.
const BLOCKS: [(u32, u32); 3] = [(1_000, 1), (8, 256), (16, 256)];

fn item(number: u32) -> Item {
    let tag = |of: u8| {
        let mut tag = [of; 16];
        tag[..4].copy_from_slice(&number.to_be_bytes());
        Tag(tag)
    };
    Item {
        tags: [tag(1), tag(2)],
        commitment: Digest([3; 32]),
    }
}

/// A ledger whose only block has that many statements of that many items.
fn forged(statements: u32, items: u32) -> Forge {
    let mut forge = Forge::found(&MEMBERS).unwrap();
    let statements: Vec<_> = (0..statements)
        .map(|number| {
            let first = number * items;
            let items = (first..first + items).map(item).collect();
            forge.statement(MEMBERS[0], items).unwrap()
        })
        .collect();
    forge.append(&statements).unwrap();
    forge
}

fn block_of(forge: &Forge) -> Arc<engine::Block> {
    let block = &forge.blocks()[0].block;
    let header = &block.header;
    Arc::new(engine::Block::new(
        header.height.0,
        header.parent.0,
        header.encode().into(),
        block.body().into(),
    ))
}

fn empty_chain(forge: &Forge) -> (tempfile::TempDir, ChainApplication) {
    let folder = tempfile::tempdir().unwrap();
    let clock: node::chain::Clock = Arc::new(|| 0);
    let chain = Chain::open(forge.genesis().clone(), folder.path(), clock).unwrap();
    (folder, chain.application(BTreeMap::new()))
}

/// Decoding, signatures, contracts, state tree and the write to disk of a block that was not seen before.
fn block_replay(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("block replay");
    group.sample_size(10);
    for (statements, items) in BLOCKS {
        let forge = forged(statements, items);
        let block = block_of(&forge);
        group.throughput(Throughput::Elements(u64::from(statements * items)));
        let id = BenchmarkId::new(format!("{statements} statements"), items);
        group.bench_function(id, |bencher| {
            bencher.iter_batched(
                || empty_chain(&forge),
                |(folder, mut application)| {
                    let finalized = application.finalized(Arc::clone(&block), None);
                    runtime.block_on(finalized).unwrap();
                    (folder, application)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn receipt(criterion: &mut Criterion) {
    let forge = forged(1_000, 1);
    let trust = contracts::trust::trust(forge.genesis(), None).unwrap();
    let bytes = forge.receipt(&item(7), &[]).unwrap().encode();
    criterion.bench_function("receipt verify", |bencher| {
        bencher.iter(|| Receipt::decode(&bytes).unwrap().verify(&trust).unwrap());
    });
}

criterion_group!(benches, block_replay, receipt);
criterion_main!(benches);
