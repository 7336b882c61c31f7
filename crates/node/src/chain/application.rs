//! The chain as the consensus engine calls it: build, judge and apply blocks.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use contracts::machine::Signature;
use ledger::block::Block;
use ledger::finality::{FinalityCertificate, Vote};
use ledger::ids::{Digest, Height};
use ledger::limits::{BLOCK_BYTES_MAX, CLOCK_AHEAD_MS_MAX};

use super::execution::{Executed, ExecutionError, View, child_of};
use super::mempool::Pooled;
use super::{Chain, FinalItem, Inner, Position, StoreError, Tip, cosign, gossip};
use crate::engine::{self, Ancestors, Application, Deadline};

/// How long a proposer lets statements gather once the first has arrived.
const GATHER: Duration = Duration::from_millis(3);

/// Why a final block was not applied; each of these stops the node.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A quorum finalised what this node finds invalid.
    #[error("the final block at height {0} is invalid here: {1}")]
    Invalid(Height, String),
    /// The engine skipped a height.
    #[error("block {next} came after block {applied}")]
    Gap {
        /// The last applied height.
        applied: Height,
        /// The height that came.
        next: Height,
    },
}

/// The chain's side of the engine's interface.
#[derive(Clone)]
pub struct ChainApplication(Chain);

impl std::fmt::Debug for ChainApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ChainApplication").field(&self.0).finish()
    }
}

/// Pending ancestors up to a block, the newest first, and that block's tip.
struct Base {
    pending: Vec<Arc<Executed>>,
    tip: Tip,
}

impl ChainApplication {
    pub(super) fn new(chain: Chain) -> Self {
        Self(chain)
    }

    fn inner(&self) -> &Inner {
        &self.0.0
    }

    /// Finds what is pending between `block` and the applied tip, executing what this node has not seen.
    async fn base(&self, block: Arc<engine::Block>, mut ancestors: Ancestors) -> Option<Base> {
        let inner = self.inner();
        let mut unexecuted: Vec<Arc<engine::Block>> = Vec::new();
        let mut at = Some(block);
        // Down to what is applied or executed ...
        loop {
            let block = at?;
            let known = inner.pending().contains_key(&Digest(block.digest()));
            if known || block.height() <= self.0.tip().height.0 {
                unexecuted.push(block);
                break;
            }
            unexecuted.push(block);
            at = ancestors.next().await;
        }
        // ... and up again.
        let mut base = None;
        while let Some(block) = unexecuted.pop() {
            base = Some(
                match self.known(Digest(block.digest()), Height(block.height())) {
                    Some(known) => known,
                    None => self.execute_on(&block, &base?).ok()?.0,
                },
            );
        }
        base
    }

