//! A witness cosigns what continues the log, over HTTP on loopback, and the node serves the checkpoint with its lines.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use ed25519_zebra::{SigningKey, VerificationKey};
use gateway::auth::Clock;
use gateway::witness::{Witness, WitnessKey, WitnessParts, follow, witness_router};
use ledger::checkpoint::{KeyKind, SignedCheckpoint, VerifierKey};
use ledger::ids::Digest;
use node::chain::PublicLog;
use node::custody::Anchor as _;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::log::{item, statement};
use crate::patience::until;
use crate::support::{Answer, Site};

const SECONDS: u64 = 1_780_300_000;

fn key() -> WitnessKey {
    let signing = SigningKey::from_bytes(&[9; 32]);
    let public: [u8; 32] = VerificationKey::from(&signing).into();
    WitnessKey {
        key: VerifierKey::new("regulator.example/w1", KeyKind::Ed25519, &public).unwrap(),
        sign: Arc::new(move |bytes| Ok(signing.sign(bytes).to_bytes().to_vec())),
    }
}

async fn witness(site: &Site, folder: &TempDir) -> Witness {
    let note = SignedCheckpoint::decode(&site.ledger.checkpoint().unwrap()).unwrap();
    let (_, validator) = site.ledger.validator();
    let log = VerifierKey::new(&note.checkpoint.origin, KeyKind::Log, &validator).unwrap();
    let router = witness_router(WitnessParts {
        keys: vec![key()],
        logs: vec![log],
        directory: folder.path().to_owned(),
        clock: Clock::from_fn(|| SECONDS),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Witness {
        url,
        keys: vec![key().key],
    }
}

async fn witnessed(site: &Site) -> Answer {
    let request = Request::get("/log/witnessed").body(Body::empty());
    site.send(request.unwrap()).await
}

fn grow(site: &Site, byte: u8) {
    let statement = statement(site, "clinic", byte, vec![item(byte)]);
    site.ledger.submit(statement).unwrap();
}

/// The checkpoint of `size` with the witness's line.
async fn cosigned(site: &Site, size: u64) -> SignedCheckpoint {
    until("a witness cosigns the log", async || {
        let answer = witnessed(site).await;
        let note = SignedCheckpoint::decode(&answer.bytes);
        note.ok().filter(|note| note.checkpoint.size == size)
    })
    .await
}

#[tokio::test]
async fn p3_a_witness_follows_the_log_and_the_node_serves_its_lines() {
    let (site, folder) = (Site::new(), TempDir::new().unwrap());
    grow(&site, 1);
    assert_eq!(witnessed(&site).await.status, 404);
    let witness = witness(&site, &folder).await;
    let log: Arc<dyn PublicLog> = Arc::new(site.ledger.clone());
    let following = tokio::spawn(follow(Arc::clone(&log), vec![witness.clone()]));
    let note = cosigned(&site, 1).await;
    assert_eq!(note.signed_by(&key().key), Ok(Some(SECONDS)));
    following.abort();
    // A node that starts anew learns from the witness where it is, and proves that it went on from there.
    grow(&site, 2);
    grow(&site, 3);
    let following = tokio::spawn(follow(log, vec![witness.clone()]));
    let note = cosigned(&site, 3).await;
    assert_eq!(note.signed_by(&key().key), Ok(Some(SECONDS)));
    following.abort();
    let origin = Digest::of(note.checkpoint.origin.as_bytes());
    let kept = reqwest::get(format!("{}/{origin}/checkpoint", witness.url))
        .await
        .unwrap();
    let kept = SignedCheckpoint::decode(&kept.bytes().await.unwrap()).unwrap();
    assert_eq!(kept.checkpoint, note.checkpoint);
}

#[tokio::test]
async fn a_witness_says_why_it_does_not_cosign() {
    let (site, folder) = (Site::new(), TempDir::new().unwrap());
    grow(&site, 1);
    let witness = witness(&site, &folder).await;
    let post = async |body: Vec<u8>| {
        let url = format!("{}/add-checkpoint", witness.url);
        let answer = reqwest::Client::new()
            .post(url)
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let note = site.ledger.checkpoint().unwrap();
    let with = |old: &str| [old.as_bytes(), b"\n\n", &note].concat();
    assert_eq!(post(b"rubbish".to_vec()).await.0, 400);
    assert_eq!(post(with("old 1")).await, (409, "0\n".to_owned()));
    assert_eq!(post(with("old 2")).await.0, 400, "a log does not shrink");
    assert_eq!(post(with("old 0")).await.0, 200);
    let elsewhere =
        String::from_utf8(with("old 0"))
            .unwrap()
            .replacen("careledger/", "another/", 1);
    assert_eq!(post(elsewhere.into_bytes()).await.0, 404);
    let request = reqwest::get(format!("{}/{}/checkpoint", witness.url, "00".repeat(32))).await;
    assert_eq!(request.unwrap().status().as_u16(), 404);
}
