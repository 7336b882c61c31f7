//! The smallest application: blocks carry transactions, and nothing is executed.

use bytes::Bytes;
use node::engine::{Ancestors, Application, Block, Deadline, FinalityCertificate};
use sha2::{Digest as _, Sha256};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::sync::{Notify, watch};

/// A final block as this node saw it.
#[derive(Clone)]
pub struct Final {
    pub block: Arc<Block>,
    pub certificate: Option<FinalityCertificate>,
    pub at: Instant,
}

/// Transactions in, final blocks out; clones share everything.
#[derive(Clone)]
pub struct Chain {
    pending: Arc<Mutex<Vec<Bytes>>>,
    arrived: Arc<Notify>,
    finals: Arc<Mutex<Vec<Final>>>,
    heard: Arc<Mutex<Vec<([u8; 32], Bytes)>>>,
    height: watch::Sender<u64>,
    max_body: usize,
}

impl Chain {
    pub fn new(max_body: usize) -> Self {
        Self {
            pending: Arc::default(),
            arrived: Arc::default(),
            finals: Arc::default(),
            heard: Arc::default(),
            height: watch::Sender::new(0),
            max_body,
        }
    }

    /// Adds a transaction that the next proposal of this node carries.
    pub fn submit(&self, transaction: Bytes) {
        self.pending.lock().unwrap().push(transaction);
        self.arrived.notify_one();
    }

    /// Final blocks so far, from height one.
    pub fn finals(&self) -> Vec<Final> {
        self.finals.lock().unwrap().clone()
    }

    /// Frames heard from peers.
    pub fn heard(&self) -> Vec<([u8; 32], Bytes)> {
        self.heard.lock().unwrap().clone()
    }

    pub fn height(&self) -> u64 {
        *self.height.borrow()
    }

    /// Resolves when the block at `height` is final here.
    pub async fn reached(&self, height: u64) {
        let mut heights = self.height.subscribe();
        heights.wait_for(|now| *now >= height).await.unwrap();
    }

    fn take(&self) -> Option<Bytes> {
        let mut pending = self.pending.lock().unwrap();
        let mut body = Vec::new();
        let mut taken = 0;
        for transaction in pending.iter() {
            if body.len() + 4 + transaction.len() > self.max_body {
                break;
            }
            body.extend_from_slice(&(transaction.len() as u32).to_be_bytes());
            body.extend_from_slice(transaction);
            taken += 1;
        }
        pending.drain(..taken);
        (taken > 0).then(|| body.into())
    }
}

/// Transactions of a block's body, in order.
pub fn transactions(block: &Block) -> Vec<Bytes> {
    let mut body = block.body().clone();
    let mut found = Vec::new();
    while body.len() >= 4 {
        let length = u32::from_be_bytes(body.split_to(4)[..].try_into().unwrap());
        found.push(body.split_to(length as usize));
    }
    found
}

pub fn block(height: u64, parent: [u8; 32], body: Bytes) -> Block {
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

    async fn propose(
        &mut self,
        parent: Arc<Block>,
        _: Ancestors,
        mut deadline: Deadline,
    ) -> Option<Block> {
        let child = |body| block(parent.height() + 1, parent.digest(), body);
        loop {
            if let Some(body) = self.take() {
                return Some(child(body));
            }
            tokio::select! {
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
        let mut finals = self.finals.lock().unwrap();
        let height = block.height() as usize;
        if height == 0 {
            assert_eq!(*block, Self::genesis(&mut self.clone()));
        } else if let Some(known) = finals.get(height - 1) {
            assert_eq!(known.block, block, "a final block changed");
        } else {
            assert_eq!(finals.len(), height - 1, "a final block was left out");
            if let Some(last) = finals.last() {
                assert_eq!(last.block.digest(), block.parent());
            }
            finals.push(Final {
                block,
                certificate,
                at: Instant::now(),
            });
            self.height.send_replace(height as u64);
        }
        Ok(())
    }

    fn gossip(&mut self, from: [u8; 32], frame: Bytes) {
        self.heard.lock().unwrap().push((from, frame));
    }
}
