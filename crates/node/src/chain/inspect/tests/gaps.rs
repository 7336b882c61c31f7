//! Stores that lack other members' old statements: joined by snapshot, or pruned.

use ledger::ids::MemberName;
use ledger::snapshot::{EntryKey, Final, Offer};
use ledger::state::StateKey;

use super::*;
use crate::chain::{Joining, Keep, OpenError, Snapshots as _};

/// The block of the snapshot.
const JOINED: u64 = 4;
const CLINIC: &str = "clinic";
const HOSPITAL: &str = "hospital";

type Change = fn(&mut Vec<u8>);

fn name(member: &str) -> MemberName {
    member.parse().unwrap()
}

fn place_of(member: &str, block: u8) -> Vec<u8> {
    let tag = item(block, 0).tags[0];
    StateKey::of_tag(&name(member), tag).0.to_vec()
}

/// Clinic and hospital take turns, clinic first.
fn founded() -> Ledger {
    Ledger {
        forge: Forge::found(&[CLINIC, HOSPITAL, "laboratory", "payer"]).unwrap(),
        folder: TempDir::new().unwrap(),
    }
}

fn append(forge: &mut Forge, blocks: std::ops::RangeInclusive<u64>) {
    for block in blocks {
        let member = if block % 2 == 1 { CLINIC } else { HOSPITAL };
        let block = u8::try_from(block).unwrap();
        let statement = forge.statement(member, vec![item(block, 0), item(block, 1)]);
        forge.append(&[statement.unwrap()]).unwrap();
    }
}

fn pruned() -> Ledger {
    let mut ledger = founded();
    append(&mut ledger.forge, 1..=BLOCKS);
    let chain = ledger.open();
    chain.keep(Keep::Blocks(2), name(CLINIC));
    apply(&chain, ledger.forge.blocks());
    assert!(chain.kept_from().unwrap() > Height(2));
    assert!(chain.statement(1).is_err() && chain.statement(0).is_ok());
    ledger
}

fn joined() -> Ledger {
    let mut ledger = founded();
    append(&mut ledger.forge, 1..=JOINED);
    let peer = ledger.folder.path().join("peer");
    let peer = open(&ledger.forge, &peer);
    apply(&peer, ledger.forge.blocks());
    join(&ledger, &peer, &ledger.chain(), None);
    append(&mut ledger.forge, JOINED + 1..=BLOCKS);
    apply(&ledger.open(), &ledger.forge.blocks()[4..]);
    ledger
}

/// Joins with what a peer has of the newest block, and with what a former chain has kept where that is named.
fn join(ledger: &Ledger, peer: &Chain, into: &Path, former: Option<&Path>) -> u64 {
    let Forged { block, finality } = ledger.forge.blocks().last().unwrap();
    let (_, signatures) = ledger.forge.checkpoint(4, None).unwrap();
    let height = block.header.height;
    let offer = Offer {
        block: Final {
            header: block.header.clone(),
            finality: finality.clone(),
        },
        transitions: Vec::new(),
        boundary: None,
        registry: None,
        signatures,
        kept_from: Height(1),
    };
    let mut joining = Joining::begin(ledger.forge.genesis().clone(), offer, into).unwrap();
    let leaves = peer.leaves(height, 0).unwrap().unwrap();
    joining.add_leaves(&leaves).unwrap();
    let state = peer.state(height, EntryKey([0; 32])).unwrap().unwrap();
    joining.add_entries(&state).unwrap();
    let kept = if let Some(former) = former {
        joining.add_kept(&name(CLINIC), former).unwrap()
    } else {
        let own = peer.statements(height, &name(CLINIC), 0).unwrap().unwrap();
        joining.add_statements(&name(CLINIC), &own).unwrap();
        0
    };
    joining.finish(None).unwrap();
    kept
}

