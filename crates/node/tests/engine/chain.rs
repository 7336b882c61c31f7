//! The smallest application: blocks carry transactions, and nothing is executed.

use bytes::Bytes;
use futures::future::BoxFuture;
use node::engine::{
    Ancestors, Application, Block, Committee, Deadline, FinalityCertificate, Validator,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, watch};

/// A final block as this node saw it.
#[derive(Clone)]
pub(crate) struct Final {
    pub(crate) block: Arc<Block>,
    pub(crate) certificate: Option<FinalityCertificate>,
}

/// A frame and who sent it.
pub(crate) type Frame = ([u8; 32], Bytes);

/// Who validates from which epoch on, and how long an epoch is.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) epoch_blocks: u64,
    pub(crate) from: BTreeMap<u64, Committee>,
}

impl Plan {
    /// The same validators for ever.
    pub(crate) fn constant(epoch_blocks: u64, validators: &[Validator]) -> Self {
        let committee = Committee {
            validators: validators.to_vec(),
            followers: Vec::new(),
        };
        Self {
            epoch_blocks,
            from: BTreeMap::from([(0, committee)]),
        }
    }

    pub(crate) fn committee(&self, epoch: u64) -> Committee {
        let (_, committee) = self.from.range(..=epoch).next_back().unwrap();
        committee.clone()
    }
}

/// Transactions in, final blocks out; clones share everything.
#[derive(Clone)]
pub(crate) struct Chain {
    pending: Arc<Mutex<Vec<Bytes>>>,
    arrived: Arc<Notify>,
    finals: Arc<Mutex<Vec<Final>>>,
    heard: Arc<Mutex<Vec<Frame>>>,
    height: watch::Sender<u64>,
    max_body: usize,
    plan: Plan,
    /// Where the application hangs, once, after it has applied a block.
    trap: Arc<Mutex<Option<u64>>>,
    pace: Arc<Mutex<Option<Pace>>>,
}

/// Lets the time pass that it takes to apply a block.
pub(crate) type Pace = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Chain {
    pub(crate) fn new(max_body: usize, plan: Plan) -> Self {
        Self {
            pending: Arc::default(),
            arrived: Arc::default(),
            finals: Arc::default(),
            heard: Arc::default(),
            height: watch::Sender::new(0),
            max_body,
            plan,
            trap: Arc::default(),
            pace: Arc::default(),
        }
    }

    /// Hangs after the block at `height` is applied and before the engine hears of it.
    pub(crate) fn hang_after(&self, height: u64) {
        *self.trap.lock().unwrap() = Some(height);
    }

    /// Takes its time for each block, or none.
    pub(crate) fn set_pace(&self, pace: Option<Pace>) {
        *self.pace.lock().unwrap() = pace;
    }

    /// Adds a transaction that this node proposes, at each of its turns, until it is final.
    pub(crate) fn submit(&self, transaction: Bytes) {
        self.pending.lock().unwrap().push(transaction);
        self.arrived.notify_one();
    }

    /// Final blocks so far, from height one.
    pub(crate) fn finals(&self) -> Vec<Final> {
        self.finals.lock().unwrap().clone()
    }

    /// Frames heard from peers.
    pub(crate) fn heard(&self) -> Vec<Frame> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn height(&self) -> u64 {
        *self.height.borrow()
    }

    /// Resolves when the block at `height` is final here.
    pub(crate) async fn reached(&self, height: u64) {
        let mut heights = self.height.subscribe();
        heights.wait_for(|now| *now >= height).await.unwrap();
    }

    /// Forgets all blocks above `height`, as an application restored from a backup would.
    pub(crate) fn lose(&self, height: u64) {
        self.finals.lock().unwrap().truncate(height as usize);
        self.height.send_replace(height);
    }

    fn apply(&self, block: Arc<Block>, certificate: Option<FinalityCertificate>) {
        let mut finals = self.finals.lock().unwrap();
        let height = block.height() as usize;
        if let Some(known) = finals.get(height - 1) {
            assert_eq!(known.block, block, "a final block changed");
            return;
        }
        assert_eq!(finals.len(), height - 1, "a final block was left out");
        if let Some(last) = finals.last() {
            assert_eq!(last.block.digest(), block.parent());
        }
        let settled = transactions(&block);
        self.pending
            .lock()
            .unwrap()
            .retain(|one| !settled.contains(one));
        finals.push(Final { block, certificate });
        self.height.send_replace(height as u64);
    }

    /// Pending transactions as the body of a block that comes after blocks with those `carried`.
    fn next_body(&self, carried: &[Bytes]) -> Option<Bytes> {
        let pending = self.pending.lock().unwrap();
        let mut body = Vec::new();
        for transaction in pending.iter().filter(|one| !carried.contains(one)) {
            if body.len() + 4 + transaction.len() > self.max_body {
                break;
            }
            body.extend_from_slice(&(transaction.len() as u32).to_be_bytes());
            body.extend_from_slice(transaction);
        }
        (!body.is_empty()).then(|| body.into())
    }

    /// Transactions of blocks that are not final here yet, from `parent` down.
    async fn carried(&self, parent: &Arc<Block>, mut ancestors: Ancestors) -> Vec<Bytes> {
        let mut carried = Vec::new();
        let mut next = Some(Arc::clone(parent));
        while let Some(block) = next.filter(|block| block.height() > self.height()) {
            carried.extend(transactions(&block));
            next = ancestors.next().await;
        }
        carried
    }
}

