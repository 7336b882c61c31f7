//! Execution: what a block would change, on top of blocks that are not final yet.
//!
//! Nothing here waits. A [`View`] is the applied state with the changes of pending ancestors laid over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::machine::{self, Context, Draft, Signature};
use contracts::membership::Registry;
use contracts::rejection::Rejection;
use ledger::block::{Header, body_of};
use ledger::ids::{BlockTime, Digest, Height, NetworkId};
use ledger::limits::BLOCK_ITEMS_MAX;
use ledger::log::{self, HashReader, LogAppend};
use ledger::state::storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch};
use ledger::state::{self, StateKey, StateRoot, TreeKey};

use super::mempool::Pooled;
use super::store::{Position, Store, StoreError, Tip, position_row};

/// A block with everything that follows from it.
pub(super) struct Executed {
    pub(super) header: Header,
    pub(super) statements: Vec<Arc<Pooled>>,
    pub(super) digests: BTreeSet<Digest>,
    pub(super) log_size_before: u64,
    pub(super) log: LogAppend,
    pub(super) tags: BTreeMap<StateKey, Position>,
    pub(super) state: Option<TreeUpdateBatch>,
    pub(super) changes: u64,
    pub(super) digest: Digest,
    /// After the block.
    pub(super) registry: Arc<Registry>,
    /// Whether the block has made a revision of the registry.
    pub(super) has_revised: bool,
}

impl Executed {
    fn takes_fresh_keys_only(&self) -> bool {
        let taken = self.tags.len() + usize::from(self.has_revised);
        self.state
            .as_ref()
            .is_none_or(|update| state::keys_added(update) == taken)
    }

    pub(super) fn body(&self) -> Vec<u8> {
        body(&self.statements)
    }

    pub(super) fn tip(&self) -> Tip {
        Tip {
            height: self.header.height,
            time: self.header.time,
            digest: self.digest,
            log_size: self.header.log_size,
            changes: self.changes,
            state_root: self.header.state_root,
        }
    }
}

/// Why a block is not executed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecutionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("statement {0} of the block would be rejected: {1}")]
    Rejected(usize, Rejection),
    #[error("the block has more items than a block may have")]
    TooManyItems,
    #[error("the header does not state what follows from the block's statements")]
    HeaderDiffers,
    #[error("the block does not descend from the final one")]
    NotOnFinal,
}

/// Whether the store is asked which keys were used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Done,
    Skipped,
}

/// The state after a block: applied rows below, pending blocks above, the newest first.
pub(super) struct View<'a> {
    pub(super) network: NetworkId,
    pub(super) store: &'a Store,
    pub(super) pending: &'a [Arc<Executed>],
    pub(super) tip: Tip,
    pub(super) registry: &'a Arc<Registry>,
}

