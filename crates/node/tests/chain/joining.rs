//! A member joins by snapshot: it follows, validates from an epoch's first block on, and proves what was before.

use std::fs;
use std::sync::Arc;

use futures::future::BoxFuture;
use ledger::ids::Height;
use ledger::snapshot::{EntryKey, LeafPage, Offer, StatePage, StatementPage};
use node::chain::{Chain, DumpError, Keep, Snapshots, StoreError, inspect};
use node::engine;
use node::join::{PeerError, Source, Step, Terms, join};

use super::*;
use crate::network::Running;

/// A peer in this process.
pub(crate) struct Local(pub(crate) &'static str, pub(crate) Chain);

impl Local {
    pub(crate) fn answer(&self, path: &str) -> Option<Vec<u8>> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let height = |at: &str| Height(at.parse().unwrap());
        match parts[..] {
            ["network", "snapshot"] => self.1.offer().unwrap().as_ref().map(Offer::encode),
            ["network", "snapshot", at, "leaves", from] => {
                let page = self.1.leaves(height(at), from.parse().unwrap());
                page.unwrap().as_ref().map(LeafPage::encode)
            }
            ["network", "snapshot", at, "state", from] => {
                let mut key = [0; 32];
                hex::decode_to_slice(from, &mut key).unwrap();
                let page = self.1.state(height(at), EntryKey(key));
                page.unwrap().as_ref().map(StatePage::encode)
            }
            ["network", "snapshot", at, "statements", member, from] => {
                let member = member.parse().unwrap();
                let from = from.parse().unwrap();
                let page = self.1.statements(height(at), &member, from);
                page.unwrap().as_ref().map(StatementPage::encode)
            }
            _ => unreachable!("nobody asks for {path}"),
        }
    }
}

impl Source for Local {
    fn name(&self) -> &str {
        self.0
    }

    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, PeerError>> {
        Box::pin(async move { Ok(self.answer(path)) })
    }
}

/// Waits for a snapshot with so many statements.
pub(crate) async fn offered(member: &Running, statements: u64) -> Offer {
    until("a snapshot has them", async || {
        let offer = member.chain.offer().unwrap();
        offer.filter(|offer| offer.block.header.log_size >= statements)
    })
    .await
}

/// Submits numbered statements of a member, and waits until they are final there.
pub(crate) async fn record(
    founding: &Founding,
    member: &Running,
    at: usize,
    numbers: std::ops::Range<u64>,
) {
    for number in numbers {
        let statement = founding.numbered(at, number, 3);
        let tag = statement.items()[0].tags[0];
        member.chain.submit(statement).unwrap();
        member.located(&founding.seats[at].name, tag).await;
    }
}

