//! Strangers read the log and register statements by published interfaces: C2SP tiles and SCRAPI.

use axum::body::Body;
use axum::http::Request;
use ledger::checkpoint::SignedCheckpoint;
use ledger::ids::{Digest, Tag};
use ledger::log::{leaf_hash, tile};
use ledger::receipt::verify_transparent;
use ledger::scitt::{self, CoseReceipt, Proof};
use ledger::state::StateKey;
use ledger::statement::SubmittedStatement;
use node::chain::PublicLog as _;

use crate::log::{item, statement};
use crate::support::{Answer, Site};

async fn get(site: &Site, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty()).unwrap();
    site.send(request).await
}

async fn register(site: &Site, bytes: Vec<u8>) -> Answer {
    let request = Request::post("/scitt/entries").body(Body::from(bytes));
    site.send(request.unwrap()).await
}

fn id_of(tag: u8) -> String {
    let key = StateKey::of_tag(&"clinic".parse().unwrap(), Tag([tag; 16]));
    Digest(key.0).to_string()
}

fn own_key(site: &Site) -> ledger::node_key::NodeKey {
    let registry = site.ledger.registry();
    registry.node_certificates().next().unwrap().1.key
}

fn sound(site: &Site, byte: u8) -> SubmittedStatement {
    statement(site, "clinic", byte, vec![item(byte)])
}

#[tokio::test]
async fn p10_a_registered_statement_gets_a_receipt_that_verifies() {
    let site = Site::new();
    let registered = sound(&site, 1);
    let answer = register(&site, scitt::registration(&registered).unwrap()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("location"),
        format!("/scitt/entries/{}", id_of(1))
    );
    assert_eq!(
        answer.header("content-type"),
        "application/scitt-receipt+cose"
    );
    let receipt = CoseReceipt::decode(&answer.bytes).unwrap();
    let Proof::Inclusion(path) = &receipt.proof else {
        panic!("not of inclusion")
    };
    let root = path.root(leaf_hash(registered.envelope())).unwrap();
    let root = (path.size, root);
    assert_eq!(receipt.signature.verify(root, &own_key(&site)), Ok(()));

    let again = get(&site, answer.header("location")).await;
    assert_eq!((again.status, again.bytes), (200, answer.bytes));
    let whole = get(&site, &format!("/scitt/signed-statements/{}", id_of(1))).await;
    assert_eq!(
        whole.header("content-type"),
        "application/scitt-statement+cose"
    );
    let shown = verify_transparent(&whole.bytes, &site.ledger.trust()).unwrap();
    assert_eq!((shown.index, shown.receipts.len()), (0, 1));
}

#[tokio::test]
async fn what_waits_is_to_be_asked_for_again_and_what_is_unknown_is_not_there() {
    let site = Site::new();
    site.ledger.live(false);
    node::custody::Anchor::submit(&site.ledger, sound(&site, 1)).unwrap();
    let waiting = get(&site, &format!("/scitt/entries/{}", id_of(1))).await;
    assert_eq!((waiting.status, waiting.header("retry-after")), (302, "1"));
    assert_eq!(
        waiting.header("location"),
        format!("/scitt/entries/{}", id_of(1))
    );
    for unknown in [id_of(9), "nonsense".to_owned()] {
        let answer = get(&site, &format!("/scitt/entries/{unknown}")).await;
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.header("content-type"),
            "application/concise-problem-details+cbor"
        );
    }
    assert_eq!(
        get(&site, &format!("/scitt/signed-statements/{}", id_of(9)))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn p9_a_statement_that_breaks_a_rule_is_not_registered() {
    let site = Site::new();
    let problem = "application/concise-problem-details+cbor";
    let stranger = statement(&site, "stranger", 3, vec![item(3)]);
    let without_items = sound(&site, 4).envelope().to_vec();
    for refused in [
        b"rubbish".to_vec(),
        scitt::registration(&stranger).unwrap(),
        without_items,
    ] {
        let answer = register(&site, refused).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, problem)
        );
    }
    assert_eq!(node::custody::Anchor::tip(&site.ledger).log_size, 0);
}

#[tokio::test]
async fn keys_are_found_by_the_certificate_that_receipts_name() {
    let site = Site::new();
    let registry = site.ledger.registry();
    let node = registry.node_certificates().next().unwrap().1;
    let (certificate, key) = (node.thumbprint, node.key);
    let one = get(&site, &format!("/.well-known/scitt-keys/{certificate}")).await;
    assert_eq!(
        (one.status, one.bytes),
        (
            200,
            scitt::cose_key(certificate, (key.algorithm(), &key.to_bytes()))
        )
    );
    let all = get(&site, "/.well-known/scitt-keys").await;
    assert_eq!(all.bytes, scitt::cose_key_set([(certificate, key)]));
    assert_eq!(get(&site, "/.well-known/scitt-keys/00").await.status, 404);
}

#[tokio::test]
async fn p10_checkpoint_and_tiles_are_where_tlog_tiles_has_them() {
    let site = Site::new();
    for byte in 1..=3 {
        node::custody::Anchor::submit(&site.ledger, sound(&site, byte)).unwrap();
    }
    let checkpoint = get(&site, "/log/checkpoint").await;
    assert_eq!(
        checkpoint.header("content-type"),
        "text/plain; charset=utf-8"
    );
    let note = SignedCheckpoint::decode(&checkpoint.bytes).unwrap();
    assert_eq!(note.checkpoint.size, 3);
    let leaves = get(&site, "/log/tile/0/000.p/3").await;
    assert_eq!(leaves.bytes.len(), 96);
    assert!(leaves.header("cache-control").contains("immutable"));
    let bundle = get(&site, "/log/tile/entries/000.p/3").await;
    for (entry, leaf) in tile::entries(&bundle.bytes)
        .unwrap()
        .iter()
        .zip(leaves.bytes.chunks(32))
    {
        assert_eq!(leaf_hash(entry).0, leaf);
    }
    for missing in [
        "/log/tile/0/000",
        "/log/tile/0/000.p/4",
        "/log/tile/entries/001.p/1",
        "/log/tile/x",
    ] {
        assert_eq!(get(&site, missing).await.status, 404, "{missing}");
    }
    let receipt = get(&site, "/scitt/consistency/2").await;
    let receipt = CoseReceipt::decode(&receipt.bytes).unwrap();
    let root = (note.checkpoint.size, note.checkpoint.root);
    assert_eq!(receipt.signature.verify(root, &own_key(&site)), Ok(()));
    assert_eq!(get(&site, "/scitt/consistency/4").await.status, 404);
}
