//! Goes over the whole store of a chain that nobody runs, and names what is damaged.
//!
//! All follows from the genesis, the headers and the statements: a header's digest is signed by a quorum, its body
//! digest fixes the statements, and these fix hashes, tags, state and registry. What the store has is compared with
//! what follows, block by block.
//!
//! Where a chain was joined by snapshot or pruned, other members' statements are not here. Their hashes still lead to the
//! log roots, and the rows of their tags to the state root; own statements are looked at as ever.

mod compare;
mod joined;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use contracts::machine::{self, Context, Draft, Signature};
use contracts::membership::Registry;
use ledger::block::{Block, Header, body_of};
use ledger::genesis::Genesis;
use ledger::ids::{BlockTime, Digest, Height, NetworkId};
use ledger::log::{self, HashReader, LogAppend};
use ledger::state::StateKey;
use ledger::statement::SubmittedStatement;

use super::OpenError;
use super::damage::{ChainDamage, ChainFault, ChainPart, Findings};
use super::disk::Disk;
use super::rows::{Keyspace, Rows};
use super::store::{Removed, Store, StoreError, StoredBlock, Tip, key};

/// What an inspection has gone over, and what it found.
#[derive(Debug, Clone)]
pub struct ChainReport {
    /// The last block that the store names.
    pub height: u64,
    /// Statements of all blocks.
    pub statements: u64,
    /// Places in the state that they take.
    pub tags: u64,
    /// Finality certificates that verify.
    pub certificates: u64,
    /// Checkpoints with signatures that verify.
    pub checkpoints: u64,
    /// Digests of the blocks from height 1 up; zeros where a header is not here.
    pub digests: Vec<[u8; 32]>,
    /// What is damaged.
    pub damages: Vec<ChainDamage>,
}

/// Inspects the chain of `genesis` in `directory`; `progress` is told the blocks that are done, and how many there are.
pub fn inspect(
    genesis: &Genesis,
    directory: &Path,
    progress: impl FnMut(u64, u64),
) -> Result<ChainReport, OpenError> {
    let disk = Disk::open(directory).map_err(StoreError::from)?;
    inspect_rows(genesis, Arc::new(disk), progress)
}

/// The same of rows wherever they are.
pub fn inspect_rows(
    genesis: &Genesis,
    rows: Arc<dyn Rows>,
    mut progress: impl FnMut(u64, u64),
) -> Result<ChainReport, OpenError> {
    let store = Store::new(rows);
    if matches!(store.is_joining(), Ok(true)) {
        return Err(OpenError::JoiningUnfinished);
    }
    let mut walk = Walk::new(genesis, &store)?;
    let Some(tip) = walk.tip() else {
        return Ok(walk.report());
    };
    walk.end = tip.log_size;
    walk.last = tip.height;
    walk.root = Some(tip);
    walk.read_marks(&tip);
    for height in walk.heights(&tip) {
        walk.block(height);
        progress(height.0, tip.height.0);
    }
    walk.check_snapshot(genesis);
    walk.finish(&tip);
    Ok(walk.report())
}

/// The state of an inspection behind a block.
struct Walk<'a> {
    store: &'a Store,
    network: NetworkId,
    first: Header,
    registry: Arc<Registry>,
    /// The last header, unless it could not be read.
    before: Option<Header>,
    height: u64,
    log_size: u64,
    /// Statements that the store says there are.
    end: u64,
    /// Unknown behind a header that is lost.
    changes: Option<u64>,
    checkpoint: Option<(u64, BlockTime)>,
    /// Hashes that follow from the statements where the store has others.
    hashes: BTreeMap<u64, Digest>,
    revisions: BTreeSet<StateKey>,
    /// The block of the snapshot from which the chain was begun; 0 if it was not.
    joined: Height,
    /// Up to where others' statements are not here.
    removed: Removed,
    /// Places in the state that were found damaged.
    faulty: BTreeSet<StateKey>,
    tags: u64,
    /// Of the faulty ones those that are not there.
    absent: u64,
    certificates: u64,
    checkpoints: u64,
    /// The last block, under whose state root all tags have to be.
    root: Option<Tip>,
    unproven: u64,
    /// The height of the last block.
    last: Height,
    digests: Vec<[u8; 32]>,
    findings: Findings,
}

/// Hashes as they have to be.
struct Due<'a> {
    store: &'a Store,
    corrected: &'a BTreeMap<u64, Digest>,
}

impl HashReader for Due<'_> {
    fn hash(&self, index: u64) -> Option<Digest> {
        let corrected = self.corrected.get(&index).copied();
        corrected.or_else(|| self.store.hash(index))
    }
}

