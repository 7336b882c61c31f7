//! Builds the store of a chain anew from what is sound in a damaged one and from what other members publish.
//!
//! # Invariants
//! - Nothing is taken that a quorum has not signed: a block counts once a certificate over it, or over one that descends
//!   from it, verifies under the validators of its epoch.
//! - Nothing that follows is copied: hashes, tags, state and registry come from executing the blocks.
//! - The damaged store is not changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use ledger::block::{Block, body_of};
use ledger::checkpoint::SignedCheckpoint;
use ledger::codec;
use ledger::dump::DumpedBlock;
use ledger::finality::FinalityCertificate;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, Height};

use super::application::{ChainApplication, wire};
use super::base::Base;
use super::checkpoints::StoredCheckpoint;
use super::disk::Disk;
use super::rows::{Batch, Keyspace, Range, Row, Rows, RowsError};
use super::store::{Store, StoreError, key};
use super::{Chain, OpenError, Ports};

/// What became of a damaged chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The last block of the new store.
    pub height: u64,
    /// The last block of the damaged one, as far as that can be told.
    pub before: u64,
    /// Blocks that came from others.
    pub fetched: u64,
    /// Up to which block the damaged one lacked others' statements, because it was pruned or joined by snapshot.
    pub removed: u64,
}

/// Why a chain cannot be built anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The new store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store's files cannot be synced.
    #[error("the new store cannot be synced")]
    Sync(#[from] std::io::Error),
}

