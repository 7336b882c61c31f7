//! Peers that lie in any part of a snapshot: each is named, and another peer is asked.

use std::sync::{Arc, Mutex};

use contracts::governance::Command;
use futures::future::BoxFuture;
use ledger::checkpoint::Checkpoint;
use ledger::ids::Digest;
use ledger::snapshot::{Entry, EntryKey, LeafPage, Offer, StatePage, StatementPage};
use minicbor::bytes::ByteVec;
use node::chain::Snapshots as _;
use node::join::{JoinFailed, PeerError, Source, Step, Terms, join};
use tempfile::TempDir;

use super::*;
use crate::joining::{Local, offered, record};

type Change = Box<dyn Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A peer that changes what it serves.
struct Liar(Local, Change);

impl Source for Liar {
    fn name(&self) -> &str {
        self.0.0
    }

    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, PeerError>> {
        let answer = self.0.answer(path).map(|bytes| (self.1)(path, bytes));
        Box::pin(async move { Ok(answer) })
    }
}

fn in_offer(change: impl Fn(&mut Offer) + Send + Sync + 'static) -> Change {
    Box::new(move |path, bytes| {
        if path != "/network/snapshot" {
            return bytes;
        }
        let mut offer = Offer::decode(&bytes).unwrap();
        change(&mut offer);
        offer.encode()
    })
}

fn in_state(change: impl Fn(&mut StatePage) + Send + Sync + 'static) -> Change {
    Box::new(move |path, bytes| {
        if !path.contains("/state/") {
            return bytes;
        }
        let mut page = StatePage::decode(&bytes).unwrap();
        change(&mut page);
        page.encode()
    })
}

fn in_leaves(change: impl Fn(&mut LeafPage) + Send + Sync + 'static) -> Change {
    Box::new(move |path, bytes| {
        if !path.contains("/leaves/") {
            return bytes;
        }
        let mut page = LeafPage::decode(&bytes).unwrap();
        change(&mut page);
        page.encode()
    })
}

/// Lies about the block and the validators, and how each is refused.
fn about_the_block(old: Vec<u8>) -> Vec<(&'static str, Change)> {
    vec![
        (
            "not final",
            in_offer(|offer| {
                offer.block.finality.votes[0].signature[0] ^= 1;
            }),
        ),
        (
            "not final",
            in_offer(|offer| offer.block.header.log_root = Digest([7; 32])),
        ),
        (
            "another network",
            in_offer(|offer| {
                offer.block.header.network.0 = Digest([7; 32]);
            }),
        ),
        ("epoch", in_offer(|offer| offer.block.header.epoch.0 += 1)),
        (
            "epoch before",
            in_offer(|offer| {
                offer.boundary = Some(offer.block.clone());
            }),
        ),
        ("registry", in_offer(|offer| offer.registry = None)),
        (
            "registry",
            in_offer(move |offer| offer.registry = Some(ByteVec::from(old.clone()))),
        ),
        (
            "registry",
            in_offer(|offer| offer.registry = Some(ByteVec::from(vec![1]))),
        ),
        ("checkpoint", in_offer(|offer| offer.signatures.clear())),
        (
            "checkpoint",
            in_offer(|offer| {
                offer.signatures[0].signature[5] ^= 1;
            }),
        ),
    ]
}

