//! Damages a store row by row, and builds it anew.

mod gaps;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ledger::dump::DumpedBlock;
use ledger::finality::FinalityCertificate;
use ledger::ids::{Digest, Height, Tag};
use ledger::item::Item;
use sim::forge::{Forge, Forged};
use tempfile::TempDir;

use super::inspect;
use crate::chain::application::wire;
use crate::chain::base::Base;
use crate::chain::disk::Disk;
use crate::chain::rebuild::{Rebuilt, rebuild};
use crate::chain::rows::{Keyspace, Rows as _};
use crate::chain::{Chain, ChainFault, ChainPart, Clock, PublicLog as _};

const BLOCKS: u64 = 6;

struct Ledger {
    forge: Forge,
    folder: TempDir,
}

fn item(block: u8, at: u8) -> Item {
    Item {
        tags: [Tag([block; 16]), Tag([block | 0x80; 16])].map(|tag| {
            Tag({
                let mut bytes = tag.0;
                bytes[15] = at;
                bytes
            })
        }),
        commitment: Digest([block; 32]),
    }
}

impl Ledger {
    /// A chain of a few blocks, each with a statement of two items, as a node leaves it on disk.
    fn new() -> Self {
        let mut forge = Forge::found(&["clinic", "hospital", "laboratory", "payer"]).unwrap();
        for block in 1..=BLOCKS {
            let block = u8::try_from(block).unwrap();
            let items = vec![item(block, 0), item(block, 1)];
            let statement = forge.statement("clinic", items).unwrap();
            forge.append(&[statement]).unwrap();
        }
        let ledger = Self {
            forge,
            folder: TempDir::new().unwrap(),
        };
        apply(&ledger.open(), ledger.forge.blocks());
        ledger
    }

    fn open(&self) -> Chain {
        open(&self.forge, &self.chain())
    }

    fn chain(&self) -> std::path::PathBuf {
        self.folder.path().join("chain")
    }

    fn damages(&self, folder: &Path) -> Vec<(ChainPart, ChainFault, u64, u64)> {
        let report = inspect(self.forge.genesis(), folder, |_, _| ()).unwrap();
        let damages = report.damages.iter();
        damages
            .map(|one| (one.part, one.fault, one.first, one.count))
            .collect()
    }

    /// Changes the row under a key; without a change, removes it.
    fn change(&self, keyspace: Keyspace, key: &[u8], change: Option<fn(&mut Vec<u8>)>) {
        let disk = Disk::open(&self.chain()).unwrap();
        let mut row = disk.get(keyspace, key).unwrap().unwrap().to_vec();
        let mut batch = disk.batch();
        match change {
            Some(change) => {
                change(&mut row);
                batch.insert(keyspace, key, &row);
            }
            None => batch.remove_once(keyspace, key),
        }
        batch.commit(true).unwrap();
    }

    fn first_key(&self, keyspace: Keyspace) -> Vec<u8> {
        let disk = Disk::open(&self.chain()).unwrap();
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let first = disk.range(keyspace, all.0, all.1).next();
        first.unwrap().unwrap().0.to_vec()
    }

    fn at_peers(&self, height: Height) -> Vec<DumpedBlock> {
        let forged = &self.forge.blocks()[usize::try_from(height.0).unwrap() - 1];
        vec![DumpedBlock {
            block: forged.block.clone(),
            finality: Some(forged.finality.clone()),
        }]
    }

    /// Builds the chain anew with what peers answer, and says whether it is sound.
    fn rebuilt(&self, peers: impl Fn(Height) -> Vec<DumpedBlock>) -> Rebuilt {
        let into = self.folder.path().join("rebuilt");
        let genesis = self.forge.genesis();
        let chain = self.chain();
        let rebuilding = rebuild(genesis, (&chain, &into), async |at| peers(at), |_, _| ());
        let rebuilt = futures::executor::block_on(rebuilding).unwrap();
        assert_eq!(self.damages(&into), []);
        std::fs::remove_dir_all(&into).unwrap();
        rebuilt
    }
}

fn open(forge: &Forge, folder: &Path) -> Chain {
    let clock: Clock = Arc::new(|| 0);
    Chain::open(forge.genesis().clone(), folder, clock).unwrap()
}

fn apply(chain: &Chain, blocks: &[Forged]) {
    let application = chain.application(BTreeMap::new());
    for forged in blocks {
        let base = Base {
            pending: Vec::new(),
            tip: chain.tip(),
            registry: chain.registry(),
        };
        let block = wire(&forged.block.header, forged.block.body());
        let applied = application.inner().applied();
        let (_, executed) = application.execute_on(&block, &base, &applied).unwrap();
        drop(applied);
        application
            .apply(&executed, Some(&forged.finality))
            .unwrap();
    }
}

