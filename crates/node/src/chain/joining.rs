//! Joining: a chain put together from a snapshot that a peer serves, of which nothing is believed.
//!
//! Rows are written page by page; a mark that is written first and goes with the last write keeps a part of a snapshot
//! from being taken for a chain. In a directory, all of it is written beside the place and moved there at the end.

mod kept;
mod refusal;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contracts::membership::Registry;
use ledger::block::{Block, Header};
use ledger::checkpoint::Checkpoint;
use ledger::codec;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, Height, MemberName};
use ledger::log::{self, LogAppend, leaf_hash};
use ledger::snapshot::{
    EntryKey, Final, LEAVES_MAX, LeafPage, Offer, OfferError, StatePage, StatementPage,
};
use ledger::state::{self, StateKey, StateRoot};
use ledger::statement::SubmittedStatement;
use ledger::succession::Validators;

use super::checkpoints::StoredCheckpoint;
use super::disk::Disk;
use super::rows::{Batch, Keyspace, Rows};
use super::store::{
    DIGEST_BYTES, JOINED, JOINING, REMOVED, Removed, Store, StoreError, StoredBlock, Tip, key,
    node_row, position_of, to_row,
};

pub use refusal::JoinError;

/// Pages of the state in which a peer may bring little, for entries of after the snapshot are left out of them.
const PAGES_SPARE: u64 = 10_000;
/// Items of a statement, of two tags each.
const ENTRIES_OF_STATEMENT_MAX: u64 = 2 * 1_024;
/// Entries that a page brings at least, on the whole.
const ENTRIES_OF_PAGE_MIN: u64 = 1_024;

/// A chain on its way from a snapshot.
pub struct Joining {
    store: Store,
    genesis: Genesis,
    offer: Offer,
    validators: Validators,
    /// Leaves that are there.
    leaves: u64,
    entries: u64,
    /// Pages of the state that came.
    pages: u64,
    changes: u64,
    state_root: StateRoot,
    /// Where the next page of the state begins; nothing once the last is there.
    next: Option<EntryKey>,
    /// Where it is written, and where it goes.
    place: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joining")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl Joining {
    /// Begins a chain that will be in `directory`, where there is none; what was begun before is dropped.
    pub fn begin(genesis: Genesis, offer: Offer, directory: &Path) -> Result<Self, JoinError> {
        let validators = offer.verify(&genesis)?;
        Self::forget(directory)?;
        let beside = beside(directory);
        let rows = Arc::new(Disk::open(&beside)?);
        let mut joining = Self::with(genesis, offer, validators, rows)?;
        joining.place = Some((beside, directory.to_owned()));
        Ok(joining)
    }