fn first_tag(founding: &Founding, at: usize, number: u64) -> Tag {
    founding.numbered(at, number, 3).items()[0].tags[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_p4_p8_a_member_that_lost_all_joins_by_snapshot_and_validates_again() {
    let founding = Founding::of(&FOUR).with_epochs_of(30);
    let mut members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    record(&founding, &members[3], 3, 0..3).await;
    record(&founding, &members[0], 0, 10..20).await;
    members[3]
        .located(&founding.seats[0].name, first_tag(&founding, 0, 19))
        .await;
    members.pop().unwrap().stop().await;
    fs::remove_dir_all(founding.folder(3)).unwrap();
    fs::create_dir_all(founding.folder(3)).unwrap();
    offered(&members[0], 13).await;

    let peers: [Arc<dyn Source>; 1] = [Arc::new(Local("clinic", members[0].chain.clone()))];
    let chain = founding.folder(3).join("chain");
    let terms = Terms {
        genesis: &founding.genesis,
        member: &founding.seats[3].name,
        directory: &chain,
        seen: None,
        former: None,
    };
    let mut steps = 0;
    let tip = join(&terms, &peers, |step| {
        assert!(!matches!(step, Step::Refused { .. }));
        steps += 1;
    });
    let tip = tip.await.unwrap();
    assert!(steps > 3 && tip.log_size >= 13);

    assert_eq!(found(&founding, 3), "", "as the snapshot left it");
    // Killed before consensus has fetched anything, and again while it follows.
    founding.start(3).kill().await;
    let back = founding.start(3);
    record(&founding, &members[1], 1, 30..32).await;
    back.located(&founding.seats[1].name, first_tag(&founding, 1, 31))
        .await;
    back.kill().await;
    let back = founding.start(3);
    proves_what_was(&founding, &back, tip.height).await;

    // In the epoch after the one of the snapshot three of four suffice, and one of them is the one that joined.
    let epoch = founding.genesis.rules().epoch_of(tip.height).0;
    reached(&members[0], (epoch + 1) * 30).await;
    members.remove(0).stop().await;
    record(&founding, &members[0], 1, 40..42).await;
    back.located(&founding.seats[1].name, first_tag(&founding, 1, 41))
        .await;
    for member in members {
        member.stop().await;
    }
    back.stop().await;
    assert_eq!(found(&founding, 3), "", "after it has gone on");
}

/// What an inspection of a stopped member's chain and engine finds.
fn found(founding: &Founding, at: usize) -> String {
    let folder = founding.folder(at);
    let report = inspect(&founding.genesis, &folder.join("chain"), |_, _| ()).unwrap();
    let engine = engine::inspect(&folder.join("engine"), 16 << 20, report.digests);
    let chain = report.damages.iter().map(ToString::to_string);
    let engine = engine.damages.iter().map(ToString::to_string);
    chain.chain(engine).collect::<Vec<_>>().join("\n")
}

/// Its own old receipts verify from the genesis alone; what it has not is named; used tags stay used.
async fn proves_what_was(founding: &Founding, back: &Running, joined: Height) {
    let payer = &founding.seats[3].name;
    let own = back.located(payer, first_tag(founding, 3, 1)).await;
    for absent in [&[][..], &[Tag([9; 16])]] {
        let receipt = certified_receipt(back, own, absent).await;
        let recorded = receipt.verify(&founding.trust()).unwrap();
        assert_eq!(recorded.absent, absent);
        if absent.is_empty() {
            assert!(
                recorded.height < joined,
                "the first certified block is shown"
            );
        }
    }
    let others = back
        .located(&founding.seats[0].name, first_tag(founding, 0, 10))
        .await;
    let missing = back.chain.receipt(others, &[]).unwrap_err();
    assert!(matches!(missing, StoreError::NotKept(index) if index == others.statement));
    assert!(
        matches!(back.chain.dump(Vec::new()), Err(DumpError::NotKept(height)) if height == joined)
    );
    let again = back.chain.submit(founding.numbered(0, 10, 3));
    assert!(
        again.is_ok(),
        "the very same statement is known without its body"
    );
    let second = back.chain.submit(founding.numbered(0, 10, 2));
    let refused = second.unwrap_err();
    assert!(matches!(
        refused,
        SubmitError::Rejected(Rejection::TagUsed { .. })
    ));
}

async fn reached(member: &Running, height: u64) {
    let mut tips = member.chain.subscribe();
    let reached = tips.wait_for(|tip| tip.height.0 >= height);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("in time")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_pruned_member_proves_its_own_and_says_what_it_has_not() {
    let founding = Founding::of(&["clinic", "hospital"]).with_epochs_of(8);
    let members = [founding.start(0), founding.start(1)];
    let clinic = &founding.seats[0].name;
    record(&founding, &members[0], 0, 0..3).await;
    record(&founding, &members[1], 1, 3..6).await;
    members[0].chain.keep(Keep::Blocks(4), clinic.clone());
    let last = members[0].chain.tip().height.0;
    reached(&members[0], last + 12).await;
    let kept_from = members[0].chain.kept_from().unwrap();
    assert!(kept_from.0 > last, "nothing was pruned");

    for number in 0..3 {
        let own = members[0]
            .located(clinic, first_tag(&founding, 0, number))
            .await;
        let receipt = certified_receipt(&members[0], own, &[]).await;
        receipt.verify(&founding.trust()).unwrap();
    }
    let hospital = &founding.seats[1].name;
    let others = members[0]
        .located(hospital, first_tag(&founding, 1, 3))
        .await;
    let gone = members[0].chain.item(others).unwrap_err();
    assert!(matches!(gone, StoreError::NotKept(_)));
    let bundle: Tile = "tile/entries/000.p/6".parse().unwrap();
    assert!(matches!(
        members[0].chain.tile(&bundle),
        Err(StoreError::NotKept(_))
    ));
    assert!(members[1].chain.tile(&bundle).unwrap().is_some());
    assert!(matches!(
        members[0].chain.dump(Vec::new()),
        Err(DumpError::NotKept(_))
    ));
    assert!(matches!(
        members[0].chain.block(Height(1)),
        Err(StoreError::BlockNotKept(Height(1)))
    ));
    let tip = members[0].chain.tip().height;
    assert!(members[0].chain.block(tip).unwrap().is_some());
    assert_eq!(
        members[0].chain.damaged_rows(),
        0,
        "what is gone is not damaged"
    );
    let offer = offered(&members[0], 6).await;
    assert!(offer.kept_from >= kept_from);
    let [clinic, hospital] = members;
    clinic.stop().await;
    hospital.stop().await;
    assert_eq!(found(&founding, 0), "");
    founding.start(0).stop().await;
}