/// What is named when a row of a sound store is changed.
fn named(
    ledger: &Ledger,
    (keyspace, place): (Keyspace, &[u8]),
    change: Option<Change>,
) -> Vec<(ChainPart, ChainFault)> {
    assert_eq!(ledger.damages(&ledger.chain()), [], "before the change");
    ledger.change(keyspace, place, change);
    let damages = ledger.damages(&ledger.chain());
    damages.iter().map(|one| (one.0, one.1)).collect()
}

fn newest_node(ledger: &Ledger) -> Vec<u8> {
    let disk = Disk::open(&ledger.chain()).unwrap();
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let newest = disk.range(Keyspace::Nodes, all.0, all.1).next_back();
    newest.unwrap().unwrap().0.to_vec()
}

#[test]
fn stores_with_gaps_are_found_sound() {
    for ledger in [joined(), pruned()] {
        let report = inspect(ledger.forge.genesis(), &ledger.chain(), |_, _| ()).unwrap();
        assert_eq!(report.damages, []);
        assert_eq!((report.height, report.statements), (BLOCKS, BLOCKS));
        assert_eq!(report.tags, 4 * BLOCKS);
        assert_eq!(report.digests.len(), usize::try_from(BLOCKS).unwrap());
        ledger.open();
    }
}

#[test]
fn damage_to_stores_with_gaps_is_named() {
    use {ChainFault as F, ChainPart as P, Keyspace as K};
    let flipped: Option<Change> = Some(|row| flip(row));
    let cut: Option<Change> = Some(|row| row.truncate(row.len() / 2));
    let (own, others) = (place_of(CLINIC, 1), place_of(HOSPITAL, 2));
    let cases = [
        (K::Tags, others.clone(), flipped, P::Tag, F::Differs),
        (K::Tags, others, None, P::Tag, F::Missing),
        (K::Tags, own.clone(), flipped, P::Tag, F::Differs),
        (K::Tags, own, None, P::Tag, F::Missing),
        (K::Blocks, key(3), cut, P::Block, F::Unreadable),
        (K::Blocks, key(3), None, P::Block, F::Missing),
        (K::Blocks, key(JOINED), None, P::Block, F::Missing),
        (K::Blocks, key(0), None, P::Block, F::Missing),
        (K::Statements, key(0), flipped, P::Statement, F::Differs),
        (K::Statements, key(5), None, P::Statement, F::Missing),
        (K::Hashes, key(2), flipped, P::LogHash, F::Differs),
        (K::Hashes, key(0), None, P::LogHash, F::Missing),
        (K::Certificates, key(3), flipped, P::Certificate, F::Differs),
    ];
    for (kind, make) in [("joined", joined as fn() -> Ledger), ("pruned", pruned)] {
        for (keyspace, place, change, part, fault) in &cases {
            let found = named(&make(), (*keyspace, place), *change);
            let what = (kind, keyspace, place, part, fault);
            assert!(found.contains(&(*part, *fault)), "{what:?}: {found:?}");
        }
        let ledger = make();
        let node = newest_node(&ledger);
        let found = named(&ledger, (Keyspace::Nodes, &node), None);
        assert!(
            found.iter().any(|one| one.0 == P::StateNode),
            "{kind}: {found:?}"
        );
    }
}

#[test]
fn a_header_that_another_certificate_covers_is_named() {
    let ledger = joined();
    let place = key(1);
    let found = named(
        &ledger,
        (Keyspace::Blocks, &place),
        Some(|row| {
            let at = row.len() / 2;
            row[at] ^= 1;
        }),
    );
    let fault = [ChainFault::Differs, ChainFault::Unreadable];
    assert!(
        fault
            .iter()
            .any(|fault| found.contains(&(ChainPart::Block, *fault))),
        "{found:?}"
    );
}

#[test]
fn a_stray_row_of_the_state_is_named() {
    for ledger in [joined(), pruned()] {
        ledger.use_tag_of_nobody();
        let damages = ledger.damages(&ledger.chain());
        assert_eq!(damages, [(ChainPart::Tag, ChainFault::Unexpected, 0, 1)]);
    }
}

