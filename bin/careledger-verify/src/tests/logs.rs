use std::sync::LazyLock;

use ledger::dump;
use ledger::ids::{BlockTime, Digest};
use ledger::state::StateRoot;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::log::{check, read};

fn ledger() -> Forge {
    recorded(&[Descriptor::Record(record(1)), Descriptor::Record(record(2))]).0
}

/// The ledger's last block, changed and signed again by all.
fn failure(change: impl Fn(&mut ledger::block::Block)) -> (&'static str, String) {
    let forge = ledger();
    let [first, last] = forge.blocks() else {
        panic!("two blocks")
    };
    let mut block = last.block.clone();
    change(&mut block);
    let bytes = [
        dump::start(forge.genesis().network()),
        dump::entry(&first.block, Some(&first.finality)),
        dump::entry(&block, Some(&forge.certify(&block.header))),
    ];
    let failure = check(&bytes.concat(), forge.genesis()).unwrap_err();
    (failure.name, failure.message)
}

#[test]
fn p3_a_log_replays_and_shows_its_roots() {
    let forge = ledger();
    let facts = check(&forge.dump(|_| true), forge.genesis()).unwrap();
    let header = &forge.blocks()[1].block.header;
    assert!(facts.contains(&("height", json!(2))));
    assert!(facts.contains(&("statements", json!(4))));
    assert!(facts.contains(&("items", json!(6))));
    assert!(facts.contains(&("state root", json!(header.state_root.0.to_string()))));
}

#[test]
fn p3_the_first_block_and_statement_at_fault_are_named() {
    let name = |change: fn(&mut ledger::block::Block)| failure(change).0;
    assert_eq!(
        name(|block| block.header.log_root = Digest([1; 32])),
        "log-root"
    );
    assert_eq!(
        name(|block| block.header.state_root = StateRoot(Digest([1; 32]))),
        "state-root"
    );
    assert_eq!(name(|block| block.header.time = BlockTime(0)), "block-time");
    assert_eq!(
        name(|block| block.header.parent = Digest([1; 32])),
        "parent"
    );
    assert_eq!(
        name(|block| block.header.validators = Digest([1; 32])),
        "validators"
    );
    assert_eq!(name(|block| drop(block.statements.pop())), "statements");
    let (name, message) = failure(|block| {
        block.statements[1][0] ^= 1;
        block.header.body = Digest::of(&ledger::block::body_of(&block.statements));
    });
    assert_eq!(name, "statement");
    assert!(message.starts_with("block 2: statement 1: "), "{message}");
    let (name, message) = failure(|block| {
        block.statements[1] = block.statements[0].clone();
        block.header.body = Digest::of(&ledger::block::body_of(&block.statements));
    });
    assert_eq!(name, "statement-rule");
    assert!(
        message.contains("has used the tags of items [0] before"),
        "{message}"
    );
}

#[test]
fn finality_and_network_are_checked() {
    let forge = ledger();
    let name = |bytes: &[u8]| check(bytes, forge.genesis()).unwrap_err().name;
    assert_eq!(
        name(&forge.dump(|height| height.0 == 1)),
        "finality-missing"
    );
    assert_eq!(name(b"nothing"), "dump");
    assert_eq!(
        name(&dump::start(ledger::ids::NetworkId(Digest([1; 32])))),
        "network"
    );
    let bytes = forge.dump(|_| true);
    assert_eq!(name(&bytes[..bytes.len() - 1]), "dump");
    let [first, last] = forge.blocks() else {
        panic!("two blocks")
    };
    let start = dump::start(forge.genesis().network());
    let with = |finality| [start.clone(), dump::entry(&first.block, Some(finality))].concat();
    assert_eq!(name(&with(&last.finality)), "block-header");
    let mut few = first.finality.clone();
    few.votes.truncate(2);
    assert_eq!(name(&with(&few)), "finality-quorum");
    assert_eq!(
        name(&[start, dump::entry(&last.block, None)].concat()),
        "block-order"
    );
}

#[test]
fn a_folder_of_segments_is_one_dump() {
    let forge = ledger();
    let bytes = forge.dump(|_| true);
    let folder = tempfile::TempDir::new().unwrap();
    assert!(read(folder.path()).is_err());
    let (one, other) = bytes.split_at(1_000);
    std::fs::write(folder.path().join("00002.dump"), other).unwrap();
    std::fs::write(folder.path().join("00001.dump"), one).unwrap();
    std::fs::write(folder.path().join("README"), "something else").unwrap();
    assert_eq!(read(folder.path()).unwrap(), bytes);
    assert!(read(&folder.path().join("missing.dump")).is_err());
}

static WHOLE: LazyLock<(Genesis, Vec<u8>)> = LazyLock::new(|| {
    let forge = ledger();
    (forge.genesis().clone(), forge.dump(|height| height.0 == 2))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn p3_one_changed_byte_anywhere_in_a_dump_is_refused(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let (genesis, whole) = &*WHOLE;
        let mut changed = whole.clone();
        changed[at.index(whole.len())] ^= flip;
        let refused = check(&changed, genesis);
        prop_assert!(refused.is_err_and(|failure| !failure.name.is_empty()));
    }
}