/// Transactions of a block's body, in order.
pub(crate) fn transactions(block: &Block) -> Vec<Bytes> {
    let mut body = block.body().clone();
    let mut found = Vec::new();
    while body.len() >= 4 {
        let length = u32::from_be_bytes(body.split_to(4)[..].try_into().unwrap());
        found.push(body.split_to(length as usize));
    }
    found
}

pub(crate) fn block(height: u64, parent: [u8; 32], body: Bytes) -> Block {
    let mut header = Vec::with_capacity(72);
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&parent);
    header.extend_from_slice(&Sha256::digest(&body));
    Block::new(height, parent, header.into(), body)
}

impl Application for Chain {
    type Error = Infallible;

    fn binds(candidate: &Block) -> bool {
        let expected = block(
            candidate.height(),
            candidate.parent(),
            candidate.body().clone(),
        );
        expected.header() == candidate.header()
    }

    fn genesis(&mut self) -> Block {
        block(0, [0; 32], Bytes::new())
    }

    fn applied(&mut self) -> u64 {
        self.height()
    }

    fn committee(&self, epoch: u64) -> Option<Committee> {
        // Named no earlier than a ledger could.
        let decided = epoch == 0 || self.height() >= epoch * self.plan.epoch_blocks - 1;
        decided.then(|| self.plan.committee(epoch))
    }

    async fn propose(
        &mut self,
        parent: Arc<Block>,
        ancestors: Ancestors,
        mut deadline: Deadline,
    ) -> Option<Block> {
        let carried = self.carried(&parent, ancestors).await;
        let child = |body| block(parent.height() + 1, parent.digest(), body);
        loop {
            if let Some(body) = self.next_body(&carried) {
                return Some(child(body));
            }
            tokio::select! {
                biased;
                () = &mut deadline => return Some(child(Bytes::new())),
                () = self.arrived.notified() => {}
            }
        }
    }

    async fn verify(&mut self, block: Arc<Block>, parent: Arc<Block>, _: Ancestors) -> bool {
        block.parent() == parent.digest()
    }

    async fn finalized(
        &mut self,
        block: Arc<Block>,
        certificate: Option<FinalityCertificate>,
    ) -> Result<(), Infallible> {
        let height = block.height();
        let pace = self.pace.lock().unwrap().clone();
        if let Some(pace) = pace {
            pace().await;
        }
        self.apply(block, certificate);
        let trapped = self.trap.lock().unwrap().take_if(|trap| *trap == height);
        if trapped.is_some() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn gossip(&mut self, from: [u8; 32], frame: Bytes) {
        self.heard.lock().unwrap().push((from, frame));
    }
}
