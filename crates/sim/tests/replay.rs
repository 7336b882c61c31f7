//! P3: a dump replays to what its validators signed, and whatever was changed in it is found and named.
#![cfg(test)]

use std::sync::LazyLock;

use contracts::rejection::Rejection;
use contracts::replay::{Fault, FaultKind, Replay, Replayed};
use ledger::block::Block;
use ledger::dump::Dump;
use ledger::finality::FinalityError;
use ledger::genesis::Genesis;
use ledger::ids::{BlockTime, Digest, Epoch, Height, Tag};
use ledger::item::Item;
use ledger::state::StateRoot;
use ledger::statement::StatementError;
use proptest::prelude::*;
use sim::forge::{Forge, Forged};

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

fn item(n: u8) -> Item {
    Item {
        tags: [Tag([n; 16]), Tag([n + 100; 16])],
        commitment: Digest::of(&[n]),
    }
}

fn ledger() -> Forge {
    let mut forge = Forge::found(&MEMBERS).unwrap();
    let first = forge.statement("clinic", vec![item(1), item(2)]).unwrap();
    let copied = forge.statement("payer", vec![item(1)]).unwrap();
    forge.append(&[first, copied]).unwrap();
    forge.append(&[]).unwrap();
    let third = forge
        .statement("hospital", vec![item(3), item(4), item(5)])
        .unwrap();
    forge.append(&[third]).unwrap();
    forge
}

/// Why a dump is refused.
fn replay(genesis: &Genesis, dump: &[u8]) -> Result<Replayed, String> {
    let dump = Dump::read(dump).map_err(|error| error.to_string())?;
    if dump.network() != genesis.network() {
        return Err("another network".to_owned());
    }
    let mut replay = Replay::new(genesis).unwrap();
    for dumped in dump {
        let dumped = dumped.map_err(|error| error.to_string())?;
        replay = replay
            .apply(&dumped.block, dumped.finality.as_ref())
            .map_err(|fault| fault.to_string())?;
    }
    replay.finish().map_err(|fault| fault.to_string())
}

/// What is found when `change` was made to the last block, and the validators signed it all the same.
fn fault_of(forge: &Forge, change: impl FnOnce(&mut Block)) -> FaultKind {
    let (last, before) = forge.blocks().split_last().unwrap();
    let mut block = last.block.clone();
    change(&mut block);
    let finality = forge.certify(&block.header);
    let mut replay = Replay::new(forge.genesis()).unwrap();
    for Forged { block, finality } in before {
        replay = replay.apply(block, Some(finality)).unwrap();
    }
    let fault = replay.apply(&block, Some(&finality)).unwrap_err();
    assert_eq!(fault.height, Height(3));
    fault.kind
}

#[test]
fn a_true_dump_replays_to_its_tip() {
    let forge = ledger();
    let tip = forge.blocks().last().unwrap().block.header.clone();
    let expected = Ok(Replayed { tip, items: 6 });
    assert_eq!(replay(forge.genesis(), &forge.dump(|_| true)), expected);
    let last_only = forge.dump(|height| height == Height(3));
    assert_eq!(replay(forge.genesis(), &last_only), expected);
}

#[test]
fn r2_a_dump_that_ends_without_a_certificate_is_not_final() {
    let forge = ledger();
    let uncertified = forge.dump(|height| height < Height(2));
    let found = replay(forge.genesis(), &uncertified).unwrap_err();
    assert_eq!(found, "block 2: no certificate shows that it is final");
}

#[test]
fn r1_a_header_that_does_not_follow_is_named_though_all_validators_signed_it() {
    let forge = ledger();
    let header = |change: fn(&mut ledger::block::Header)| {
        fault_of(&forge, |block| change(&mut block.header))
    };
    assert_eq!(
        header(|header| header.network.0 = Digest([9; 32])),
        FaultKind::OtherNetwork
    );
    assert_eq!(
        header(|header| header.height = Height(4)),
        FaultKind::NotTheNextBlock
    );
    assert_eq!(
        header(|header| header.parent = Digest([9; 32])),
        FaultKind::OtherParent
    );
    assert_eq!(
        header(|header| header.time = BlockTime(0)),
        FaultKind::TimeNotGreater
    );
    assert_eq!(
        header(|header| header.epoch = Epoch(1)),
        FaultKind::OtherValidators
    );
    assert_eq!(
        header(|header| header.validators = Digest([9; 32])),
        FaultKind::OtherValidators
    );
    assert_eq!(
        header(|header| header.body = Digest([9; 32])),
        FaultKind::OtherBody
    );
    assert_eq!(
        header(|header| header.log_root = Digest([9; 32])),
        FaultKind::LogRootDiffers
    );
    assert_eq!(
        header(|header| header.log_size = 7),
        FaultKind::LogRootDiffers
    );
    assert_eq!(
        header(|header| header.state_root = StateRoot(Digest([9; 32]))),
        FaultKind::StateRootDiffers
    );
    let body = |statements: Vec<Vec<u8>>| {
        fault_of(&forge, |block| {
            block.header.body = Digest::of(&ledger::block::body_of(&statements));
            block.statements = statements;
        })
    };
    assert_eq!(body(vec![]), FaultKind::LogRootDiffers);
    assert!(matches!(
        body(vec![vec![0]]),
        FaultKind::StatementMalformed(0, _)
    ));
    assert_eq!(
        fault_of(&forge, |block| block.statements.clear()),
        FaultKind::OtherBody
    );
}

