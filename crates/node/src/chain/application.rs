//! The chain as the consensus engine calls it: build, judge and apply blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use contracts::machine::Signature;
use contracts::membership::Registry;
use ledger::block::{Block, Header};
use ledger::finality::{FinalityCertificate, Vote};
use ledger::ids::{Digest, Epoch, Height, MemberName};
use ledger::limits::{BLOCK_BYTES_MAX, CLOCK_AHEAD_MS_MAX};

use super::base::{Base, Doubt};
use super::execution::{Executed, ExecutionError, child_of};
use super::{Applied, Chain, FinalItem, Inner, Position, StoreError, cosign, gossip};
use crate::engine::{self, Ancestors, Application, Committee, Deadline};

/// How long a proposer lets statements gather once the first has arrived.
const GATHER: Duration = Duration::from_millis(3);

/// The newest format that this node understands.
pub(super) const FORMAT_MAX: u16 = 1;

/// Why a final block was not applied; each of these stops the node.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A quorum finalised what this node finds invalid.
    #[error("the final block at height {0} is invalid here: {1}")]
    Invalid(Height, String),
    /// The members decided on a format that this node does not know.
    #[error(
        "from block {0} on the network speaks format {1}: install a newer version of this node"
    )]
    FormatUnknown(Height, u16),
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
pub struct ChainApplication(pub(super) Chain, Arc<BTreeMap<MemberName, SocketAddr>>);

impl std::fmt::Debug for ChainApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ChainApplication").field(&self.0).finish()
    }
}

