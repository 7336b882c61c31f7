//! Joining by state sync: a snapshot is asked of one peer after the other until one serves what holds.
//!
//! The node trusts its genesis, and a checkpoint of the log if it is given one. A peer whose pages do not lead to the
//! roots that the validators signed is named, and what it sent is dropped.

mod peer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use ledger::checkpoint::Checkpoint;
use ledger::genesis::Genesis;
use ledger::ids::{Height, MemberName};
use ledger::snapshot::{LeafPage, Offer, StatePage, StatementPage};

use crate::chain::{JoinError, Joining, Tip};

pub use peer::{Peer, PeerError};

/// Pages of statements that a peer may send although they bring little.
const PAGES_SPARE: u64 = 16;
/// Statements that a page gets on by at least, on the whole.
const STATEMENTS_OF_PAGE_MIN: u64 = 8;

/// Answers to GET requests, of one peer.
pub trait Source: Send + Sync {
    /// How people call the peer.
    fn name(&self) -> &str;
    /// What is under `path`; `None` if there is nothing.
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, PeerError>>;
}

/// How far joining is.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A snapshot is being taken over from a peer.
    Begun {
        /// The peer.
        peer: &'a str,
        /// The snapshot's height.
        height: Height,
    },
    /// Leaf hashes of the log.
    Log {
        /// Those that are here.
        done: u64,
        /// All.
        total: u64,
    },
    /// Entries of the state; keys are spread evenly, so the place of the last one says how much is done.
    State {
        /// Of a thousand.
        permille: u64,
    },
    /// This member's own statements.
    Own {
        /// Statements of the log that were looked at.
        done: u64,
        /// All.
        total: u64,
    },
    /// A peer did not serve what holds.
    Refused {
        /// The peer.
        peer: &'a str,
        /// Why.
        reason: &'a Refusal,
    },
}

/// Why nothing is taken over from a peer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot be reached.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// It has no snapshot, or not this one any more.
    #[error("it serves no snapshot")]
    NoSnapshot,
    /// What it serves does not hold.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// Why a node has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailed {
    /// Nobody to ask.
    #[error("no peer is named")]
    NoPeer,
    /// No peer has a snapshot.
    #[error("no peer serves a snapshot")]
    NoSnapshot,
    /// No peer served what holds.
    #[error("no peer served a snapshot that holds: {0}")]
    NobodyTrue(Reasons),
    /// This node's disk failed.
    #[error(transparent)]
    Own(JoinError),
}

/// What each peer did.
#[derive(Debug)]
pub struct Reasons(Vec<(String, Refusal)>);

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (peer, reason)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{peer}: {reason}")?;
        }
        Ok(())
    }
}

/// What a node is joined with.
pub struct Terms<'a> {
    /// What the network started from.
    pub genesis: &'a Genesis,
    /// This member, whose own statements are asked for.
    pub member: &'a MemberName,
    /// Where the chain will be; nothing is there yet.
    pub directory: &'a Path,
    /// A checkpoint that the log has to continue.
    pub seen: Option<&'a Checkpoint>,
    /// A former chain of this member, whose own statements are taken over where no peer has them.
    pub former: Option<&'a Path>,
}

