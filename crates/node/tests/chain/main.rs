//! The chain over the real engine: what members record becomes final, once, and can be proven.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests, and so are their helpers"
)]

use contracts::rejection::Rejection;
use ledger::checkpoint::SignedCheckpoint;
use ledger::ids::{Digest, Tag};
use ledger::item::Item;
use ledger::log::leaf_hash;
use ledger::log::tile::{self, Tile};
use ledger::receipt::{Cosigned, verify_transparent};
use ledger::scitt::{CoseReceipt, Proof};
use node::chain::{PublicLog as _, SubmitError, transparent_statement};

mod blocks;
mod governance;
mod joining;
mod liars;
mod network;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../ports/mod.rs"]
mod ports;
mod power;
mod quotas;

use network::Founding;
use patience::{PATIENCE, until};

const FOUR: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

#[tokio::test(flavor = "multi_thread")]
async fn p3_what_is_recorded_at_one_member_is_proven_at_all() {
    let founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let statement = founding.statement(0, 1, &[[1, 2], [3, 4], [5, 6]]);
    members[0].chain.submit(statement.clone()).unwrap();
    members[0].chain.submit(statement.clone()).unwrap();
    let clinic = &founding.seats[0].name;
    for member in &members {
        let position = member.located(clinic, Tag([3; 16])).await;
        assert_eq!(member.chain.item(position).unwrap().0, *clinic);
        let receipt = certified_receipt(member, position, &[Tag([9; 16]), Tag([3; 16])]).await;
        let recorded = receipt.verify(&founding.trust()).unwrap();
        assert_eq!(recorded.item.tags, [Tag([3; 16]), Tag([4; 16])]);
        assert_eq!(recorded.member, *clinic);
        assert_eq!(
            recorded.absent,
            [Tag([9; 16])],
            "a used tag is not shown to be absent"
        );
    }
    members[0]
        .chain
        .submit(statement)
        .expect("the same statement again is success");
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_second_use_of_a_tag_is_rejected_and_a_copy_harms_nobody() {
    let founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    members[0]
        .chain
        .submit(founding.statement(0, 1, &[[1, 2]]))
        .unwrap();
    members[0]
        .located(&founding.seats[0].name, Tag([1; 16]))
        .await;
    let second = members[0]
        .chain
        .submit(founding.statement(0, 2, &[[7, 8], [1, 9]]));
    assert!(matches!(
        second,
        Err(SubmitError::Rejected(Rejection::TagUsed { items })) if items == [1]
    ));
    members[3]
        .chain
        .submit(founding.statement(3, 3, &[[1, 2]]))
        .unwrap();
    members[1]
        .located(&founding.seats[3].name, Tag([1; 16]))
        .await;
    assert!(
        members[0]
            .chain
            .locate(&founding.seats[0].name, Tag([7; 16]))
            .unwrap()
            .is_none()
    );
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_one_of_four_stops_and_catches_up() {
    let founding = Founding::of(&FOUR);
    let mut members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    members[1]
        .chain
        .submit(founding.statement(1, 1, &[[1, 2]]))
        .unwrap();
    members[3]
        .located(&founding.seats[1].name, Tag([1; 16]))
        .await;
    members.pop().unwrap().stop().await;
    members[1]
        .chain
        .submit(founding.statement(1, 2, &[[3, 4]]))
        .unwrap();
    members[0]
        .located(&founding.seats[1].name, Tag([3; 16]))
        .await;
    let back = founding.start(3);
    let position = back.located(&founding.seats[1].name, Tag([3; 16])).await;
    assert_eq!(
        back.chain.item(position).unwrap().1.tags,
        [Tag([3; 16]), Tag([4; 16])]
    );
    back.stop().await;
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_receipts_are_made_while_large_blocks_are_applied() {
    let founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    clinic
        .chain
        .submit(founding.statement(0, 1, &[[1, 2]]))
        .unwrap();
    let position = clinic.located(&founding.seats[0].name, Tag([1; 16])).await;
    let mut last = Tag([0; 16]);
    for number in 0..40 {
        let statement = founding.numbered(0, number, 500);
        last = statement.items()[0].tags[0];
        clinic.chain.submit(statement).unwrap();
    }
    let unused = Tag([0xee; 16]);
    while clinic
        .chain
        .locate(&founding.seats[0].name, last)
        .unwrap()
        .is_none()
    {
        let receipt = clinic.chain.receipt(position, &[unused]).unwrap();
        if let Some(receipt) = receipt {
            assert_eq!(receipt.absent.len(), 1);
        }
        tokio::task::yield_now().await;
    }
    clinic.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_one_works_and_continues_from_its_directory() {
    let founding = Founding::of(&["clinic"]);
    let clinic = &founding.seats[0].name;
    let first = founding.start(0);
    first
        .chain
        .submit(founding.statement(0, 1, &[[1, 2]]))
        .unwrap();
    first.located(clinic, Tag([1; 16])).await;
    first.stop().await;
    let again = founding.start(0);
    again.located(clinic, Tag([1; 16])).await;
    again
        .chain
        .submit(founding.statement(0, 2, &[[3, 4]]))
        .unwrap();
    let position = again.located(clinic, Tag([3; 16])).await;
    let receipt = certified_receipt(&again, position, &[]).await;
    assert_eq!(receipt.item, Item::from_bytes(&receipt.item).to_bytes());
    assert!(receipt.verify(&founding.trust()).is_ok());
    again.stop().await;
}

async fn certified_receipt(
    member: &network::Running,
    position: node::chain::Position,
    absent: &[Tag],
) -> ledger::receipt::Receipt {
    until("a certified header covers the item", async || {
        member.chain.receipt(position, absent).unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_every_validator_stands_by_the_log_in_published_formats() {
    let founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let statement = founding.statement(0, 1, &[[1, 2], [3, 4]]);
    members[0].chain.submit(statement.clone()).unwrap();
    for member in &members {
        let position = member.located(&founding.seats[0].name, Tag([3; 16])).await;
        let cosigned = cosigned(member, position.statement).await;
        assert!(cosigned.signatures.len() >= 3);
        let bytes = transparent_statement(&member.chain, position.statement).unwrap();
        let shown = verify_transparent(&bytes.unwrap(), &founding.trust()).unwrap();
        assert_eq!(shown.statement.member, founding.seats[0].name);
        assert!(shown.receipts.len() >= cosigned.signatures.len());
        let receipt = certified_receipt(member, position, &[]).await;
        let recorded = receipt.verify(&founding.trust()).unwrap();
        assert!(recorded.receipts_of.len() >= cosigned.signatures.len());

        let note = SignedCheckpoint::decode(&member.chain.checkpoint().unwrap()).unwrap();
        let accepted = founding.policy().accept(&note).unwrap();
        assert!(accepted.witnesses.len() >= 3, "{accepted:?}");
        assert_eq!(note.checkpoint.size, 1);
        let leaves: Tile = "tile/0/000.p/1".parse().unwrap();
        let leaf = member.chain.tile(&leaves).unwrap().unwrap();
        assert_eq!(leaf, leaf_hash(statement.envelope()).0);
        let bundle: Tile = "tile/entries/000.p/1".parse().unwrap();
        let bundle = member.chain.tile(&bundle).unwrap().unwrap();
        assert_eq!(tile::entries(&bundle).unwrap(), [statement.envelope()]);
    }
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_log_shows_that_it_continues_its_past() {
    let founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    let mut past = None;
    for number in 0..5 {
        let statement = founding.numbered(0, number, 3);
        let last = statement.items()[0].tags[0];
        clinic.chain.submit(statement).unwrap();
        let position = clinic.located(&founding.seats[0].name, last).await;
        let now = cosigned(&clinic, position.statement).await;
        if let Some((size, root)) = past {
            let receipts = clinic.chain.consistency(size).unwrap();
            let receipt = CoseReceipt::decode(&receipts[0]).unwrap();
            let Proof::Consistency(path) = receipt.proof else {
                panic!("not of consistency")
            };
            let newer = if path.newer == now.path.size {
                now.root
            } else {
                continue;
            };
            assert_eq!(path.verify(root, newer), Ok(()));
            let registry = clinic.chain.registry();
            let key = registry.node_certificates().next().unwrap().1.key;
            let signed = (path.newer, newer);
            assert_eq!(receipt.signature.verify(signed, &key), Ok(()));
            assert!(path.verify(Digest::of(b"another past"), newer).is_err());
        }
        past = Some((now.path.size, now.root));
    }
    assert!(clinic.chain.consistency(1_000).unwrap().is_empty());
    clinic.stop().await;
}

async fn cosigned(member: &network::Running, index: u64) -> Cosigned {
    until("a checkpoint covers the statement", async || {
        member.chain.cosigned(index).unwrap()
    })
    .await
}