impl ChainApplication {
    pub(super) fn new(chain: Chain, addresses: BTreeMap<MemberName, SocketAddr>) -> Self {
        Self(chain, Arc::new(addresses))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0.0
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
        let included: BTreeSet<Digest> = base
            .pending
            .iter()
            .flat_map(|block| block.digests.iter().copied())
            .collect();
        let candidates = inner.mempool().first(BLOCK_BYTES_MAX, &included);
        let applied = inner.applied();
        let view = base.view(inner);
        let context = view.context(height, time);
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
            match view.execute(&context, &chosen) {
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

    pub(super) fn apply(
        &self,
        executed: &Executed,
        certificate: Option<&FinalityCertificate>,
    ) -> Result<(), ApplyError> {
        let inner = self.inner();
        let format = executed.registry.format();
        if format > FORMAT_MAX {
            return Err(ApplyError::FormatUnknown(executed.header.height, format));
        }
        let mut applied = inner
            .applied
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let checkpoint = inner.checkpoints.due(&executed.header);
        inner
            .store
            .apply(executed, certificate, checkpoint.as_ref())?;
        *applied = Applied {
            tip: executed.tip(),
            registry: Arc::clone(&executed.registry),
        };
        inner.mempool().remove(&executed.digests);
        inner
            .pending()
            .retain(|_, block| block.header.height > executed.header.height);
        drop(applied);
        let entries = final_items(executed);
        if !entries.is_empty() {
            // Nobody may be listening.
            let _listeners = inner.entries.send(Arc::new(entries));
        }
        inner.tips.send_replace(executed.tip());
        inner.prune(&executed.tip())?;
        if let Some(checkpoint) = checkpoint {
            for early in
                inner
                    .checkpoints
                    .gather(executed.header.log_size, checkpoint, &executed.registry)
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
        let genesis = Block::genesis(&self.inner().genesis);
        wire(&genesis.header, genesis.body())
    }

    fn applied(&mut self) -> u64 {
        self.0.tip().height.0
    }

    fn joined(&mut self) -> Option<engine::FinalityCertificate> {
        let store = &self.inner().store;
        let found = store.joined().and_then(|joined| {
            let certificate = joined.map(|height| store.certificate(height)).transpose()?;
            Ok(certificate.flatten())
        });
        match found {
            Ok(certificate) => certificate.as_ref().map(certificate_for),
            Err(error) => {
                tracing::error!(%error, "where the chain was joined cannot be read");
                None
            }
        }
    }

    fn digest(&self, height: u64) -> Option<[u8; 32]> {
        let block = self.inner().store.block(Height(height)).ok()??;
        Some(block.header.digest().0)
    }

    fn kept_from(&self) -> u64 {
        // What cannot be read is kept.
        self.0.kept_from().map_or(0, |height| height.0)
    }

    fn committee(&self, epoch: u64) -> Option<Committee> {
        self.0.committee(Epoch(epoch), &self.1)
    }

    async fn propose(
        &mut self,
        parent: Arc<engine::Block>,
        ancestors: Ancestors,
        deadline: Deadline,
    ) -> Option<engine::Block> {
        let descent = self.descent(parent, ancestors).await.ok()?;
        let base = self.execute_all(descent).ok()?;
        // In a fixed order, for a random one would make simulations differ.
        tokio::select! {
            biased;
            () = self.something_to_order(&base) => (self.inner().timer)(GATHER).await,
            () = deadline => {}
        }
        let executed = self.build(&base)?;
        Some(wire(&executed.header, executed.body()))
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
        let judged = self.judge(Arc::clone(&block), parent, ancestors).await;
        match judged.or_else(|doubt| self.settle(&header, doubt)) {
            Ok(()) => true,
            Err(Doubt::Invalid(error)) => {
                tracing::warn!(height = block.height(), %error, "a proposed block is invalid");
                false
            }
            Err(doubt) => {
                if let Doubt::Unknown(error) = doubt {
                    tracing::error!(height = block.height(), %error, "a proposed block cannot be judged");
                }
                // No verdict, for `false` would be one for good: the view passes without this node's vote.
                std::future::pending().await
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
                    registry: self.0.registry(),
                };
                let executed = self.execute_on(&block, &base, &self.inner().applied());
                executed
                    .map_err(|error| match error {
                        ExecutionError::Store(error) => ApplyError::Store(error),
                        error => ApplyError::Invalid(next, error.to_string()),
                    })?
                    .1
            }
        };
        self.apply(&executed, certificate.as_ref())
    }

    fn gossip(&mut self, peer: [u8; 32], frame: Bytes) {
        gossip::receive(self.inner(), peer, &frame);
    }
}

impl Executed {
    /// Genesis: nothing follows from it.
    pub(super) fn genesis(block: &Block, registry: Arc<Registry>) -> Self {
        Self {
            digest: block.header.digest(),
            header: block.header.clone(),
            statements: Vec::new(),
            digests: BTreeSet::new(),
            log_size_before: 0,
            log: ledger::log::LogAppend::after(0),
            tags: BTreeMap::new(),
            state: None,
            changes: 0,
            registry,
            has_revised: false,
        }
    }
}

fn final_items(executed: &Executed) -> Vec<FinalItem> {
    let mut items = Vec::new();
    for (statement, pooled) in (executed.log_size_before..).zip(&executed.statements) {
        let decoded = &pooled.statement;
        items.extend((0..).zip(decoded.items()).map(|(item, entry)| FinalItem {
            member: decoded.member().clone(),
            item: *entry,
            position: Position { statement, item },
        }));
    }
    items
}

fn header_of(block: &engine::Block) -> Option<Header> {
    Header::decode(block.header()).ok()
}

pub(super) fn wire(header: &Header, body: Vec<u8>) -> engine::Block {
    engine::Block::new(
        header.height.0,
        header.parent.0,
        header.encode().into(),
        body.into(),
    )
}

fn certificate_for(certificate: &FinalityCertificate) -> engine::FinalityCertificate {
    let votes = certificate.votes.iter();
    engine::FinalityCertificate {
        epoch: certificate.epoch,
        view: certificate.view,
        parent_view: certificate.parent_view,
        payload: certificate.block.0,
        signers: votes.clone().map(|vote| vote.validator).collect(),
        signatures: votes.map(|vote| *vote.signature).collect(),
    }
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