impl fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("member", &self.member)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Joins with the newest snapshot that one of the peers serves and that holds.
pub async fn join(
    terms: &Terms<'_>,
    peers: &[Arc<dyn Source>],
    mut watch: impl FnMut(Step<'_>),
) -> Result<Tip, JoinFailed> {
    if peers.is_empty() {
        return Err(JoinFailed::NoPeer);
    }
    let mut reasons = Vec::new();
    let mut offers = Vec::new();
    for (at, offer) in offers_of(terms.genesis, peers)
        .await
        .into_iter()
        .enumerate()
    {
        match offer {
            Ok(offer) => offers.push((at, offer)),
            Err(reason) => reasons.push((at, reason)),
        }
    }
    offers.sort_by_key(|(_, offer)| std::cmp::Reverse(offer.block.header.height));
    for (at, offer) in offers {
        match attempt(terms, peers, at, offer, &mut watch).await {
            Ok(tip) => return Ok(tip),
            Err(Refusal::Join(error)) if !error.is_of_peer() => return Err(JoinFailed::Own(error)),
            Err(reason) => reasons.push((at, reason)),
        }
        if let Some((at, reason)) = reasons.last() {
            let peer = peers.get(*at).map_or("", |peer| peer.name());
            watch(Step::Refused { peer, reason });
        }
    }
    Joining::forget(terms.directory).map_err(JoinFailed::Own)?;
    if reasons
        .iter()
        .all(|(_, reason)| matches!(reason, Refusal::NoSnapshot))
    {
        return Err(JoinFailed::NoSnapshot);
    }
    let named = |(at, reason): (usize, Refusal)| {
        let peer = peers.get(at).map_or("", |peer| peer.name());
        (peer.to_owned(), reason)
    };
    let reasons = reasons.into_iter().map(named).collect();
    Err(JoinFailed::NobodyTrue(Reasons(reasons)))
}

/// What each peer offers, as far as it follows from the genesis.
async fn offers_of(genesis: &Genesis, peers: &[Arc<dyn Source>]) -> Vec<Result<Offer, Refusal>> {
    let asked = peers.iter().map(|peer| async {
        let offer = offered(&**peer).await?.ok_or(Refusal::NoSnapshot)?;
        offer.verify(genesis).map_err(JoinError::from)?;
        Ok(offer)
    });
    join_all(asked).await
}

/// What a peer offers, unchecked.
pub async fn offered(peer: &dyn Source) -> Result<Option<Offer>, Refusal> {
    let bytes = peer.get("/network/snapshot").await?;
    let offer = bytes.map(|bytes| Offer::decode(&bytes)).transpose();
    Ok(offer.map_err(JoinError::from)?)
}

async fn attempt(
    terms: &Terms<'_>,
    peers: &[Arc<dyn Source>],
    at: usize,
    offer: Offer,
    watch: &mut impl FnMut(Step<'_>),
) -> Result<Tip, Refusal> {
    let Some(peer) = peers.get(at) else {
        return Err(Refusal::NoSnapshot);
    };
    let height = offer.block.header.height;
    watch(Step::Begun {
        peer: peer.name(),
        height,
    });
    let mut joining = Joining::begin(terms.genesis.clone(), offer, terms.directory)?;
    take_log(&mut joining, &**peer, watch).await?;
    take_state(&mut joining, &**peer, watch).await?;
    // The peer that served the snapshot may have pruned them, and others may not.
    let others = peers.iter().enumerate().filter(|(other, _)| *other != at);
    for peer in std::iter::once(peer).chain(others.map(|(_, peer)| peer)) {
        match take_own(&mut joining, &**peer, terms.member, watch).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(Refusal::Join(error)) if !error.is_of_peer() => return Err(error.into()),
            Err(reason) => watch(Step::Refused {
                peer: peer.name(),
                reason: &reason,
            }),
        }
    }
    if let Some(former) = terms.former {
        joining.add_kept(terms.member, former)?;
    }
    Ok(joining.finish(terms.seen)?)
}

async fn take_log(
    joining: &mut Joining,
    peer: &dyn Source,
    watch: &mut impl FnMut(Step<'_>),
) -> Result<(), Refusal> {
    let height = joining.height().0;
    loop {
        let (done, total) = joining.leaves();
        watch(Step::Log { done, total });
        if done >= total {
            return Ok(());
        }
        let path = format!("/network/snapshot/{height}/leaves/{done}");
        let bytes = peer.get(&path).await?.ok_or(Refusal::NoSnapshot)?;
        let page = LeafPage::decode(&bytes).map_err(JoinError::from)?;
        joining.add_leaves(&page)?;
    }
}

async fn take_state(
    joining: &mut Joining,
    peer: &dyn Source,
    watch: &mut impl FnMut(Step<'_>),
) -> Result<(), Refusal> {
    let height = joining.height().0;
    while let Some(from) = joining.next_entry() {
        watch(Step::State {
            permille: permille(&from.0),
        });
        let from: String = from.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("/network/snapshot/{height}/state/{from}");
        let bytes = peer.get(&path).await?.ok_or(Refusal::NoSnapshot)?;
        let page = StatePage::decode(&bytes).map_err(JoinError::from)?;
        joining.add_entries(&page)?;
    }
    watch(Step::State { permille: 1_000 });
    Ok(())
}

/// Takes what the peer has of this member's statements; says whether it has all bodies there are.
async fn take_own(
    joining: &mut Joining,
    peer: &dyn Source,
    member: &MemberName,
    watch: &mut impl FnMut(Step<'_>),
) -> Result<bool, Refusal> {
    let keeps_all = offered(peer)
        .await?
        .is_some_and(|offer| offer.kept_from <= Height(1));
    let height = joining.height().0;
    let (_, total) = joining.leaves();
    let mut from = 0;
    // A page brings a megabyte of statements or has looked at thousands.
    for _ in 0..PAGES_SPARE + total / STATEMENTS_OF_PAGE_MIN {
        watch(Step::Own { done: from, total });
        let path = format!("/network/snapshot/{height}/statements/{member}/{from}");
        let Some(bytes) = peer.get(&path).await? else {
            return Ok(false);
        };
        let page = StatementPage::decode(&bytes).map_err(JoinError::from)?;
        match joining.add_statements(member, &page)? {
            Some(next) if next > from => from = next,
            _ => return Ok(keeps_all),
        }
    }
    Ok(false)
}

fn permille(key: &[u8; 32]) -> u64 {
    let [first, second, ..] = *key;
    u64::from(u16::from_be_bytes([first, second])) * 1_000 / 65_536
}