#[test]
fn stores_with_gaps_are_built_anew_from_blocks_of_peers() {
    for ledger in [joined(), pruned()] {
        ledger.change(Keyspace::Tags, &place_of(HOSPITAL, 2), None);
        let rebuilt = ledger.rebuilt(|height| ledger.at_peers(height));
        assert_eq!(rebuilt.height, BLOCKS);
        assert!(rebuilt.removed >= 3);
        let short = ledger.rebuilt(|_| Vec::new());
        assert!(short.height < short.removed, "nobody has the second block");
    }
}

#[test]
fn own_statements_of_a_damaged_chain_are_taken_over() {
    let ledger = pruned();
    let peer = ledger.folder.path().join("peer");
    let peer = open(&ledger.forge, &peer);
    apply(&peer, ledger.forge.blocks());
    ledger.change(Keyspace::Statements, &key(2), Some(|row| flip(row)));
    let into = ledger.folder.path().join("anew");
    let kept = join(&ledger, &peer, &into, Some(&ledger.chain()));
    assert_eq!(kept, 2, "of three own ones one is damaged");
    assert_eq!(ledger.damages(&into), []);
    let anew = open(&ledger.forge, &into);
    let is_here = |index: u64| anew.statement(index).is_ok();
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(is_here),
        [true, false, false, false, true, false]
    );
}

#[test]
fn a_part_of_a_snapshot_is_no_chain() {
    let ledger = founded();
    let disk = Disk::open(&ledger.chain()).unwrap();
    let mut batch = disk.batch();
    batch.insert(Keyspace::Tip, crate::chain::store::JOINING, &[]);
    batch.commit(true).unwrap();
    drop(disk);
    let found = inspect(ledger.forge.genesis(), &ledger.chain(), |_, _| ()).unwrap_err();
    assert!(matches!(found, OpenError::JoiningUnfinished));
    let said = found.to_string();
    assert!(said.contains("`careledger node --join snapshot`"), "{said}");
}

#[test]
fn a_node_does_not_start_on_ends_that_do_not_fit() {
    for make in [Ledger::new as fn() -> Ledger, joined, pruned] {
        let cases: [(Keyspace, Vec<u8>, Option<Change>); 5] = [
            (Keyspace::Tip, b"tip".to_vec(), Some(|row| flip(row))),
            (Keyspace::Tip, b"tip".to_vec(), Some(|row| row[2] ^= 1)),
            (Keyspace::Blocks, key(BLOCKS), None),
            (Keyspace::Statements, key(BLOCKS - 1), None),
            (Keyspace::Hashes, key(2 * BLOCKS - 3), Some(|row| flip(row))),
        ];
        for (keyspace, place, change) in cases {
            let ledger = make();
            ledger.open();
            ledger.change(keyspace, &place, change);
            refused(&ledger);
        }
        let ledger = make();
        let disk = Disk::open(&ledger.chain()).unwrap();
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let nodes = disk.range(Keyspace::Nodes, all.0, all.1);
        let nodes: Vec<Vec<u8>> = nodes.map(|node| node.unwrap().0.to_vec()).collect();
        drop(disk);
        // All nodes of the last change: the root is one of them.
        let last = nodes.last().unwrap()[..8].to_vec();
        for node in nodes.iter().filter(|node| node.starts_with(&last)) {
            ledger.change(Keyspace::Nodes, node, None);
        }
        refused(&ledger);
    }
}

fn refused(ledger: &Ledger) {
    let opened = Chain::open(
        ledger.forge.genesis().clone(),
        &ledger.chain(),
        Arc::new(|| 0),
    );
    let said = opened.unwrap_err().to_string();
    assert!(said.contains("`careledger verify --self`"), "{said}");
    assert!(!said.contains('\n'), "one sentence: {said}");
}