#[test]
fn p4_p9_a_statement_that_breaks_a_rule_is_named_though_all_validators_signed_it() {
    let mut forge = ledger();
    let fresh = forge.statement("clinic", vec![item(7)]).unwrap();
    let reused = forge.statement("clinic", vec![item(8), item(2)]).unwrap();
    let refused = |forge: &Forge| replay(forge.genesis(), &forge.dump(|_| true)).unwrap_err();
    forge.append(&[fresh, reused]).unwrap();
    let rejection = Rejection::TagUsed { items: vec![1] };
    assert_eq!(
        refused(&forge),
        format!("block 4: statement 1: {rejection}")
    );

    let mut forge = ledger();
    let mut stranger = Forge::found(&["stranger"]).unwrap();
    let elsewhere = stranger.statement("stranger", vec![item(7)]).unwrap();
    forge.append(&[elsewhere]).unwrap();
    assert_eq!(
        refused(&forge),
        format!("block 4: statement 0: {}", Rejection::OtherNetwork)
    );

    let mut forge = ledger();
    let mut bytes = forge.statement("clinic", vec![item(7)]).unwrap().encode();
    let signature_at = bytes.len() - ledger::item::ITEM_BYTES - 3;
    bytes[signature_at] ^= 1;
    let forged = ledger::statement::SubmittedStatement::decode(&bytes).unwrap();
    forge.append(&[forged]).unwrap();
    let invalid = Rejection::Statement(StatementError::SignatureInvalid);
    assert_eq!(refused(&forge), format!("block 4: statement 0: {invalid}"));
}

#[test]
fn a_block_with_more_items_than_allowed_is_named() {
    let mut forge = Forge::found(&MEMBERS).unwrap();
    let items = |start: u32| {
        let tags =
            |n: u32| [2 * n, 2 * n + 1].map(|n| Tag(n.to_be_bytes().repeat(4).try_into().unwrap()));
        let item = |n: u32| Item {
            tags: tags(n),
            commitment: Digest([0; 32]),
        };
        (start..start + 1_000).map(item).collect()
    };
    let statements = [0, 1_000, 2_000, 3_000, 4_000]
        .map(|start| forge.statement("clinic", items(start)).unwrap());
    forge.append(&statements).unwrap();
    let refused = replay(forge.genesis(), &forge.dump(|_| true)).unwrap_err();
    assert_eq!(refused, format!("block 1: {}", FaultKind::TooLarge));
}

#[test]
fn p8_a_certificate_without_a_quorum_or_of_another_block_is_named() {
    let forge = ledger();
    let mut finality = forge.blocks()[0].finality.clone();
    let block = &forge.blocks()[0].block;
    let apply = |finality| {
        let replay = Replay::new(forge.genesis()).unwrap();
        replay.apply(block, Some(finality)).map(|_| ()).unwrap_err()
    };
    let fault = |error| Fault {
        height: Height(1),
        kind: FaultKind::NotFinal(error),
    };
    assert_eq!(
        apply(&forge.blocks()[1].finality),
        fault(FinalityError::OtherBlock)
    );
    finality.votes.truncate(2);
    assert_eq!(apply(&finality), fault(FinalityError::NoQuorum));
}

static DUMP: LazyLock<(Genesis, Vec<u8>)> = LazyLock::new(|| {
    let forge = ledger();
    (
        forge.genesis().clone(),
        forge.dump(|height| height != Height(1)),
    )
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn p3_one_changed_byte_anywhere_is_found(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let (genesis, dump) = &*DUMP;
        let mut changed = dump.clone();
        changed[at.index(dump.len())] ^= flip;
        prop_assert!(replay(genesis, &changed).is_err());
    }

    #[test]
    fn p3_a_block_left_out_or_swapped_is_found(left_out in 0_usize..2, swap in any::<bool>()) {
        let forge = ledger();
        let mut blocks = forge.blocks().to_vec();
        if swap {
            blocks.swap(left_out, left_out + 1);
        } else {
            blocks.remove(left_out);
        }
        let mut replay = Ok(Replay::new(forge.genesis()).unwrap());
        for Forged { block, finality } in &blocks {
            replay = replay.and_then(|replay| replay.apply(block, Some(finality)));
        }
        prop_assert_eq!(replay.unwrap_err().kind, FaultKind::NotTheNextBlock);
    }
}
