//! Snapshots for nodes that join: what this chain offers, page by page.
//!
//! All of it is public, and none of it has to be believed: [`Joining`](super::Joining) checks it.

use std::collections::BTreeSet;
use std::ops::Bound;

use ledger::ids::{Epoch, Height, MemberName};
use ledger::limits::STATEMENT_BYTES_MAX;
use ledger::log;
use ledger::snapshot::{
    ENTRIES_MAX, Entry, EntryKey, Final, LEAVES_MAX, LeafPage, LoggedStatement, Offer,
    STATEMENTS_BYTES_MAX, StatePage, StatementPage,
};
use ledger::state::StateKey;
use ledger::statement::SubmittedStatement;
use minicbor::bytes::ByteVec;

use super::rows::Keyspace;
use super::store::{DIGEST_BYTES, Store, StoredBlock, key, position_of};
use super::succession::last_before;
use super::{Chain, StoreError};

/// Checkpoints that are looked at for one whose block has a certificate of its own.
const CHECKPOINTS_TRIED: usize = 256;
/// Statements that are looked at for one page.
const STATEMENTS_TRIED: u64 = 4_096;

/// What is served to nodes that join.
pub trait Snapshots: Send + Sync {
    /// The newest snapshot; `None` while no checkpoint is signed, and then there is little to replay.
    fn offer(&self) -> Result<Option<Offer>, StoreError>;
    /// Leaf hashes of the log at `height` from the index `from` on; `None` if there is no such block here.
    fn leaves(&self, height: Height, from: u64) -> Result<Option<LeafPage>, StoreError>;
    /// Entries of the state at `height` from the key `from` on; `None` if there is no such block here.
    fn state(&self, height: Height, from: EntryKey) -> Result<Option<StatePage>, StoreError>;
    /// Statements of a member up to `height` that are kept here, from the index `from` on.
    fn statements(
        &self,
        height: Height,
        member: &MemberName,
        from: u64,
    ) -> Result<Option<StatementPage>, StoreError>;
    /// The statement at `index` of the log, items included; `None` if the log is shorter.
    fn submitted(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError>;
}

impl Snapshots for Chain {
    fn offer(&self) -> Result<Option<Offer>, StoreError> {
        let store = &self.0.store;
        let tip = self.tip();
        for row in store
            .checkpoints_until(tip.log_size)
            .take(CHECKPOINTS_TRIED)
        {
            let (_, checkpoint) = row?;
            if checkpoint.signatures.is_empty() || checkpoint.height > tip.height {
                continue;
            }
            let Some(block) = self.certified(checkpoint.height)? else {
                continue;
            };
            let revision = self
                .stored_block(checkpoint.height)?
                .map(|one| one.revision);
            let registry = store.registry_at(revision.unwrap_or(0))?;
            return Ok(Some(Offer {
                transitions: self.transitions(block.header.epoch)?,
                boundary: self.boundary(&block)?,
                registry: registry.map(|(_, bytes)| ByteVec::from(bytes)),
                signatures: checkpoint.signatures,
                kept_from: store.removed()?.height.next(),
                block,
            }));
        }
        Ok(None)
    }

    fn leaves(&self, height: Height, from: u64) -> Result<Option<LeafPage>, StoreError> {
        let Some(block) = self.stored_block(height)? else {
            return Ok(None);
        };
        let leaves = (from..block.header.log_size).take(LEAVES_MAX);
        let leaf = |index| log::leaf(index, &self.0.store).ok_or(StoreError::Damaged("log hash"));
        let leaves = self.0.met(leaves.map(leaf).collect::<Result<_, _>>())?;
        Ok(Some(LeafPage { leaves }))
    }

    fn state(&self, height: Height, from: EntryKey) -> Result<Option<StatePage>, StoreError> {
        let Some(block) = self.stored_block(height)? else {
            return Ok(None);
        };
        let later: BTreeSet<EntryKey> = (block.revision + 1..=self.registry().revision())
            .map(|revision| EntryKey(StateKey::of_registry(revision).0))
            .collect();
        let from = Bound::Included(from.0.as_slice());
        let rows = &self.0.store.0;
        let mut rows = rows.range(Keyspace::Tags, from, Bound::Unbounded);
        let mut entries = Vec::new();
        for row in rows.by_ref().take(ENTRIES_MAX) {
            let (place, value) = row?;
            let place = entry_key(&place)?;
            let is_there = if value.len() == DIGEST_BYTES {
                !later.contains(&place)
            } else {
                let position = position_of(&value).ok_or(StoreError::Damaged("tag"))?;
                position.statement < block.header.log_size
            };
            if is_there {
                entries.push(Entry {
                    key: place,
                    value: value.to_vec(),
                });
            }
        }
        let next = rows.next().transpose()?;
        let next = next.map(|(place, _)| entry_key(&place)).transpose()?;
        Ok(Some(StatePage { entries, next }))
    }

