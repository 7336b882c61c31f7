use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use ::ledger::ids::Digest;

use super::*;
use crate::outbox::{SIZES, Signer, Speaker};

async fn write_some(custody: &Custody, count: usize) {
    let by = clinician("hospital");
    custody
        .write(&by, vec![update(patient("p"), None)])
        .await
        .unwrap();
    for number in 0..count {
        let change = create(observation("p", &format!("text {number}")));
        custody.write(&by, vec![change]).await.unwrap();
    }
}

fn recorded_items(ledger: &Ledger) -> Vec<::ledger::item::Item> {
    let statements = ledger.statements();
    statements
        .iter()
        .flat_map(|one| one.items().to_vec())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_the_ledger_does_not_take_waits_and_is_recorded_once() {
    let ledger = Ledger::of(&["hospital"]);
    ledger.reach(false);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    write_some(&custody, 20).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ledger.statements().is_empty());
    ledger.reach(true);
    settled(&custody).await;
    let items = recorded_items(&ledger);
    assert!(items.len() >= 21);
    let tags: BTreeSet<_> = items.iter().flat_map(|item| item.tags).collect();
    assert_eq!(tags.len(), items.len() * 2, "no tag is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_the_same_bytes_are_sent_again_after_a_restart_and_count_once() {
    let ledger = Ledger::of(&["hospital"]);
    ledger.live(false);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    write_some(&custody, 3).await;
    eventually("submitted", || !ledger.submitted().is_empty()).await;
    drop(custody);
    site.let_go();
    let before = ledger.submitted();
    ledger.forget_pool();
    let custody = site.open();
    eventually("the same bytes are submitted again", || {
        ledger.submitted()[before.len()..].contains(&before[0])
    })
    .await;
    ledger.live(true);
    settled(&custody).await;
    let statements = ledger.statements();
    let distinct: BTreeSet<_> = statements.iter().map(|one| one.encode()).collect();
    assert_eq!(distinct.len(), statements.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_an_unheard_certificate_signed_is_signed_anew_once_it_is_renewed() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let is_renewed = Arc::new(AtomicBool::new(false));
    let (renewed, signer) = (Arc::clone(&is_renewed), ledger.signer("hospital"));
    let signer = Signer::following(move || {
        let speaker = signer.speaker();
        if renewed.load(Ordering::SeqCst) {
            return speaker;
        }
        Speaker {
            certificate: Digest([9; 32]),
            ..speaker
        }
    });
    let options = CustodyOptions {
        full_text: true,
        review_ms: 72 * 3_600_000,
        implicit: contracts::access::Implicit::default(),
        linkage: None,
        signer,
        ..site.options()
    };
    let anchor: Arc<dyn Anchor> = Arc::new(ledger.clone());
    let custody = Custody::open_on(options, anchor, Disk).unwrap();
    write_some(&custody, 3).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(ledger.statements().is_empty());
    assert_eq!(custody.outbox().stopped, 0, "nobody has to look at it");
    is_renewed.store(true, Ordering::SeqCst);
    settled(&custody).await;
    assert!(recorded_items(&ledger).len() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_statement_that_expired_is_signed_anew_and_its_items_count_once() {
    let ledger = Ledger::of(&["hospital"]);
    ledger.live(false);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    write_some(&custody, 3).await;
    eventually("submitted", || !ledger.submitted().is_empty()).await;
    ledger.forget_pool();
    ledger.pass(200, 1);
    ledger.live(true);
    settled(&custody).await;
    assert!(recorded_items(&ledger).len() >= 4);
    let items = recorded_items(&ledger);
    let tags: BTreeSet<_> = items.iter().flat_map(|item| item.tags).collect();
    assert_eq!(tags.len(), items.len() * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_statements_have_the_sizes_that_everybody_has() {
    let ledger = Ledger::of(&["hospital"]);
    ledger.reach(false);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    write_some(&custody, 40).await;
    ledger.reach(true);
    settled(&custody).await;
    assert!(recorded_items(&ledger).len() >= 41);
    for statement in ledger.statements() {
        assert!(SIZES.contains(&statement.items().len()));
    }
}