    /// The base whose newest block is the one with `digest`, if it is applied or all of it is executed.
    fn known(&self, digest: Digest, height: Height) -> Option<Base> {
        let applied = self.0.tip();
        if height <= applied.height {
            return (digest == applied.digest).then_some(Base {
                pending: Vec::new(),
                tip: applied,
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
        let tip = pending.first()?.tip();
        Some(Base { pending, tip })
    }

    /// Executes `block` on `base`, remembers it, and gives the base with it on top.
    fn execute_on(
        &self,
        block: &engine::Block,
        base: &Base,
    ) -> Result<(Base, Arc<Executed>), ExecutionError> {
        let inner = self.inner();
        let decoded = Block::decode(block.header(), block.body())
            .map_err(|_| ExecutionError::HeaderDiffers)?;
        let mut statements = Vec::with_capacity(decoded.statements.len());
        for (at, bytes) in decoded.statements.into_iter().enumerate() {
            statements.push(match inner.mempool().get(Digest::of(&bytes)) {
                Some(pooled) => (pooled, Signature::Checked),
                None => {
                    let fresh = Pooled::decode(bytes)
                        .map_err(|error| ExecutionError::Rejected(at, error.into()))?;
                    (Arc::new(fresh), Signature::Unchecked)
                }
            });
        }
        let context = inner.context(decoded.header.height, decoded.header.time);
        let applied = inner.tip.read().unwrap_or_else(PoisonError::into_inner);
        let view = View {
            store: &inner.store,
            pending: &base.pending,
            tip: base.tip,
        };
        let executed = view.execute(&context, &inner.genesis, &statements)?;
        drop(applied);
        if executed.header != decoded.header {
            return Err(ExecutionError::HeaderDiffers);
        }
        Ok(self.remember(executed, base))
    }

    fn remember(&self, executed: Executed, base: &Base) -> (Base, Arc<Executed>) {
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
            },
            executed,
        )
    }

    /// Waits until something waits that `base` does not hold.
    async fn something_to_order(&self, base: &Base) {
        let included: BTreeSet<Digest> = base
            .pending
            .iter()
            .flat_map(|block| block.digests.iter().copied())
            .collect();
        loop {
            let arrival = self.inner().arrival.notified();
            if self.inner().mempool().has_more_than(&included) {
                return;
            }
            arrival.await;
        }
    }

    fn build(&self, base: &Base) -> Option<Arc<Executed>> {
        let inner = self.inner();
        let (height, time) = child_of(&base.tip, (inner.clock)());
        let context = inner.context(height, time);
        let included: BTreeSet<Digest> = base
            .pending
            .iter()
            .flat_map(|block| block.digests.iter().copied())
            .collect();
        let candidates = inner.mempool().first(BLOCK_BYTES_MAX, &included);
        let applied = inner.tip.read().unwrap_or_else(PoisonError::into_inner);
        let view = View {
            store: &inner.store,
            pending: &base.pending,
            tip: base.tip,
        };
        // A body is the statements and a few bytes for each.
        let selected = view.select(
            &context,
            &candidates,
            BLOCK_BYTES_MAX - BLOCK_BYTES_MAX / 16,
        );
        let executed = selected.and_then(|(chosen, useless)| {
            inner.mempool().remove(&useless);
            let chosen: Vec<_> = chosen
                .into_iter()
                .map(|one| (one, Signature::Checked))
                .collect();
            match view.execute(&context, &inner.genesis, &chosen) {
                Ok(executed) => Ok(executed),
                Err(ExecutionError::Store(error)) => Err(error),
                Err(_) => Err(StoreError::Damaged("block of admitted statements")),
            }
        });
        drop(applied);
        match executed {
            Ok(executed) => Some(self.remember(executed, base).1),
            Err(error) => {
                tracing::error!(%error, "this node cannot build a block");
                None
            }
        }
    }

    fn apply(
        &self,
        executed: &Executed,
        certificate: Option<&FinalityCertificate>,
    ) -> Result<(), ApplyError> {
        let inner = self.inner();
        let mut tip = inner.tip.write().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = inner.checkpoints.due(&executed.header);
        inner
            .store
            .apply(executed, certificate, checkpoint.as_ref())?;
        *tip = executed.tip();
        inner.mempool().remove(&executed.digests);
        inner
            .pending()
            .retain(|_, block| block.header.height > executed.header.height);
        drop(tip);
        let entries = final_items(executed);
        if !entries.is_empty() {
            // Nobody may be listening.
            let _listeners = inner.entries.send(Arc::new(entries));
        }
        inner.tips.send_replace(executed.tip());
        if let Some(checkpoint) = checkpoint {
            for early in inner
                .checkpoints
                .gather(executed.header.log_size, checkpoint)
            {
                cosign::take(inner, &early);
            }
        }
        Ok(())
    }
}

impl Application for ChainApplication {
    type Error = ApplyError;

    fn binds(block: &engine::Block) -> bool {
        Block::decode(block.header(), block.body()).is_ok_and(|decoded| {
            decoded.header.height.0 == block.height() && decoded.header.parent.0 == block.parent()
        })
    }

    fn genesis(&mut self) -> engine::Block {
        wire(&Block::genesis(&self.inner().genesis))
    }

    fn applied(&mut self) -> u64 {
        self.0.tip().height.0
    }