impl<'a> Walk<'a> {
    fn new(genesis: &Genesis, store: &'a Store) -> Result<Self, OpenError> {
        Ok(Self {
            store,
            network: genesis.network(),
            first: Block::genesis(genesis).header,
            registry: Arc::new(Registry::from_genesis(genesis)?),
            before: None,
            height: 0,
            log_size: 0,
            end: 0,
            changes: Some(0),
            checkpoint: None,
            hashes: BTreeMap::new(),
            revisions: BTreeSet::new(),
            joined: Height(0),
            removed: Removed::default(),
            faulty: BTreeSet::new(),
            tags: 0,
            absent: 0,
            certificates: 0,
            checkpoints: 0,
            root: None,
            unproven: 0,
            last: Height(0),
            digests: Vec::new(),
            findings: Findings::default(),
        })
    }

    fn note(&mut self, part: ChainPart, fault: ChainFault, number: u64) {
        self.findings.note(part, fault, number);
    }

    fn report(self) -> ChainReport {
        ChainReport {
            height: self.height,
            statements: self.log_size,
            tags: self.tags,
            certificates: self.certificates,
            checkpoints: self.checkpoints,
            digests: self.digests,
            damages: self.findings.damages(),
        }
    }

    fn tip(&mut self) -> Option<Tip> {
        let fault = match self.store.tip() {
            Ok(Some(tip)) => return Some(tip),
            Ok(None) if self.is_empty() => return None,
            Ok(None) => ChainFault::Missing,
            Err(_) => ChainFault::Unreadable,
        };
        self.note(ChainPart::Tip, fault, 0);
        None
    }

    /// Nobody has started a node on it yet.
    fn is_empty(&self) -> bool {
        matches!(self.store.0.contains(Keyspace::Blocks, &key(0)), Ok(false))
    }

    fn block(&mut self, height: Height) {
        self.height = height.0;
        let stored = match self.store.block(height) {
            Ok(Some(stored)) if self.is_plausible(&stored.header, height) => stored,
            found => {
                let fault = match found {
                    Ok(Some(_)) => ChainFault::Differs,
                    Ok(None) => ChainFault::Missing,
                    Err(_) => ChainFault::Unreadable,
                };
                self.note(ChainPart::Block, fault, height.0);
                self.pass_over(height);
                return;
            }
        };
        let statements = self.statements(&stored.header);
        self.execute(&stored, &statements);
        self.certificate(&stored.header);
        self.check_checkpoint(&stored.header);
        if height.0 > 0 {
            self.digests.push(stored.header.digest().0);
        }
        self.before = Some(stored.header);
    }

    /// Whether a header can be the one at `height`.
    fn is_plausible(&self, header: &Header, height: Height) -> bool {
        if height.0 == 0 {
            return *header == self.first;
        }
        header.network == self.network
            && header.height == height
            && (self.log_size..=self.end).contains(&header.log_size)
            && self
                .before
                .as_ref()
                .is_none_or(|before| header.parent == before.digest() && header.time > before.time)
    }

    /// Goes past the statements of a block whose header is lost; the registry goes on as the store has it.
    fn pass_over(&mut self, height: Height) {
        while let Ok(Some((of, bytes))) = self.store.statement(self.log_size) {
            if of > height {
                break;
            }
            let statement = SubmittedStatement::decode(&bytes).ok();
            let keys = statement.as_ref().map(machine::plan).unwrap_or_default();
            self.leaf(statement.as_ref());
            self.check_tags(self.log_size - 1, &keys);
        }
        self.before = None;
        self.changes = None;
        if height.0 > 0 {
            self.digests.push([0; 32]);
        }
        self.follow_registry();
    }

    fn follow_registry(&mut self) {
        let next = self.store.block(Height(self.height + 1)).ok().flatten();
        if let Some(revision) = next.map(|block| block.revision) {
            self.take_registry(revision);
        }
    }

    /// Goes on with a revision as the store has it.
    fn take_registry(&mut self, revision: u64) {
        if let Ok(Some((_, row))) = self.store.registry_at(revision)
            && let Ok(registry) = Registry::decode(&row)
        {
            self.registry = Arc::new(registry);
        }
    }

