//! The public log takes statements from whoever has them, and refuses by name what breaks a rule.

use axum::body::Body;
use axum::http::Request;
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Item;
use ledger::limits::STATEMENT_ITEMS_MAX;
use ledger::statement::{StatementId, SubmittedStatement};
use node::custody::Anchor;

use crate::support::{Answer, Site};

pub(crate) fn item(byte: u8) -> Item {
    Item {
        tags: [Tag([byte; 16]), Tag([byte ^ 0x80; 16])],
        commitment: Digest([byte; 32]),
    }
}

pub(crate) fn statement(site: &Site, member: &str, id: u8, items: Vec<Item>) -> SubmittedStatement {
    let signer = site.ledger.signer();
    let member: MemberName = member.parse().unwrap();
    let height = Height(Anchor::tip(&site.ledger).height.0 + 10);
    let frame = (site.network(), StatementId([id; 16]), height);
    let speaker = signer.speaker();
    SubmittedStatement::sign_items((&member, speaker.certificate), frame, items, &*speaker.sign)
        .unwrap()
}

async fn submit(site: &Site, bytes: Vec<u8>) -> Answer {
    let request = Request::post("/log/statements").body(Body::from(bytes));
    site.send(request.unwrap()).await
}

async fn refused(site: &Site, bytes: Vec<u8>) -> (u16, u64) {
    let size = Anchor::tip(&site.ledger).log_size;
    let answer = submit(site, bytes).await;
    assert!(!answer.json()["error"].as_str().unwrap().is_empty());
    assert_eq!(
        Anchor::tip(&site.ledger).log_size,
        size,
        "nothing is recorded"
    );
    (answer.status, answer.json()["rule"].as_u64().unwrap())
}

#[tokio::test]
async fn the_tip_is_public_and_a_statement_moves_it() {
    let site = Site::new();
    let tip = async || {
        let request = Request::get("/log/tip").body(Body::empty()).unwrap();
        site.send(request).await.json()["logSize"].as_u64().unwrap()
    };
    assert_eq!(tip().await, 0);
    let bytes = statement(&site, "clinic", 1, vec![item(1)]).encode();
    assert_eq!(submit(&site, bytes.clone()).await.status, 202);
    assert_eq!(tip().await, 1);
    assert_eq!(submit(&site, bytes).await.status, 202, "the same one again");
    assert_eq!(tip().await, 1);
}

#[tokio::test]
async fn p9_a_statement_that_breaks_a_rule_is_refused_by_its_number() {
    let site = Site::new();
    let sound = statement(&site, "clinic", 1, vec![item(1)]);
    assert_eq!(submit(&site, sound.encode()).await.status, 202);
    assert_eq!(refused(&site, b"rubbish".to_vec()).await, (400, 1));
    let reused = statement(&site, "clinic", 2, vec![item(1)]);
    assert_eq!(refused(&site, reused.encode()).await, (409, 20));
    let stranger = statement(&site, "stranger", 3, vec![item(3)]);
    assert_eq!(refused(&site, stranger.encode()).await, (409, 10));
    // The last byte of the envelope is of the signature.
    let signed = statement(&site, "clinic", 4, vec![item(4)]);
    let (mut bytes, envelope) = (signed.encode(), signed.envelope());
    let at = bytes
        .windows(envelope.len())
        .position(|window| window == envelope);
    bytes[at.unwrap() + envelope.len() - 1] ^= 1;
    assert_eq!(refused(&site, bytes).await.1, 1);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_refused() {
    let site = Site::new();
    let many = (0..=STATEMENT_ITEMS_MAX).map(|at| item(u8::try_from(at % 256).unwrap()));
    let oversized = statement(&site, "clinic", 1, many.collect());
    let (status, rule) = refused(&site, oversized.encode()).await;
    assert!(status == 400 || status == 409, "{status}");
    assert_eq!(rule, 1);
    let answer = submit(&site, vec![0; 300 << 10]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_block_is_public_where_it_is_kept() {
    let site = Site::new();
    let block = async |height: &str| {
        let path = format!("/log/blocks/{height}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        site.send(request).await
    };
    let there = block("3").await;
    assert_eq!(there.status, 200);
    assert_eq!(there.bytes, b"the third block");
    let gone = block("1").await;
    assert_eq!(gone.status, 410);
    let why = gone.json()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("ask a member that keeps all"), "{why}");
    let damaged = block("2").await;
    assert_eq!(damaged.status, 503, "what is damaged is not shown");
    assert_eq!(block("9").await.status, 404);
    assert_eq!(block("x").await.status, 400);
}