    async fn propose(
        &mut self,
        parent: Arc<engine::Block>,
        ancestors: Ancestors,
        deadline: Deadline,
    ) -> Option<engine::Block> {
        let base = self.base(parent, ancestors).await?;
        // In a fixed order, for a random one would make simulations differ.
        tokio::select! {
            biased;
            () = self.something_to_order(&base) => (self.inner().timer)(GATHER).await,
            () = deadline => {}
        }
        let executed = self.build(&base)?;
        Some(wire(&Block {
            header: executed.header.clone(),
            statements: executed.statements.clone(),
        }))
    }

    async fn verify(
        &mut self,
        block: Arc<engine::Block>,
        parent: Arc<engine::Block>,
        ancestors: Ancestors,
    ) -> bool {
        let Some(header) = header_of(&block) else {
            return false;
        };
        while header.time.0 > (self.inner().clock)().saturating_add(CLOCK_AHEAD_MS_MAX) {
            (self.inner().timer)(Duration::from_millis(50)).await;
        }
        if self.known(header.digest(), header.height).is_some() {
            return true;
        }
        let Some(base) = self.base(parent, ancestors).await else {
            return false;
        };
        if header.time <= base.tip.time {
            return false;
        }
        match self.execute_on(&block, &base) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(height = block.height(), %error, "a proposed block is invalid");
                false
            }
        }
    }

    async fn finalized(
        &mut self,
        block: Arc<engine::Block>,
        certificate: Option<engine::FinalityCertificate>,
    ) -> Result<(), ApplyError> {
        let certificate = certificate.map(|one| certificate_of(&one));
        let (applied, next) = (self.0.tip(), Height(block.height()));
        if next <= applied.height {
            if let Some(certificate) = certificate {
                self.inner().store.certify(&certificate, next)?;
            }
            return Ok(());
        }
        if next != applied.height.next() {
            return Err(ApplyError::Gap {
                applied: applied.height,
                next,
            });
        }
        let known = self.inner().pending().get(&Digest(block.digest())).cloned();
        let executed = match known {
            Some(executed) => executed,
            None => {
                let base = Base {
                    pending: Vec::new(),
                    tip: applied,
                };
                self.execute_on(&block, &base)
                    .map_err(|error| ApplyError::Invalid(next, error.to_string()))?
                    .1
            }
        };
        self.apply(&executed, certificate.as_ref())
    }

    fn gossip(&mut self, _: [u8; 32], frame: Bytes) {
        gossip::receive(self.inner(), &frame);
    }
}

impl Executed {
    /// Genesis: nothing follows from it.
    pub(super) fn genesis(block: &Block) -> Self {
        Self {
            digest: block.header.digest(),
            header: block.header.clone(),
            statements: Vec::new(),
            digests: BTreeSet::new(),
            log_size_before: 0,
            log: ledger::log::LogAppend::after(0),
            tags: std::collections::BTreeMap::new(),
            state: None,
            changes: 0,
        }
    }
}

fn final_items(executed: &Executed) -> Vec<FinalItem> {
    let mut items = Vec::new();
    for (statement, bytes) in (executed.log_size_before..).zip(&executed.statements) {
        let Ok(decoded) = ledger::statement::SubmittedStatement::decode(bytes) else {
            continue;
        };
        items.extend((0..).zip(decoded.items()).map(|(item, entry)| FinalItem {
            member: decoded.member().clone(),
            item: *entry,
            position: Position { statement, item },
        }));
    }
    items
}

fn header_of(block: &engine::Block) -> Option<ledger::block::Header> {
    ledger::block::Header::decode(block.header()).ok()
}

fn wire(block: &Block) -> engine::Block {
    let header = &block.header;
    engine::Block::new(
        header.height.0,
        header.parent.0,
        header.encode().into(),
        block.body().into(),
    )
}

fn certificate_of(certificate: &engine::FinalityCertificate) -> FinalityCertificate {
    let votes = certificate.signers.iter().zip(&certificate.signatures);
    FinalityCertificate {
        epoch: certificate.epoch,
        view: certificate.view,
        parent_view: certificate.parent_view,
        block: Digest(certificate.payload),
        votes: votes
            .map(|(signer, signature)| Vote {
                validator: *signer,
                signature: (*signature).into(),
            })
            .collect(),
    }
}
