//! A mempool and blocks of transactions without meaning.

use bytes::{BufMut as _, Bytes, BytesMut};
use node::engine::{
    Ancestors, Application, Block, Committee, Deadline, FinalityCertificate, Gossip, Validator,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt as _,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::sync::Notify;

type Id = [u8; 16];

#[derive(Clone)]
pub(crate) struct Spike(Arc<State>);

struct State {
    /// Holds the applied height, synced with each block as a ledger's store would be.
    store: File,
    waiting: Mutex<BTreeMap<Id, Bytes>>,
    done: Mutex<HashSet<Id>>,
    mine: Mutex<HashMap<Id, Instant>>,
    proposed: Mutex<HashMap<[u8; 32], Instant>>,
    arrived: Notify,
    gossip: OnceLock<Gossip>,
    /// When not zero, each block is filled to this size at once.
    fill: AtomicUsize,
    max_body: usize,
    validators: Vec<Validator>,
    applied: AtomicU64,
}

impl Spike {
    pub(crate) fn open(store: File, max_body: usize, validators: Vec<Validator>) -> Self {
        let mut applied = [0; 8];
        // An empty file is the store of a new validator.
        let read = store.read_at(&mut applied, 0).unwrap_or(0);
        let applied = if read == 8 {
            u64::from_be_bytes(applied)
        } else {
            0
        };
        Self(Arc::new(State {
            store,
            waiting: Mutex::default(),
            done: Mutex::default(),
            mine: Mutex::default(),
            proposed: Mutex::default(),
            arrived: Notify::new(),
            gossip: OnceLock::new(),
            fill: AtomicUsize::new(0),
            max_body,
            validators,
            applied: AtomicU64::new(applied),
        }))
    }

    pub(crate) fn connect(&self, gossip: Gossip) {
        // Called once, so there is nothing to replace.
        let _first = self.0.gossip.set(gossip);
    }

    pub(crate) fn fill(&self, bytes: usize) {
        self.0.fill.store(bytes, Ordering::Relaxed);
        self.0.arrived.notify_one();
    }

    /// Takes new transactions and passes them on to the peers in one frame.
    pub(crate) fn submit(&self, count: usize, bytes: usize) {
        let mut frame = BytesMut::new();
        for _ in 0..count {
            let mut transaction = vec![0; bytes.max(16)];
            transaction[..16].copy_from_slice(&uuid::Uuid::new_v4().into_bytes());
            let id = id(&transaction);
            guard(&self.0.mine).insert(id, Instant::now());
            put(&mut frame, &transaction);
            guard(&self.0.waiting).insert(id, transaction.into());
        }
        self.0.arrived.notify_one();
        if let Some(gossip) = self.0.gossip.get() {
            // A frame lost is a transaction that waits for this node's own turn.
            let _sent = gossip.broadcast(frame.freeze());
        }
    }

    fn body(&self, taken: &HashSet<Id>) -> Option<Bytes> {
        let fill = self.0.fill.load(Ordering::Relaxed);
        if fill > 0 {
            return Some(vec![0; fill - 80].into());
        }
        let limit = self.0.max_body;
        let mut body = BytesMut::new();
        for (id, transaction) in guard(&self.0.waiting).iter() {
            if body.len() + 4 + transaction.len() > limit {
                break;
            }
            if !taken.contains(id) {
                put(&mut body, transaction);
            }
        }
        (!body.is_empty()).then(|| body.freeze())
    }
}

impl Application for Spike {
    type Error = std::io::Error;

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
        self.0.applied.load(Ordering::Relaxed)
    }

    fn committee(&self, _: u64) -> Option<Committee> {
        Some(Committee {
            validators: self.0.validators.clone(),
            followers: Vec::new(),
        })
    }

    async fn propose(
        &mut self,
        parent: Arc<Block>,
        mut ancestors: Ancestors,
        mut deadline: Deadline,
    ) -> Option<Block> {
        let mut taken = HashSet::new();
        let mut ancestor = Some(Arc::clone(&parent));
        while let Some(block) = ancestor.take() {
            if block.height() > self.0.applied.load(Ordering::Relaxed) {
                taken.extend(transactions(block.body()).map(|transaction| id(&transaction)));
                ancestor = ancestors.next().await;
            }
        }
        let body = loop {
            if let Some(body) = self.body(&taken) {
                break body;
            }
            tokio::select! {
                () = &mut deadline => break Bytes::new(),
                () = self.0.arrived.notified() => {}
            }
        };
        let child = block(parent.height() + 1, parent.digest(), body);
        guard(&self.0.proposed).insert(child.digest(), Instant::now());
        Some(child)
    }

    async fn verify(&mut self, _: Arc<Block>, _: Arc<Block>, _: Ancestors) -> bool {
        true
    }

    async fn finalized(
        &mut self,
        block: Arc<Block>,
        certificate: Option<FinalityCertificate>,
    ) -> Result<(), std::io::Error> {
        self.0
            .store
            .write_all_at(&block.height().to_be_bytes(), 0)?;
        self.0.store.sync_data()?;
        let now = Instant::now();
        let mut lines = String::new();
        let mut count = 0;
        if self.0.fill.load(Ordering::Relaxed) == 0 {
            for transaction in transactions(block.body()) {
                let id = id(&transaction);
                count += 1;
                guard(&self.0.waiting).remove(&id);
                guard(&self.0.done).insert(id);
                if let Some(start) = guard(&self.0.mine).remove(&id) {
                    lines += &format!("T {}\n", (now - start).as_micros());
                }
            }
        }
        self.0.applied.store(block.height(), Ordering::Relaxed);
        let own = guard(&self.0.proposed).remove(&block.digest());
        let own = own.map_or(0, |start| (now - start).as_micros());
        let certified = u8::from(certificate.is_some());
        lines += &format!("B {} {count} {certified} {own}\n", block.height());
        // A parent that is gone no longer measures.
        let _written = std::io::stdout().write_all(lines.as_bytes());
        Ok(())
    }

    fn gossip(&mut self, _: [u8; 32], frame: Bytes) {
        for transaction in transactions(&frame) {
            let id = id(&transaction);
            if !guard(&self.0.done).contains(&id) {
                guard(&self.0.waiting).insert(id, transaction);
            }
        }
        self.0.arrived.notify_one();
    }
}

fn block(height: u64, parent: [u8; 32], body: Bytes) -> Block {
    let mut header = Vec::with_capacity(72);
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&parent);
    header.extend_from_slice(&Sha256::digest(&body));
    Block::new(height, parent, header.into(), body)
}

fn put(list: &mut BytesMut, transaction: &[u8]) {
    list.put_u32(u32::try_from(transaction.len()).unwrap_or(u32::MAX));
    list.put_slice(transaction);
}

fn transactions(list: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut list = list.clone();
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*list.first_chunk::<4>()?) as usize;
        if length < 16 || list.len() < 4 + length {
            return None;
        }
        let transaction = list.slice(4..4 + length);
        list = list.slice(4 + length..);
        Some(transaction)
    })
}

fn id(transaction: &[u8]) -> Id {
    transaction.first_chunk::<16>().copied().unwrap_or_default()
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