    fn statements(
        &self,
        height: Height,
        member: &MemberName,
        from: u64,
    ) -> Result<Option<StatementPage>, StoreError> {
        let store = &self.0.store;
        let Some(block) = self.stored_block(height)? else {
            return Ok(None);
        };
        let until = block
            .header
            .log_size
            .min(from.saturating_add(STATEMENTS_TRIED));
        let mut page = StatementPage {
            blocks: Vec::new(),
            statements: Vec::new(),
            next: (until < block.header.log_size).then_some(until),
        };
        let mut bytes_left = STATEMENTS_BYTES_MAX;
        for row in store.statements_between(from, until) {
            let (index, at, statement) = row?;
            if *member_of(&statement)?.member() != *member {
                continue;
            }
            if bytes_left < STATEMENT_BYTES_MAX {
                page.next = Some(index);
                break;
            }
            let Some(covering) = self.covering(at, height)? else {
                continue;
            };
            if page.blocks.last() != Some(&covering) {
                page.blocks.push(covering);
            }
            bytes_left = bytes_left.saturating_sub(statement.len());
            page.statements.push(LoggedStatement {
                index,
                block: u32::try_from(page.blocks.len() - 1).unwrap_or(u32::MAX),
                statement,
            });
        }
        Ok(Some(page))
    }

    fn submitted(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if index >= self.tip().log_size {
            return Ok(None);
        }
        let statement = self.0.store.statement(index)?;
        Ok(statement.map(|(_, bytes)| bytes))
    }
}

impl Chain {
    /// The block at `height`, if it is applied and all that follows from it is here.
    fn stored_block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let joined = self.0.store.joined()?.unwrap_or_default();
        if height > self.tip().height || height < joined {
            return Ok(None);
        }
        self.0.store.block(height)
    }

    /// The first block from `height` to `last` that is final by a certificate of its own.
    fn covering(&self, height: Height, last: Height) -> Result<Option<Final>, StoreError> {
        match self.0.store.certified_from(height)? {
            Some((at, _)) if at <= last => self.certified(at),
            _ => Ok(None),
        }
    }

    /// The last block of the epoch before the one of `block`.
    fn boundary(&self, block: &Final) -> Result<Option<Final>, StoreError> {
        let epoch = block.header.epoch;
        if epoch == Epoch(0) {
            return Ok(None);
        }
        let boundary = self.certified(last_before(epoch, self.registry().rules().epoch_blocks))?;
        let damaged = StoreError::Damaged("certificate of an epoch's end");
        boundary.ok_or(damaged).map(Some)
    }
}

impl Store {
    /// Statements that are kept here, with the heights of their blocks.
    pub(super) fn statements_between(
        &self,
        from: u64,
        until: u64,
    ) -> impl Iterator<Item = Result<(u64, Height, Vec<u8>), StoreError>> {
        let (from, until) = (key(from), key(until));
        let rows = self.0.range(
            Keyspace::Statements,
            Bound::Included(&from),
            Bound::Excluded(&until),
        );
        rows.map(|row| {
            let (index, row) = row?;
            let damaged = || StoreError::Damaged("statement");
            let index = (*index).try_into().map_err(|_| damaged())?;
            let (height, statement) = row.split_first_chunk().ok_or_else(damaged)?;
            Ok((
                u64::from_be_bytes(index),
                Height(u64::from_be_bytes(*height)),
                statement.to_vec(),
            ))
        })
    }
}

/// Who submitted the statement.
pub(super) fn member_of(statement: &[u8]) -> Result<SubmittedStatement, StoreError> {
    SubmittedStatement::decode(statement).map_err(|_| StoreError::Damaged("statement"))
}

fn entry_key(place: &[u8]) -> Result<EntryKey, StoreError> {
    let key = place.try_into().map_err(|_| StoreError::Damaged("tag"))?;
    Ok(EntryKey(key))
}