/// Lies about log and state, and how each is refused.
fn about_the_contents() -> Vec<(&'static str, Change)> {
    vec![
        (
            "log root",
            in_leaves(|page| page.leaves[2] = Digest([7; 32])),
        ),
        ("log root", in_leaves(|page| page.leaves.swap(0, 1))),
        (
            "log of",
            in_leaves(|page| page.leaves.push(Digest([7; 32]))),
        ),
        ("log of", in_leaves(|page| page.leaves.clear())),
        ("state root", in_state(|page| page.entries[4].value[7] ^= 1)),
        (
            "state root",
            in_state(|page| {
                page.entries.remove(3);
            }),
        ),
        (
            "state root",
            in_state(|page| {
                page.entries.push(Entry {
                    key: EntryKey([255; 32]),
                    value: vec![0; 10],
                });
            }),
        ),
        ("state root", in_state(|page| page.entries.truncate(2))),
        ("state root", in_state(|page| page.entries.clear())),
        ("out of order", in_state(|page| page.entries.swap(0, 1))),
        (
            "out of order",
            in_state(|page| page.next = Some(EntryKey([0; 32]))),
        ),
        (
            "neither a place",
            in_state(|page| page.entries[0].value.push(0)),
        ),
        (
            "neither a place",
            in_state(|page| page.entries[0].value[0] = 9),
        ),
        (
            "malformed",
            Box::new(|path, mut bytes| {
                if path.contains("/state/") {
                    bytes.pop();
                }
                bytes
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_p4_p8_whoever_lies_in_any_part_of_a_snapshot_is_named_and_the_next_peer_is_asked() {
    let (founding, clinic, old) = twice_revised().await;
    let empty = TempDir::new().unwrap();
    let seen = clinic.chain.offer().unwrap().unwrap().block.header;
    let seen = Checkpoint::of(founding.genesis.network(), seen.log_size, seen.log_root);
    let peer = |name| Local(name, clinic.chain.clone());
    let lies = about_the_block(old).into_iter().chain(about_the_contents());
    for (number, (expected, lie)) in lies.enumerate() {
        let directory = empty.path().join(number.to_string()).join("chain");
        std::fs::create_dir_all(directory.parent().unwrap()).unwrap();
        let terms = Terms {
            genesis: &founding.genesis,
            member: &founding.seats[0].name,
            directory: &directory,
            seen: Some(&seen),
            former: None,
        };
        let liar: Arc<dyn Source> = Arc::new(Liar(peer("liar"), lie));
        let refused = join(&terms, &[Arc::clone(&liar)], |_| {})
            .await
            .unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, JoinFailed::NobodyTrue(_)));
        assert!(
            said.contains("liar: ") && said.contains(expected),
            "lie {number}: {said}"
        );
        let left = std::fs::read_dir(directory.parent().unwrap())
            .unwrap()
            .count();
        assert_eq!(left, 0, "lie {number}: what it sent is dropped");
        let tip = join(&terms, &[liar, Arc::new(peer("clinic"))], |_| {}).await;
        assert!(tip.is_ok(), "lie {number}: {tip:?}");
    }
    clinic.stop().await;
}

/// A member's log of some statements whose registry has changed twice, and the registry in between.
async fn twice_revised() -> (Founding, network::Running, Vec<u8>) {
    let mut founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    record(&founding, &clinic, 0, 0..6).await;
    let mut old = Vec::new();
    for revision in 1..=2 {
        old = clinic.chain.registry().encode();
        let (certificate, renewed) = founding.seats[0].renewed();
        let command = Command::RegisterCertificate(certificate);
        let command = renewed.command(founding.genesis.network(), &command);
        clinic.chain.submit(command).unwrap();
        clinic.revised(revision).await;
        founding.seats[0] = renewed;
    }
    record(&founding, &clinic, 0, 6..8).await;
    offered(&clinic, 10).await;
    (founding, clinic, old)
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_log_that_contradicts_what_witnesses_saw_is_not_taken_over() {
    let founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    record(&founding, &clinic, 0, 0..4).await;
    let size = offered(&clinic, 4).await.block.header.log_size;
    let empty = TempDir::new().unwrap();
    for (size, expected) in [(3, "contradicts"), (size + 1, "older")] {
        let seen = Checkpoint::of(founding.genesis.network(), size, Digest([7; 32]));
        let terms = Terms {
            genesis: &founding.genesis,
            member: &founding.seats[0].name,
            directory: &empty.path().join("chain"),
            seen: Some(&seen),
            former: None,
        };
        let peer: [Arc<dyn Source>; 1] = [Arc::new(Local("clinic", clinic.chain.clone()))];
        let refused = join(&terms, &peer, |_| {}).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    clinic.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_an_own_statement_that_the_log_has_not_is_refused_and_the_rest_is_taken() {
    let founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    record(&founding, &clinic, 0, 0..4).await;
    offered(&clinic, 4).await;
    let other = founding.numbered(0, 77, 3).encode();
    let swapped: Change = Box::new(move |path, bytes| {
        if !path.contains("/statements/") {
            return bytes;
        }
        let mut page = StatementPage::decode(&bytes).unwrap();
        page.statements[1].statement.clone_from(&other);
        page.encode()
    });
    let empty = TempDir::new().unwrap();
    let terms = Terms {
        genesis: &founding.genesis,
        member: &founding.seats[0].name,
        directory: &empty.path().join("chain"),
        seen: None,
        former: None,
    };
    let peers: [Arc<dyn Source>; 2] = [
        Arc::new(Liar(Local("liar", clinic.chain.clone()), swapped)),
        Arc::new(Local("clinic", clinic.chain.clone())),
    ];
    let named = Mutex::new(Vec::new());
    let tip = join(&terms, &peers, |step| {
        if let Step::Refused { peer, reason } = step {
            named.lock().unwrap().push(format!("{peer}: {reason}"));
        }
    });
    assert!(tip.await.is_ok());
    let named = named.into_inner().unwrap();
    assert_eq!(named, ["liar: statement 1 is not the one that the log has"]);
    clinic.stop().await;
}
