//! The application of a validator in simulation: the real chain, and around it whoever breaks its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use ledger::block::{Header, body_of};
use ledger::ids::{BlockTime, Digest};
use ledger::state::StateRoot;
use node::chain::{Chain, ChainApplication};
use node::engine::{Ancestors, Application, Block, Committee, Deadline, FinalityCertificate};

/// How a validator plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// By the rules.
    Fair,
    /// Proposes blocks that break a rule, and finds every block valid.
    Liar,
    /// Proposes blocks without statements.
    Censor,
    /// By the rules, but signs other checkpoints beside the real ones.
    Forger,
    /// Believes every proposal.
    Believer,
    /// Believes every block's time.
    Timeless,
    /// Proposes nothing.
    Idle,
    /// Knows no other validators than those of the genesis.
    Stubborn,
}

#[derive(Clone)]
pub(crate) struct Player {
    handle: Chain,
    chain: ChainApplication,
    role: Role,
    sights: Sights,
    turns: Arc<AtomicU64>,
}

/// What a player shares with the world around it; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Sights {
    /// While set, the chain's clock is at the end of time.
    leap: Arc<AtomicBool>,
    refused: Arc<Mutex<BTreeSet<[u8; 32]>>>,
}

impl Sights {
    pub(crate) fn is_leaping(&self) -> bool {
        self.leap.load(Ordering::Relaxed)
    }

    /// Proposals found invalid.
    pub(crate) fn refused(&self) -> BTreeSet<[u8; 32]> {
        self.refused.lock().unwrap().clone()
    }
}

impl Player {
    pub(crate) fn new(handle: Chain, role: Role, sights: Sights) -> Self {
        // Nobody is dialled here.
        let chain = handle.application(BTreeMap::new());
        Self {
            handle,
            chain,
            role,
            sights,
            turns: Arc::default(),
        }
    }

    /// The child of `parent` that says nothing.
    fn nothing(&self, parent: &Block) -> Option<Block> {
        let mut header = Header::decode(parent.header()).ok()?;
        header.height = header.height.next();
        header.parent = Digest(parent.digest());
        header.time = BlockTime(header.time.0 + 1);
        let registry = self.handle.registry();
        let epoch = registry.rules().epoch_of(header.height);
        if epoch != header.epoch {
            header.epoch = epoch;
            header.validators = registry.validators_digest(header.height);
        }
        Some(block_of(&mut header, &[]))
    }
}

impl Application for Player {
    type Error = <ChainApplication as Application>::Error;

    fn binds(block: &Block) -> bool {
        ChainApplication::binds(block)
    }

    fn genesis(&mut self) -> Block {
        self.chain.genesis()
    }

    fn applied(&mut self) -> u64 {
        self.chain.applied()
    }

    fn committee(&self, epoch: u64) -> Option<Committee> {
        match self.role {
            Role::Stubborn => self.chain.committee(0),
            _ => self.chain.committee(epoch),
        }
    }

    async fn propose(
        &mut self,
        parent: Arc<Block>,
        ancestors: Ancestors,
        deadline: Deadline,
    ) -> Option<Block> {
        match self.role {
            Role::Idle => None,
            Role::Censor => {
                deadline.await;
                self.nothing(&parent)
            }
            Role::Liar => {
                let mut chain = self.chain.clone();
                let block = chain
                    .propose(Arc::clone(&parent), ancestors, deadline)
                    .await?;
                lie(&block, &parent, self.turns.fetch_add(1, Ordering::Relaxed))
            }
            Role::Fair | Role::Forger | Role::Believer | Role::Timeless | Role::Stubborn => {
                self.chain.propose(parent, ancestors, deadline).await
            }
        }
    }

    async fn verify(
        &mut self,
        block: Arc<Block>,
        parent: Arc<Block>,
        ancestors: Ancestors,
    ) -> bool {
        if matches!(self.role, Role::Liar | Role::Believer) {
            return true;
        }
        let sights = self.sights.clone();
        let timeless = self.role == Role::Timeless;
        let digest = block.digest();
        let mut verdict = pin!(self.chain.verify(block, parent, ancestors));
        let verdict = std::future::poll_fn(|context| {
            sights.leap.store(timeless, Ordering::Relaxed);
            let verdict: Poll<bool> = verdict.as_mut().poll(context);
            sights.leap.store(false, Ordering::Relaxed);
            verdict
        });
        let is_valid = verdict.await;
        if !is_valid {
            sights.refused.lock().unwrap().insert(digest);
        }
        is_valid
    }

    async fn finalized(
        &mut self,
        block: Arc<Block>,
        certificate: Option<FinalityCertificate>,
    ) -> Result<(), Self::Error> {
        self.chain.finalized(block, certificate).await
    }

    fn gossip(&mut self, from: [u8; 32], frame: Bytes) {
        self.chain.gossip(from, frame);
    }
}

fn block_of(header: &mut Header, statements: &[Vec<u8>]) -> Block {
    let body = body_of(statements);
    header.body = Digest::of(&body);
    Block::new(
        header.height.0,
        header.parent.0,
        header.encode().into(),
        body.into(),
    )
}

/// What a valid block becomes at a liar's turn.
fn lie(block: &Block, parent: &Block, turn: u64) -> Option<Block> {
    let decoded = ledger::block::Block::decode(block.header(), block.body()).ok()?;
    let parent = Header::decode(parent.header()).ok()?;
    let (mut header, mut statements) = (decoded.header, decoded.statements);
    match turn % 9 {
        0 => header.state_root = StateRoot(Digest::of(b"another state")),
        1 => header.time = BlockTime(header.time.0 + 3_600_000),
        2 => header.log_root = Digest::of(b"another log"),
        3 => header.time = parent.time,
        4 => statements.extend(statements.first().cloned()),
        5 => statements.push(b"not a statement".to_vec()),
        6 => header.log_size += 1,
        7 => header.epoch = header.epoch.next(),
        // Its store may have said that a tag is unused: then this one is false without a touch.
        _ => {}
    }
    Some(block_of(&mut header, &statements))
}