/// Builds the chain of `genesis` in the folder `into`, which must be empty, from the damaged one in `damaged`.
///
/// `fetch` asks others for the block at a height; each answer is checked. Where nobody has a block, the new store ends
/// before it, and the consensus engine delivers the rest when the node starts.
pub async fn rebuild(
    genesis: &Genesis,
    (damaged, into): (&Path, &Path),
    mut fetch: impl AsyncFnMut(Height) -> Vec<DumpedBlock>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Rebuilt, RebuildError> {
    let old = Disk::open(damaged).ok().map(|disk| Old {
        store: Store::new(Arc::new(disk)),
    });
    let before = old.as_ref().map_or(0, Old::height);
    let mut building = Building::start(genesis, into)?;
    // Of a store that says nothing, all comes from others, as far as they have it.
    let last = if before == 0 { u64::MAX } else { before };
    for height in (1..=last).map(Height) {
        let own = old.as_ref();
        let own = own.and_then(|old| old.block(height, building.next_index()));
        let own = own.filter(|block| building.follows(block));
        let is_certified = own.as_ref().is_some_and(|own| building.is_final(own));
        let block = if is_certified {
            own
        } else {
            building.prefer(own, fetch(height).await)
        };
        let Some(block) = block else { break };
        if !building.add(block)? {
            break;
        }
        progress(height.0, before);
    }
    if let Some(old) = &old {
        building.keep_signatures(old)?;
    }
    let rebuilt = Rebuilt {
        height: building.application.0.tip().height.0,
        before,
        fetched: building.fetched,
        removed: old.as_ref().map_or(0, Old::removed),
    };
    building.end(into)?;
    Ok(rebuilt)
}

/// A damaged store: every answer may be wrong, or none.
struct Old {
    store: Store,
}

impl Old {
    fn height(&self) -> u64 {
        let tip = self.store.tip().ok().flatten();
        let stored = || {
            let (from, to) = (Bound::Unbounded, Bound::Unbounded);
            let rows = self.store.0.range(Keyspace::Blocks, from, to);
            let heights = rows.flatten().filter_map(|(height, _)| {
                let height = (*height).try_into().ok()?;
                Some(u64::from_be_bytes(height))
            });
            heights.max().unwrap_or(0)
        };
        tip.map_or_else(stored, |tip| tip.height.0)
    }

    fn removed(&self) -> u64 {
        self.store.removed().map_or(0, |removed| removed.height.0)
    }

    /// The block at `height`, whose first statement is at `first` of the log, if all of it can be read.
    fn block(&self, height: Height, first: u64) -> Option<DumpedBlock> {
        let header = self.store.block(height).ok()??.header;
        let statements = (first..header.log_size)
            .map_while(|index| Some(self.store.statement(index).ok()??.1))
            .collect();
        let certified = self.store.certified_from(height).ok().flatten();
        let own = certified.filter(|(at, _)| *at == height);
        Some(DumpedBlock {
            block: Block { header, statements },
            finality: own.map(|(_, certificate)| certificate),
        })
    }
}

/// The new chain, and blocks behind it that no certificate covers yet.
struct Building {
    application: ChainApplication,
    waiting: Vec<DumpedBlock>,
    fetched: u64,
}

impl Building {
    fn start(genesis: &Genesis, into: &Path) -> Result<Self, RebuildError> {
        let disk = Disk::open(into).map_err(StoreError::from)?;
        let ports = Ports {
            rows: Arc::new(Unsynced(disk)),
            clock: Arc::new(|| 0),
            timer: Arc::new(|_| Box::pin(std::future::ready(()))),
        };
        let chain = Chain::open_on(genesis.clone(), ports)?;
        Ok(Self {
            application: chain.application(BTreeMap::new()),
            waiting: Vec::new(),
            fetched: 0,
        })
    }

    /// Height, digest and size of the log of the last block.
    fn last(&self) -> (Height, Digest, u64) {
        let tip = self.application.0.tip();
        let waiting = self.waiting.last().map(|last| &last.block.header);
        waiting.map_or((tip.height, tip.digest, tip.log_size), |header| {
            (header.height, header.digest(), header.log_size)
        })
    }

    fn next_index(&self) -> u64 {
        self.last().2
    }

    /// Whether a block is whole and can be the next one.
    fn follows(&self, one: &DumpedBlock) -> bool {
        let (height, parent, _) = self.last();
        let header = &one.block.header;
        header.height == height.next()
            && header.parent == parent
            && header.body == Digest::of(&body_of(&one.block.statements))
    }

    fn is_final(&self, one: &DumpedBlock) -> bool {
        let header = &one.block.header;
        let proves = |certificate: &FinalityCertificate| {
            let chain = &self.application.0;
            let registry = chain.registry();
            let epoch = registry.rules().epoch_of(header.height);
            let verdict =
                certificate.verify(chain.network(), registry.validators(epoch), header.digest());
            verdict.is_ok()
        };
        one.finality.as_ref().is_some_and(proves)
    }

    /// The first that is final by its own certificate, or else any that can be the next one.
    fn prefer(
        &mut self,
        own: Option<DumpedBlock>,
        fetched: Vec<DumpedBlock>,
    ) -> Option<DumpedBlock> {
        let mut fetched: Vec<_> = fetched
            .into_iter()
            .filter(|block| self.follows(block))
            .collect();
        let certified = fetched.iter().position(|block| self.is_final(block));
        let chosen = match (certified, own) {
            (Some(at), _) => Some(fetched.swap_remove(at)),
            (None, Some(own)) => return Some(own),
            (None, None) => fetched.into_iter().next(),
        };
        self.fetched += u64::from(chosen.is_some());
        chosen
    }

    /// Takes the next block; applies all that wait once a certificate covers them. `false` if it cannot be applied.
    fn add(&mut self, mut block: DumpedBlock) -> Result<bool, RebuildError> {
        let is_final = self.is_final(&block);
        if !is_final {
            block.finality = None;
        }
        self.waiting.push(block);
        if !is_final {
            return Ok(true);
        }
        for one in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.apply(&one) {
                tracing::error!(height = one.block.header.height.0, %error, "a block cannot be applied");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply(&self, one: &DumpedBlock) -> Result<(), String> {
        let application = &self.application;
        let base = Base {
            pending: Vec::new(),
            tip: application.0.tip(),
            registry: application.0.registry(),
        };
        let applied = application.inner().applied();
        let executed =
            application.execute_on(&wire(&one.block.header, one.block.body()), &base, &applied);
        drop(applied);
        let (_, executed) = executed.map_err(|error| error.to_string())?;
        let applied = application.apply(&executed, one.finality.as_ref());
        applied.map_err(|error| error.to_string())
    }

    /// Takes over signatures under checkpoints, which do not follow from blocks.
    fn keep_signatures(&self, old: &Old) -> Result<(), RebuildError> {
        let store = &self.application.inner().store;
        let mut batch = store.0.batch();
        for (size, signed) in old.store.checkpoints_from(0).flatten() {
            let due = store.checkpoint(size)?;
            let is_same = |due: &StoredCheckpoint| {
                (due.height, due.time, due.root) == (signed.height, signed.time, signed.root)
            };
            if !signed.signatures.is_empty() && due.as_ref().is_some_and(is_same) {
                batch.insert(Keyspace::Checkpoints, &key(size), &codec::encode(&signed));
            }
        }
        for name in [b"checkpoint".as_slice(), b"witnessed"] {
            let Ok(Some(note)) = old.store.0.get(Keyspace::Tip, name) else {
                continue;
            };
            let signed = SignedCheckpoint::decode(&note).ok();
            let size = signed.as_ref().map(|signed| signed.checkpoint.size);
            let due = size
                .map(|size| store.checkpoint(size))
                .transpose()?
                .flatten();
            let root = signed.map(|signed| signed.checkpoint.root);
            if due.is_some_and(|due| Some(due.root) == root) {
                batch.insert(Keyspace::Tip, name, &note);
            }
        }
        for signed in old.store.contradictions().unwrap_or_default() {
            let name = format!("contradiction/{}", signed.receipt.member);
            batch.insert(Keyspace::Tip, name.as_bytes(), &codec::encode(&signed));
        }
        Ok(batch.commit(true).map_err(StoreError::from)?)
    }

    /// Closes the new store, and has all of it on disk.
    fn end(self, into: &Path) -> Result<(), RebuildError> {
        drop(self);
        Ok(sync_all(into)?)
    }
}

/// Rows that are synced once, at the end.
struct Unsynced(Disk);

struct UnsyncedBatch<'a>(Box<dyn Batch + 'a>);

impl Rows for Unsynced {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Row>, RowsError> {
        self.0.get(keyspace, key)
    }

    fn contains(&self, keyspace: Keyspace, key: &[u8]) -> Result<bool, RowsError> {
        self.0.contains(keyspace, key)
    }

    fn range(&self, keyspace: Keyspace, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_> {
        self.0.range(keyspace, from, to)
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(UnsyncedBatch(self.0.batch()))
    }

    fn disk_bytes(&self) -> Result<u64, RowsError> {
        self.0.disk_bytes()
    }
}

impl Batch for UnsyncedBatch<'_> {
    fn insert(&mut self, keyspace: Keyspace, key: &[u8], row: &[u8]) {
        self.0.insert(keyspace, key, row);
    }

    fn remove_once(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.0.remove_once(keyspace, key);
    }

    fn commit(self: Box<Self>, _: bool) -> Result<(), RowsError> {
        self.0.commit(false)
    }
}

fn sync_all(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
