//! What a block builds on: ancestors that are not applied yet, executed on the applied state.

use std::sync::{Arc, RwLockReadGuard};

use contracts::machine::Signature;
use contracts::membership::Registry;
use ledger::block::{Block, Header};
use ledger::ids::{Digest, Height};

use super::application::ChainApplication;
use super::execution::{Executed, ExecutionError, View};
use super::mempool::Pooled;
use super::{Applied, Inner, Tip, signatures};
use crate::engine::{self, Ancestors};

/// Why a block is not known to be valid.
pub(super) enum Doubt {
    /// It never can be.
    Invalid(ExecutionError),
    /// This node could not look: a later look may have another outcome.
    Unknown(ExecutionError),
    /// The engine is stopping.
    Stopping,
}

/// Pending ancestors up to a block, the newest first, and what that block leads to.
pub(super) struct Base {
    pub(super) pending: Vec<Arc<Executed>>,
    pub(super) tip: Tip,
    pub(super) registry: Arc<Registry>,
}

impl Base {
    pub(super) fn view<'a>(&'a self, inner: &'a Inner) -> View<'a> {
        View {
            network: inner.network,
            store: &inner.store,
            pending: &self.pending,
            tip: self.tip,
            registry: &self.registry,
        }
    }
}

impl From<ExecutionError> for Doubt {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Store(_) => Self::Unknown(error),
            error => Self::Invalid(error),
        }
    }
}

impl ChainApplication {
    /// `block` and its ancestors down to one that is applied or executed, the newest first.
    pub(super) async fn descent(
        &self,
        block: Arc<engine::Block>,
        mut ancestors: Ancestors,
    ) -> Result<Vec<Arc<engine::Block>>, Doubt> {
        let mut descent = Vec::new();
        let mut at = Some(block);
        loop {
            let block = at.ok_or(Doubt::Stopping)?;
            let digest = Digest(block.digest());
            let is_known = self.inner().pending().contains_key(&digest);
            let height = block.height();
            descent.push(block);
            if is_known || height <= self.0.tip().height.0 {
                return Ok(descent);
            }
            at = ancestors.next().await;
        }
    }

    /// Executes what this node has not seen of a descent; gives the base with all of it.
    pub(super) fn execute_all(&self, mut descent: Vec<Arc<engine::Block>>) -> Result<Base, Doubt> {
        let applied = self.inner().applied();
        let mut base = None;
        while let Some(block) = descent.pop() {
            let known = self.known(&applied, Digest(block.digest()), Height(block.height()));
            base = match (known, base) {
                (Some(known), _) => Some(known),
                (None, Some(base)) => Some(self.execute_on(&block, &base, &applied)?.0),
                // Later blocks may have been applied since the descent.
                (None, None) => None,
            };
        }
        base.ok_or(Doubt::Invalid(ExecutionError::NotOnFinal))
    }

    /// The base whose newest block is the one with `digest`, if it is applied or all of it is executed.
    pub(super) fn known(&self, applied: &Applied, digest: Digest, height: Height) -> Option<Base> {
        let Applied {
            tip: applied,
            registry,
        } = applied;
        if height <= applied.height {
            return (digest == applied.digest).then_some(Base {
                pending: Vec::new(),
                tip: *applied,
                registry: Arc::clone(registry),
            });
        }
        let all = self.inner().pending();
        let mut pending = Vec::new();
        let mut at = digest;
        while at != applied.digest {
            let executed = all.get(&at)?;
            if executed.header.height <= applied.height {
                return None;
            }
            at = executed.header.parent;
            pending.push(Arc::clone(executed));
        }
        let newest = pending.first()?;
        let (tip, registry) = (newest.tip(), Arc::clone(&newest.registry));
        Some(Base {
            pending,
            tip,
            registry,
        })
    }

    /// Executes `block` on `base`, remembers it, and gives the base with it on top.
    pub(super) fn execute_on(
        &self,
        block: &engine::Block,
        base: &Base,
        _applied: &RwLockReadGuard<'_, Applied>,
    ) -> Result<(Base, Arc<Executed>), ExecutionError> {
        let inner = self.inner();
        let decoded = Block::decode(block.header(), block.body())
            .map_err(|_| ExecutionError::HeaderDiffers)?;
        if decoded.header.time <= base.tip.time {
            return Err(ExecutionError::HeaderDiffers);
        }
        let mut statements = Vec::with_capacity(decoded.statements.len());
        let mut fresh = Vec::new();
        for (at, bytes) in decoded.statements.into_iter().enumerate() {
            statements.push(match inner.mempool().get(Digest::of(&bytes)) {
                Some(pooled) => (pooled, Signature::Checked),
                None => {
                    let decoded = Pooled::decode(bytes)
                        .map_err(|error| ExecutionError::Rejected(at, error.into()))?;
                    let decoded = Arc::new(decoded);
                    fresh.push(Arc::clone(&decoded));
                    (decoded, Signature::Unchecked)
                }
            });
        }
        let view = base.view(inner);
        let context = view.context(decoded.header.height, decoded.header.time);
        let mut checked = signatures::check(&context, &fresh).into_iter();
        for (_, signature) in &mut statements {
            if *signature == Signature::Unchecked {
                *signature = checked.next().unwrap_or(Signature::Unchecked);
            }
        }
        let executed = view.execute(&context, &statements);
        if let Err(ExecutionError::Store(_)) = &executed {
            inner.count_damaged();
        }
        let executed = executed?;
        if executed.header != decoded.header {
            return Err(ExecutionError::HeaderDiffers);
        }
        Ok(self.remember(executed, base))
    }

    pub(super) fn remember(&self, executed: Executed, base: &Base) -> (Base, Arc<Executed>) {
        let executed = Arc::new(executed);
        self.inner()
            .pending()
            .insert(executed.digest, Arc::clone(&executed));
        let pending = std::iter::once(&executed)
            .chain(&base.pending)
            .map(Arc::clone)
            .collect();
        (
            Base {
                pending,
                tip: executed.tip(),
                registry: Arc::clone(&executed.registry),
            },
            executed,
        )
    }

    pub(super) async fn judge(
        &self,
        block: Arc<engine::Block>,
        parent: Arc<engine::Block>,
        ancestors: Ancestors,
    ) -> Result<(), Doubt> {
        let mut descent = self.descent(parent, ancestors).await?;
        descent.insert(0, block);
        self.execute_all(descent)?;
        Ok(())
    }

    /// What was found of a block up to the applied height is void: the final block of its height is the valid one.
    pub(super) fn settle(&self, header: &Header, doubt: Doubt) -> Result<(), Doubt> {
        if header.height > self.0.tip().height {
            return Err(doubt);
        }
        match self.inner().store.block(header.height) {
            Ok(Some(stored)) if stored.header == *header => Ok(()),
            Ok(Some(_)) => Err(Doubt::Invalid(ExecutionError::NotOnFinal)),
            Ok(None) => Err(doubt),
            Err(error) => Err(Doubt::Unknown(error.into())),
        }
    }
}