    /// Drops what was begun of a chain that would be in `directory`.
    pub fn forget(directory: &Path) -> Result<(), JoinError> {
        match fs::remove_dir_all(beside(directory)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Begins a chain on rows of the caller's, which hold nothing.
    pub fn begin_on(
        genesis: Genesis,
        offer: Offer,
        rows: Arc<dyn Rows>,
    ) -> Result<Self, JoinError> {
        let validators = offer.verify(&genesis)?;
        Self::with(genesis, offer, validators, rows)
    }

    fn with(
        genesis: Genesis,
        offer: Offer,
        validators: Validators,
        rows: Arc<dyn Rows>,
    ) -> Result<Self, JoinError> {
        let store = Store::new(rows);
        let mut batch = store.0.batch();
        batch.insert(Keyspace::Tip, JOINING, &[]);
        batch.commit(true)?;
        Ok(Self {
            store,
            genesis,
            offer,
            validators,
            leaves: 0,
            entries: 0,
            pages: 0,
            changes: 0,
            state_root: StateRoot::EMPTY,
            next: Some(EntryKey([0; 32])),
            place: None,
        })
    }

    /// The snapshot's height.
    pub fn height(&self) -> Height {
        self.header().height
    }

    /// How many leaf hashes are here, and of how many.
    pub fn leaves(&self) -> (u64, u64) {
        (self.leaves, self.header().log_size)
    }

    /// Where the next page of the state begins; `None` once all is here.
    pub fn next_entry(&self) -> Option<EntryKey> {
        self.next
    }

    /// Takes the next leaf hashes.
    pub fn add_leaves(&mut self, page: &LeafPage) -> Result<(), JoinError> {
        let size = self.header().log_size;
        let missing = size.saturating_sub(self.leaves);
        let count = count_of(page.leaves.len());
        if count == 0 || count > missing || page.leaves.len() > LEAVES_MAX {
            return Err(JoinError::LeavesMiscounted(size));
        }
        let mut log = LogAppend::after(self.leaves);
        for leaf in &page.leaves {
            log.push(*leaf, &self.store)
                .map_err(|_| StoreError::Damaged("log hash"))?;
        }
        let mut batch = self.store.0.batch();
        for (index, hash) in log.added() {
            batch.insert(Keyspace::Hashes, &key(*index), &hash.0);
        }
        batch.commit(false)?;
        self.leaves = log.size();
        if self.leaves < size {
            return Ok(());
        }
        let root = log::root(size, &self.store).map_err(|_| StoreError::Damaged("log hash"))?;
        let is_signed = root == self.header().log_root;
        is_signed.then_some(()).ok_or(JoinError::OtherLog)
    }

    /// Takes the next page of the state.
    pub fn add_entries(&mut self, page: &StatePage) -> Result<(), JoinError> {
        let from = self.next.ok_or(JoinError::StateOutOfOrder)?;
        Self::check_order(from, page)?;
        let statements = self.header().log_size;
        // Each statement has items with two tags each, or is a command that may have made a revision of the registry.
        let most = statements.saturating_mul(ENTRIES_OF_STATEMENT_MAX);
        self.entries = self.entries.saturating_add(count_of(page.entries.len()));
        self.pages = self.pages.saturating_add(1);
        if self.entries > most || self.pages > PAGES_SPARE + most / ENTRIES_OF_PAGE_MIN {
            return Err(JoinError::StateTooLarge);
        }
        for entry in &page.entries {
            let place = position_of(&entry.value);
            let is_place = place.is_some_and(|place| place.statement < statements);
            if !is_place && entry.value.len() != DIGEST_BYTES {
                return Err(JoinError::StateMalformed);
            }
        }
        if !page.entries.is_empty() {
            self.insert(page)?;
        }
        self.next = page.next;
        let is_whole = self.next.is_none();
        if is_whole && self.state_root != self.header().state_root {
            return Err(JoinError::OtherState);
        }
        Ok(())
    }

    /// Takes statements of `member` from before the snapshot; gives where the next page begins.
    ///
    /// Each is checked against the log, which has to be whole; whether some are left out nobody can say.
    pub fn add_statements(
        &mut self,
        member: &MemberName,
        page: &StatementPage,
    ) -> Result<Option<u64>, JoinError> {
        let mut batch = self.store.0.batch();
        for block in &page.blocks {
            self.validators
                .verify(&block.header, &block.finality)
                .map_err(OfferError::from)?;
            if block.header.network != self.header().network || block.header.height > self.height()
            {
                return Err(OfferError::OtherNetwork.into());
            }
            if block.header.height < self.height() {
                write_final(&mut *batch, block);
            }
        }
        for logged in &page.statements {
            let refused = || JoinError::OtherStatement(logged.index);
            let block = usize::try_from(logged.block).ok();
            let block = block
                .and_then(|at| page.blocks.get(at))
                .ok_or_else(refused)?;
            let statement = SubmittedStatement::decode(&logged.statement).map_err(|_| refused())?;
            let leaf = leaf_hash(statement.envelope());
            if logged.index >= block.header.log_size
                || log::leaf(logged.index, &self.store) != Some(leaf)
                || statement.member() != member
            {
                return Err(refused());
            }
            let row = [&key(block.header.height.0), logged.statement.as_slice()].concat();
            batch.insert(Keyspace::Statements, &key(logged.index), &row);
        }
        batch.commit(false)?;
        Ok(page.next)
    }

    /// Checks what is left, and makes the chain of it; `seen` is a checkpoint that outsiders cosigned.
    pub fn finish(self, seen: Option<&Checkpoint>) -> Result<Tip, JoinError> {
        if self.leaves < self.header().log_size || self.next.is_some() {
            return Err(JoinError::Incomplete);
        }
        let registry = self.registry()?;
        self.check_signatures(&registry)?;
        if let Some(seen) = seen {
            self.check_seen(seen)?;
        }
        let tip = self.write_rest(&registry)?;
        let Some((beside, place)) = self.place.clone() else {
            return Ok(tip);
        };
        // The database has to be closed before it is moved.
        drop(self);
        fs::rename(&beside, &place)?;
        if let Some(parent) = place.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(tip)
    }

    fn header(&self) -> &Header {
        &self.offer.block.header
    }

    fn check_order(from: EntryKey, page: &StatePage) -> Result<(), JoinError> {
        let keys = page.entries.iter().map(|entry| entry.key);
        let is_ordered = keys.is_sorted_by(|one, next| one < next);
        let first = page.entries.first();
        let is_behind = first.is_none_or(|first| first.key >= from);
        let last = page.entries.last();
        let advances = page
            .next
            .is_none_or(|next| next > from && last.is_none_or(|last| next > last.key));
        let fits = is_ordered && is_behind && advances;
        fits.then_some(()).ok_or(JoinError::StateOutOfOrder)
    }

    fn insert(&mut self, page: &StatePage) -> Result<(), JoinError> {
        let damaged = |_| StoreError::Damaged("state node");
        let entries = page.entries.iter();
        let entries = entries.map(|entry| (StateKey(entry.key.0), entry.value.clone()));
        let (root, update) = state::insert(&self.store, self.changes, entries).map_err(damaged)?;
        let mut batch = self.store.0.batch();
        for entry in &page.entries {
            batch.insert(Keyspace::Tags, &entry.key.0, &entry.value);
        }
        for (at, node) in update.node_batch.nodes() {
            batch.insert(Keyspace::Nodes, &node_row(at)?, &to_row(node)?);
        }
        for stale in &update.stale_node_index_batch {
            batch.remove_once(Keyspace::Nodes, &node_row(&stale.node_key)?);
        }
        batch.commit(false)?;
        self.changes = self.changes.saturating_add(1);
        self.state_root = root;
        Ok(())
    }

    /// The registry that was in force, as state and header say.
    fn registry(&self) -> Result<Registry, JoinError> {
        let registry = match &self.offer.registry {
            Some(bytes) => {
                let registry = Registry::decode(bytes)?;
                let (place, digest) = registry.entry();
                let row = self.store.0.get(Keyspace::Tags, &place.0)?;
                if row.as_deref() != Some(&digest) {
                    return Err(JoinError::OtherRegistry);
                }
                registry
            }
            None => Registry::from_genesis(&self.genesis)?,
        };
        let next = StateKey::of_registry(registry.revision().saturating_add(1));
        let header = self.header();
        let is_newest = !self.store.is_used(next)?;
        if !is_newest || header.validators != registry.validators_digest(header.height) {
            return Err(JoinError::OtherRegistry);
        }
        Ok(registry)
    }

    /// The block is a checkpoint: what follows it is decided by that.
    fn check_signatures(&self, registry: &Registry) -> Result<(), JoinError> {
        let header = self.header();
        let signatories = registry.signatories(header.epoch);
        let mut signed: Vec<&MemberName> = Vec::new();
        for signature in &self.offer.signatures {
            let is_validator = signatories.iter().any(|one| one.member == signature.member);
            let certificate = registry.certificate(&signature.member, signature.certificate);
            let verifies = certificate.is_ok_and(|certificate| {
                let root = (header.log_size, header.log_root);
                signature.verify(root, &certificate.key).is_ok()
            });
            if !is_validator || !verifies || signed.contains(&&signature.member) {
                return Err(JoinError::NotACheckpoint);
            }
            signed.push(&signature.member);
        }
        let quorum = registry.validators(header.epoch).quorum();
        let has_quorum = signed.len() >= quorum;
        has_quorum.then_some(()).ok_or(JoinError::NotACheckpoint)
    }

    fn check_seen(&self, seen: &Checkpoint) -> Result<(), JoinError> {
        if seen.size > self.header().log_size {
            return Err(JoinError::OlderThanSeen(seen.size));
        }
        let root = if seen.size == 0 {
            Ok(Digest::of(b""))
        } else {
            log::root(seen.size, &self.store)
        };
        let root = root.map_err(|_| StoreError::Damaged("log hash"))?;
        let expected = Checkpoint::of(self.header().network, seen.size, root);
        let is_same = *seen == expected;
        is_same
            .then_some(())
            .ok_or(JoinError::OtherThanSeen(seen.size))
    }

    /// Writes everything else together with the tip, and takes the mark away.
    fn write_rest(&self, registry: &Registry) -> Result<Tip, JoinError> {
        let header = self.header();
        let mut batch = self.store.0.batch();
        let first = Block::genesis(&self.genesis).header;
        write_block(&mut *batch, &first, (0, 0));
        let passed = self.offer.transitions.iter().map(|one| Final {
            header: one.header.clone(),
            finality: one.finality.clone(),
        });
        for block in passed.chain(self.offer.boundary.clone()) {
            write_final(&mut *batch, &block);
        }
        write_block(&mut *batch, header, (self.changes, registry.revision()));
        let finality = codec::encode(&self.offer.block.finality);
        batch.insert(Keyspace::Certificates, &key(header.height.0), &finality);
        if let Some(bytes) = &self.offer.registry {
            batch.insert(Keyspace::Registry, &key(registry.revision()), bytes);
        }
        let checkpoint = StoredCheckpoint {
            height: header.height,
            time: header.time,
            root: header.log_root,
            signatures: self.offer.signatures.clone(),
        };
        let size = key(header.log_size);
        batch.insert(Keyspace::Checkpoints, &size, &codec::encode(&checkpoint));
        let removed = Removed {
            height: header.height,
            log_size: header.log_size,
        };
        batch.insert(Keyspace::Tip, REMOVED, &codec::encode(&removed));
        batch.insert(Keyspace::Tip, JOINED, &codec::encode(&header.height));
        let tip = Tip {
            height: header.height,
            time: header.time,
            digest: header.digest(),
            log_size: header.log_size,
            changes: self.changes,
            state_root: self.state_root,
        };
        batch.insert(Keyspace::Tip, b"tip", &codec::encode(&tip));
        batch.remove_once(Keyspace::Tip, JOINING);
        batch.commit(true)?;
        Ok(tip)
    }
}

/// Where a chain is put together that will be in `directory`.
fn beside(directory: &Path) -> PathBuf {
    directory.with_extension("joining")
}

fn count_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn write_block(batch: &mut dyn Batch, header: &Header, (changes, revision): (u64, u64)) {
    let stored = StoredBlock {
        header: header.clone(),
        changes,
        revision,
    };
    let row = codec::encode(&stored);
    batch.insert(Keyspace::Blocks, &key(header.height.0), &row);
}

/// A block of before the snapshot: how often state and registry had changed by then is not known here.
fn write_final(batch: &mut dyn Batch, block: &Final) {
    write_block(batch, &block.header, (0, 0));
    let row = codec::encode(&block.finality);
    batch.insert(Keyspace::Certificates, &key(block.header.height.0), &row);
}