    /// The statements of a block; those that are lost are `None`.
    fn statements(&mut self, header: &Header) -> Vec<Option<SubmittedStatement>> {
        let indices = self.log_size..header.log_size;
        let mut bytes = Vec::new();
        for index in indices.clone() {
            let fault = match self.store.statement(index) {
                Ok(Some((height, statement))) => {
                    if !self.is_height_of(index, height, header) {
                        self.note(ChainPart::Statement, ChainFault::Differs, index);
                    }
                    bytes.push(statement);
                    continue;
                }
                // Whether it was this member's own, nobody can say.
                Err(StoreError::NotKept(_)) => {
                    bytes.push(Vec::new());
                    continue;
                }
                Ok(None) => ChainFault::Missing,
                Err(_) => ChainFault::Unreadable,
            };
            self.note(ChainPart::Statement, fault, index);
            bytes.push(Vec::new());
        }
        let is_whole = Digest::of(&body_of(&bytes)) == header.body;
        let mut statements = Vec::new();
        for (index, bytes) in indices.zip(&bytes) {
            let statement = SubmittedStatement::decode(bytes).ok();
            // Which of the block's statements it is, the log tells.
            let fits = statement.as_ref().is_some_and(|statement| {
                is_whole || self.stored_leaf(index) == Some(log::leaf_hash(statement.envelope()))
            });
            if !is_whole && !fits && !bytes.is_empty() {
                self.note(ChainPart::Statement, ChainFault::Differs, index);
            }
            statements.push(statement.filter(|_| fits));
        }
        statements
    }

    fn stored_leaf(&self, index: u64) -> Option<Digest> {
        self.store.hash(log::leaf_index(index))
    }

    /// Compares what follows from a block's statements with what the store has of it.
    fn execute(&mut self, stored: &StoredBlock, statements: &[Option<SubmittedStatement>]) {
        let header = &stored.header;
        let first = self.log_size;
        let is_partial = header.height.0 > 0 && header.height <= self.removed.height;
        let mut draft = Draft::default();
        let mut has_keys = false;
        for (index, statement) in (first..).zip(statements) {
            self.leaf(statement.as_ref());
            let Some(statement) = statement else { continue };
            let keys = machine::plan(statement);
            has_keys |= !keys.is_empty();
            self.check_tags(index, &keys);
            if is_partial {
                continue;
            }
            let registry = Arc::clone(&self.registry);
            let context = Context {
                network: self.network,
                height: header.height,
                time: header.time,
                registry: &registry,
            };
            let judged =
                machine::decide(&context, statement, Signature::Checked, &keys, &mut draft);
            if judged.is_err() {
                self.note(ChainPart::Statement, ChainFault::Differs, index);
            }
        }
        let is_whole = statements.iter().all(Option::is_some);
        self.compare_log(header);
        if is_partial {
            self.follow_partial(stored);
            return;
        }
        let revised = draft.finish(&self.registry).map(Arc::new);
        let has_revised = revised.is_some();
        if let Some(revised) = revised {
            self.registry = revised;
            self.check_registry();
        }
        if !is_whole {
            self.follow_registry();
            self.changes = Some(stored.changes);
            return;
        }
        let changed = u64::from(has_keys || has_revised);
        let changes = self
            .changes
            .map_or(stored.changes, |before| before + changed);
        self.changes = Some(changes);
        let says = (stored.changes, stored.revision, header.validators);
        let follows = (
            changes,
            self.registry.revision(),
            self.registry.validators_digest(header.height),
        );
        if says != follows {
            self.note(ChainPart::Block, ChainFault::Differs, header.height.0);
        }
    }

    /// Appends the leaf of the next statement, and compares the hashes that follow; a lost one has the stored leaf.
    fn leaf(&mut self, statement: Option<&SubmittedStatement>) {
        let index = self.log_size;
        self.log_size += 1;
        let leaf = statement.map(|statement| log::leaf_hash(statement.envelope()));
        let Some(leaf) = leaf.or_else(|| self.stored_leaf(index)) else {
            self.note(
                ChainPart::LogHash,
                ChainFault::Missing,
                log::leaf_index(index),
            );
            return;
        };
        let mut append = LogAppend::after(index);
        let due = Due {
            store: self.store,
            corrected: &self.hashes,
        };
        if append.push(leaf, &due).is_err() {
            self.note(
                ChainPart::LogHash,
                ChainFault::Missing,
                log::leaf_index(index),
            );
            return;
        }
        for (at, hash) in append.added() {
            let fault = match self.store.hash(*at) {
                Some(stored) if stored == *hash => continue,
                Some(_) => ChainFault::Differs,
                None => ChainFault::Missing,
            };
            self.hashes.insert(*at, *hash);
            self.findings.note(ChainPart::LogHash, fault, *at);
        }
    }

    fn compare_log(&mut self, header: &Header) {
        let due = Due {
            store: self.store,
            corrected: &self.hashes,
        };
        let root = LogAppend::after(self.log_size).root(&due);
        if root == Ok(header.log_root) || self.log_size == 0 {
            return;
        }
        // The header's certificate tells whether that is what a quorum signed.
        if header.height <= self.removed.height {
            let last = log::leaf_index(self.log_size - 1);
            self.note(ChainPart::LogHash, ChainFault::Differs, last);
        } else {
            self.note(ChainPart::Block, ChainFault::Differs, header.height.0);
        }
    }
}

#[cfg(test)]
mod tests;