impl View<'_> {
    /// Where and when the statements of a child are judged.
    pub(super) fn context(&self, height: Height, time: BlockTime) -> Context<'_> {
        Context {
            network: self.network,
            height,
            time,
            registry: self.registry,
        }
    }

    pub(super) fn is_used(&self, key: StateKey) -> Result<bool, StoreError> {
        if self
            .pending
            .iter()
            .any(|block| block.tags.contains_key(&key))
        {
            return Ok(true);
        }
        self.store.is_used(key)
    }

    fn includes(&self, digest: Digest) -> bool {
        self.pending
            .iter()
            .any(|block| block.digests.contains(&digest))
    }

    /// Chooses from `candidates` what a block at `height` accepts, in order, up to `bytes_max`; names what can go.
    pub(super) fn select(
        &self,
        context: &Context<'_>,
        candidates: &[Arc<Pooled>],
        bytes_max: usize,
    ) -> Result<(Vec<Arc<Pooled>>, Vec<Digest>), StoreError> {
        let (mut chosen, mut useless) = (Vec::new(), Vec::new());
        let (mut bytes, mut items) = (0, 0);
        let mut draft = Draft::default();
        for candidate in candidates {
            if self.includes(candidate.digest) {
                continue;
            }
            bytes += candidate.bytes.len();
            items += candidate.statement.items().len();
            if bytes > bytes_max || items > BLOCK_ITEMS_MAX {
                break;
            }
            self.load(&candidate.keys, &mut draft.used)?;
            let decision = machine::decide(
                context,
                &candidate.statement,
                Signature::Checked,
                &candidate.keys,
                &mut draft,
            );
            match decision {
                Ok(()) => chosen.push(Arc::clone(candidate)),
                Err(rejection) if self.is_final(&rejection, candidate)? => {
                    useless.push(candidate.digest);
                }
                Err(_) => {}
            }
        }
        Ok((chosen, useless))
    }

    /// Executes `statements` as the child of this view's tip.
    pub(super) fn execute(
        &self,
        context: &Context<'_>,
        statements: &[(Arc<Pooled>, Signature)],
    ) -> Result<Executed, ExecutionError> {
        let items = statements
            .iter()
            .map(|(one, _)| one.statement.items().len());
        if items.sum::<usize>() > BLOCK_ITEMS_MAX {
            return Err(ExecutionError::TooManyItems);
        }
        // The state tree, which is read anyway, tells whether a key was used: in a valid block none was.
        match self.execute_with(context, statements, Lookup::Skipped) {
            Ok(executed) if executed.takes_fresh_keys_only() => Ok(executed),
            _ => self.execute_with(context, statements, Lookup::Done),
        }
    }

    fn execute_with(
        &self,
        context: &Context<'_>,
        statements: &[(Arc<Pooled>, Signature)],
        lookup: Lookup,
    ) -> Result<Executed, ExecutionError> {
        let mut draft = Draft::default();
        for (at, (statement, signature)) in statements.iter().enumerate() {
            if lookup == Lookup::Done {
                self.load(&statement.keys, &mut draft.used)?;
            }
            machine::decide(
                context,
                &statement.statement,
                *signature,
                &statement.keys,
                &mut draft,
            )
            .map_err(|rejection| ExecutionError::Rejected(at, rejection))?;
        }
        let revised = draft.finish(self.registry).map(Arc::new);
        let has_revised = revised.is_some();
        let registry = revised.unwrap_or_else(|| Arc::clone(self.registry));
        let statements: Vec<_> = statements
            .iter()
            .map(|(statement, _)| Arc::clone(statement))
            .collect();
        let (log, log_root, tags) = self.append(&statements)?;
        let revision = has_revised.then(|| registry.entry());
        let (state_root, state) = self.insert(&tags, revision)?;
        let header = Header {
            network: context.network,
            epoch: registry.rules().epoch_of(context.height),
            height: context.height,
            time: context.time,
            parent: self.tip.digest,
            validators: registry.validators_digest(context.height),
            body: Digest::of(&body(&statements)),
            log_root,
            log_size: log.size(),
            state_root,
        };
        Ok(Executed {
            digest: header.digest(),
            header,
            digests: statements.iter().map(|one| one.digest).collect(),
            statements,
            log_size_before: self.tip.log_size,
            log,
            tags,
            changes: self.tip.changes + u64::from(state.is_some()),
            state,
            registry,
            has_revised,
        })
    }

    fn load(&self, keys: &[StateKey], used: &mut BTreeSet<StateKey>) -> Result<(), StoreError> {
        for key in keys {
            if self.is_used(*key)? {
                used.insert(*key);
            }
        }
        Ok(())
    }

    /// Whether a rejection holds whatever becomes of the pending blocks, which may yet be dropped.
    fn is_final(&self, rejection: &Rejection, of: &Pooled) -> Result<bool, StoreError> {
        match rejection {
            Rejection::TagUsed { .. } | Rejection::CommandRepeated => self.is_applied(&of.keys),
            Rejection::Governance(_) => Ok(self.pending.is_empty()),
            _ => Ok(true),
        }
    }

    fn is_applied(&self, keys: &[StateKey]) -> Result<bool, StoreError> {
        for key in keys {
            if self.store.is_used(*key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn append(
        &self,
        statements: &[Arc<Pooled>],
    ) -> Result<(LogAppend, Digest, BTreeMap<StateKey, Position>), StoreError> {
        let damaged = |_| StoreError::Damaged("log hash");
        let mut log = LogAppend::after(self.tip.log_size);
        let mut tags = BTreeMap::new();
        for statement in statements {
            let leaf = log::leaf_hash(statement.statement.envelope());
            let index = log.push(leaf, self).map_err(damaged)?;
            for (item, pair) in (0_u16..).zip(statement.keys.chunks(2)) {
                tags.extend(pair.iter().map(|key| {
                    (
                        *key,
                        Position {
                            statement: index,
                            item,
                        },
                    )
                }));
            }
        }
        let root = log.root(self).map_err(damaged)?;
        Ok((log, root, tags))
    }

    fn insert(
        &self,
        tags: &BTreeMap<StateKey, Position>,
        revision: Option<(StateKey, Vec<u8>)>,
    ) -> Result<(StateRoot, Option<TreeUpdateBatch>), StoreError> {
        if tags.is_empty() && revision.is_none() {
            return Ok((self.tip.state_root, None));
        }
        let entries = tags
            .iter()
            .map(|(key, position)| (*key, position_row(*position)))
            .chain(revision);
        let (root, update) = state::insert(self, self.tip.changes, entries)
            .map_err(|_| StoreError::Damaged("state node"))?;
        Ok((root, Some(update)))
    }
}

/// `statements` as a block's body.
fn body(statements: &[Arc<Pooled>]) -> Vec<u8> {
    let bytes: Vec<&[u8]> = statements.iter().map(|one| one.bytes.as_slice()).collect();
    body_of(&bytes)
}

/// The context of a child of `tip`.
pub(super) fn child_of(tip: &Tip, clock_ms: u64) -> (Height, BlockTime) {
    (tip.height.next(), BlockTime(clock_ms.max(tip.time.0 + 1)))
}

impl HashReader for View<'_> {
    fn hash(&self, index: u64) -> Option<Digest> {
        let pending = self.pending.iter().find_map(|block| block.log.hash(index));
        pending.or_else(|| self.store.hash(index))
    }
}

impl TreeReader for View<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let updates = self.pending.iter().filter_map(|block| block.state.as_ref());
        for update in updates {
            if let Some(node) = update.node_batch.get_node(key) {
                return Ok(Some(node.clone()));
            }
        }
        self.store.get_node_option(key)
    }

    fn get_value_option(&self, version: u64, key: TreeKey) -> anyhow::Result<Option<Vec<u8>>> {
        self.store.get_value_option(version, key)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}