impl Ledger {
    /// Puts a row of a tag that no statement has.
    fn use_tag_of_nobody(&self) {
        let disk = Disk::open(&self.chain()).unwrap();
        let mut batch = disk.batch();
        batch.insert(Keyspace::Tags, &[7; 32], &[0; 10]);
        batch.commit(true).unwrap();
    }
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn flip(row: &mut [u8]) {
    let last = row.len() - 1;
    row[last] ^= 1;
}

#[test]
fn a_sound_store_is_found_sound() {
    let ledger = Ledger::new();
    let report = inspect(ledger.forge.genesis(), &ledger.chain(), |_, _| ()).unwrap();
    assert_eq!(report.damages, []);
    assert_eq!((report.height, report.statements), (BLOCKS, BLOCKS));
    assert_eq!((report.tags, report.certificates), (4 * BLOCKS, BLOCKS));
}

#[test]
fn each_damaged_row_is_named_and_mended() {
    use {ChainFault as F, ChainPart as P, Keyspace as K};
    let flipped: Option<fn(&mut Vec<u8>)> = Some(|row| flip(row));
    let cut: Option<fn(&mut Vec<u8>)> = Some(|row| row.truncate(row.len() / 2));
    let cases = [
        (K::Blocks, key(3), None, P::Block, F::Missing),
        (K::Blocks, key(3), cut, P::Block, F::Unreadable),
        (K::Statements, key(2), None, P::Statement, F::Missing),
        (K::Statements, key(2), flipped, P::Statement, F::Differs),
        (K::Hashes, key(0), None, P::LogHash, F::Missing),
        (K::Hashes, key(1), flipped, P::LogHash, F::Differs),
        (K::Certificates, key(4), flipped, P::Certificate, F::Differs),
        (K::Certificates, key(4), cut, P::Certificate, F::Unreadable),
    ];
    for (keyspace, place, change, part, fault) in cases {
        let ledger = Ledger::new();
        ledger.change(keyspace, &place, change);
        let damages = ledger.damages(&ledger.chain());
        let is_named = |one: &(ChainPart, ChainFault, u64, u64)| (one.0, one.1) == (part, fault);
        assert!(
            damages.iter().any(is_named),
            "{keyspace:?} {place:?}: {damages:?}"
        );
        let rebuilt = ledger.rebuilt(|height| ledger.at_peers(height));
        assert_eq!(rebuilt.height, BLOCKS, "{keyspace:?} {place:?}");
    }
}

#[test]
fn derived_rows_are_mended_without_peers() {
    let flipped: Option<fn(&mut Vec<u8>)> = Some(|row| flip(row));
    let cases = [
        (Keyspace::Tags, None, ChainPart::Tag, ChainFault::Missing),
        (Keyspace::Tags, flipped, ChainPart::Tag, ChainFault::Differs),
        (
            Keyspace::Checkpoints,
            None,
            ChainPart::Checkpoint,
            ChainFault::Missing,
        ),
        (Keyspace::Tip, None, ChainPart::Tip, ChainFault::Missing),
        (Keyspace::Tip, flipped, ChainPart::Tip, ChainFault::Differs),
    ];
    for (keyspace, change, part, fault) in cases {
        let ledger = Ledger::new();
        let place = match keyspace {
            Keyspace::Tip => b"tip".to_vec(),
            other => ledger.first_key(other),
        };
        ledger.change(keyspace, &place, change);
        let damages = ledger.damages(&ledger.chain());
        let is_named = |one: &(ChainPart, ChainFault, u64, u64)| (one.0, one.1) == (part, fault);
        assert!(damages.iter().any(is_named), "{keyspace:?}: {damages:?}");
        assert_eq!(ledger.rebuilt(|_| Vec::new()).height, BLOCKS);
    }
}

#[test]
fn a_damaged_row_that_a_running_chain_meets_is_counted() {
    let ledger = Ledger::new();
    ledger.change(Keyspace::Statements, &key(2), Some(|row| flip(row)));
    let chain = ledger.open();
    assert!(chain.statement(1).is_ok());
    assert_eq!(chain.damaged_rows(), 0);
    assert!(chain.statement(2).is_err());
    assert!(chain.block(Height(3)).is_err());
    assert_eq!(chain.damaged_rows(), 2);
}

#[test]
fn a_node_of_the_state_tree_that_is_gone_is_found() {
    let ledger = Ledger::new();
    let disk = Disk::open(&ledger.chain()).unwrap();
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let newest = disk.range(Keyspace::Nodes, all.0, all.1).next_back();
    let place = newest.unwrap().unwrap().0.to_vec();
    drop(disk);
    ledger.change(Keyspace::Nodes, &place, None);
    let damages = ledger.damages(&ledger.chain());
    assert!(
        damages.iter().any(|one| one.0 == ChainPart::StateNode),
        "{damages:?}"
    );
    assert_eq!(ledger.rebuilt(|_| Vec::new()).height, BLOCKS);
}

#[test]
fn a_tag_that_nobody_used_is_found() {
    let ledger = Ledger::new();
    ledger.use_tag_of_nobody();
    let damages = ledger.damages(&ledger.chain());
    assert_eq!(damages, [(ChainPart::Tag, ChainFault::Unexpected, 0, 1)]);
    assert_eq!(ledger.rebuilt(|_| Vec::new()).height, BLOCKS);
}

#[test]
fn what_peers_invent_is_not_taken() {
    let ledger = Ledger::new();
    ledger.change(Keyspace::Statements, &key(2), None);
    let strip = |mut blocks: Vec<DumpedBlock>, change: fn(&mut DumpedBlock)| {
        blocks.iter_mut().for_each(change);
        blocks
    };
    let inventions: [fn(&mut DumpedBlock); 4] = [
        |one| one.block.statements[0][40] ^= 1,
        |one| one.block.header.time.0 += 1,
        |one| one.block.statements.clear(),
        |one| one.block.header.parent = Digest([9; 32]),
    ];
    for invention in inventions {
        let rebuilt = ledger.rebuilt(|height| strip(ledger.at_peers(height), invention));
        assert_eq!(
            rebuilt.height, 2,
            "it ends before the block that nobody has"
        );
    }
    let uncertified = |one: &mut DumpedBlock| {
        one.finality = None::<FinalityCertificate>;
    };
    let rebuilt = ledger.rebuilt(|height| strip(ledger.at_peers(height), uncertified));
    assert_eq!(
        rebuilt.height, BLOCKS,
        "the own certificate of a descendant covers it"
    );
    assert_eq!(rebuilt.fetched, 1);
}
