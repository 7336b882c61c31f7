//! The application that consensus serves, and its adapter to the library.
//!
//! The library calls these of its interfaces ALPHA: `Application`, `Inline` and ancestry streams.
//! They are named in this file only.

use super::{
    block::{Block, BlockRules},
    certificate::FinalityCertificate,
    committee::Committee,
    status::Status,
};
use bytes::Bytes;
use commonware_consensus::{
    Application as ConsensusApplication,
    marshal::{
        ancestry::{Ancestry, BoxedAncestry},
        core::Mailbox,
        standard::{Inline, Standard},
    },
    simplex::{scheme::ed25519::Scheme, types::Context},
    types::FixedEpocher,
};
use commonware_cryptography::{Digested, ed25519::PublicKey, sha256::Digest as Sha256Digest};
use commonware_runtime::{Clock, Metrics, Spawner};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use std::{fmt, sync::Arc, time::Duration};

/// The ledger as consensus sees it.
///
/// Calls come from several tasks at once, on clones. Futures of `propose` and `verify` may be
/// dropped at any await when consensus moves on, so they must leave nothing half done.
pub trait Application: Clone + Send + 'static {
    /// Why a final block could not be applied.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Whether the header states this height and parent and commits to this body.
    ///
    /// Validators vote on the header's digest alone, so this is what keeps a peer from passing on
    /// another body under a final header. Pure, and cheap enough to run on each block that is
    /// decoded, from the network or from disk.
    fn binds(block: &Block) -> bool;

    /// The block at height zero, the same on all validators and at each start.
    fn genesis(&mut self) -> Block;

    /// Height of the last block that was applied durably; zero for genesis alone.
    ///
    /// Asked once, at the start: blocks that consensus knows to be final and the application has
    /// lost, with its storage or from an older backup of it, are delivered again from there.
    fn applied(&mut self) -> u64;

    /// What makes the block final from which the application was begun, if it was not begun from genesis.
    ///
    /// Asked at the start, twice. Blocks before that one are neither fetched nor delivered; it is itself, again. The
    /// certificate has to be valid, and its epoch one for which [`committee`](Self::committee) answers.
    fn joined(&mut self) -> Option<FinalityCertificate> {
        None
    }

    /// Digest of the final block at `height`, if the application knows it: the engine may have removed the block.
    fn digest(&self, _height: u64) -> Option<[u8; 32]> {
        None
    }

    /// From which height on final blocks are kept for others; the engine removes older ones as it can.
    fn kept_from(&self) -> u64 {
        0
    }

    /// Who takes part in `epoch`, in which the blocks from `epoch * epoch_blocks` on are agreed.
    ///
    /// `Some` for epoch zero and for each epoch whose preceding block is applied here, `None`
    /// before. Once named, the keys of an epoch stay for ever; addresses may change.
    fn committee(&self, epoch: u64) -> Option<Committee>;

    /// Builds the child of `parent`, which need not be final yet.
    ///
    /// With something to propose, return at once; with nothing, wait for something or for
    /// `deadline`, then return an empty block. `None` gives the turn up: the next proposer follows
    /// at once if this is rare, and after a timeout otherwise. Not called while the application is
    /// far behind its peers. `ancestors` yields the parent of `parent` first.
    fn propose(
        &mut self,
        parent: Arc<Block>,
        ancestors: Ancestors,
        deadline: Deadline,
    ) -> impl Future<Output = Option<Block>> + Send;

    /// Whether `block` is valid as a child of `parent`, which need not be final yet.
    ///
    /// Height and parent digest match already. All validators must come to the same answer:
    /// return `false` only for what can never become valid, and keep waiting while time may heal
    /// it, as with a block time a little ahead of this node's clock. `ancestors` yields the parent
    /// of `parent` first.
    fn verify(
        &mut self,
        block: Arc<Block>,
        parent: Arc<Block>,
        ancestors: Ancestors,
    ) -> impl Future<Output = bool> + Send;

    /// Takes a final block, and returns once it is applied durably.
    ///
    /// Blocks come one at a time, from height one, in the order of their heights, without gaps, at
    /// least once: after a restart the last ones may come again. An error stops the engine.
    ///
    /// `certificate` is `None` where the block became final through a descendant: then a later call
    /// brings a certificate, and the proof of this block is the chain of headers up to that one.
    fn finalized(
        &mut self,
        block: Arc<Block>,
        certificate: Option<FinalityCertificate>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes a gossip frame from the peer with the public key `from`; must not block.
    fn gossip(&mut self, from: [u8; 32], frame: Bytes);
}

/// Resolves when an idle proposer should wait no longer.
pub type Deadline = BoxFuture<'static, ()>;

/// Ancestors of a block, newest first, back to genesis.
///
/// The application knows its state at some of them (the last applied block at the latest) and
/// stops there; blocks are loaded as they are asked for.
pub struct Ancestors(BoxedAncestry<Block>);

impl Ancestors {
    /// The next older block; `None` after genesis, or when the engine is stopping.
    pub async fn next(&mut self) -> Option<Arc<Block>> {
        self.0.next().await.map(|block| block.inner_shared())
    }
}

impl fmt::Debug for Ancestors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ancestors").finish_non_exhaustive()
    }
}

/// What consensus drives: it fetches blocks and parents, then asks the application.
///
/// `Inline` asks before the vote to notarize. `Deferred` would ask later and save the execution
/// time from the first vote, but needs the consensus context inside the block.
pub(super) type Automaton<E, A> = Inline<E, Scheme, Adapter<A>, Block, FixedEpocher>;

pub(super) fn automaton<E, A>(
    context: E,
    adapter: Adapter<A>,
    marshal: Mailbox<Scheme, Standard<Block>>,
    epocher: FixedEpocher,
) -> Automaton<E, A>
where
    E: Spawner + Metrics + Clock,
    A: Application + Sync,
{
    Inline::new(context, adapter, marshal, epocher)
}

/// How far the parent may be above the last applied block for this node to build on it.
///
/// A node further behind would spend its turn on fetching ancestors; to give the turn up costs
/// the others milliseconds. It also slows consensus down to what applications can apply.
const CATCHING_UP: u64 = 32;

/// Final blocks that may wait to be applied while this node judges one above them.
///
/// To judge it, the application executes all blocks between: what is final is executed anyway when it is applied, one
/// block at a time, and would otherwise be so twice, with all of it in memory at once.
const UNAPPLIED_MAX: u64 = 8;
/// Between two looks at how many are applied.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct Adapter<A> {
    pub(super) application: A,
    pub(super) rules: BlockRules,
    pub(super) block_interval: Duration,
    pub(super) status: Status,
}

impl<A> Adapter<A> {
    fn is_behind(&self, parent: &Block) -> bool {
        parent
            .height()
            .saturating_sub(self.status.read().applied_height)
            > CATCHING_UP
    }

    /// A block that other validators would refuse must not leave this node.
    fn checked(&self, parent: &Block, block: Block) -> Option<Digested<Block>> {
        let fits = parent.height().checked_add(1) == Some(block.height())
            && block.parent() == parent.digest()
            && self.rules.accept(&block);
        if !fits {
            tracing::error!(
                height = block.height(),
                "the application built an unusable block"
            );
            return None;
        }
        let digest = block.digest();
        Some(Digested::precomputed(block, Sha256Digest(digest)))
    }
}

impl<E, A> ConsensusApplication<E> for Adapter<A>
where
    E: Clock,
    A: Application + Sync,
{
    type SigningScheme = Scheme;
    type Context = Context<Sha256Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, _): (E, Self::Context),
        mut ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        let parent = ancestry.next().await?.inner_shared();
        if self.is_behind(&parent) {
            return None;
        }
        let deadline = clock.sleep(self.block_interval).boxed();
        let ancestors = Ancestors(BoxedAncestry::new(ancestry));
        let block = self
            .application
            .propose(Arc::clone(&parent), ancestors, deadline)
            .await?;
        self.checked(&parent, block)
    }

    async fn verify(
        &mut self,
        (clock, _): (E, Self::Context),
        mut ancestry: impl Ancestry<Block>,
    ) -> bool {
        until_nearly_applied(&self.status, &clock).await;
        let (Some(block), Some(parent)) = (ancestry.next().await, ancestry.next().await) else {
            // The engine is stopping: no verdict, for `false` would be a verdict.
            return std::future::pending().await;
        };
        let ancestors = Ancestors(BoxedAncestry::new(ancestry));
        self.application
            .verify(block.inner_shared(), parent.inner_shared(), ancestors)
            .await
    }
}

/// Waits until nearly all blocks are applied that are known to be final: they will be, whatever this node votes.
async fn until_nearly_applied(status: &Status, clock: &impl Clock) {
    while status.read().unapplied() > UNAPPLIED_MAX {
        clock.sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, deterministic};

    #[test]
    fn a_block_is_judged_when_nearly_all_final_ones_are_applied() {
        deterministic::Runner::default().start(|clock| async move {
            let status = Status::default();
            until_nearly_applied(&status, &clock).await;
            status.finalized(100);
            let mut waiting = Box::pin(until_nearly_applied(&status, &clock));
            for applied in [0, 50, 100 - UNAPPLIED_MAX - 1] {
                status.applied(applied);
                let mut later = Box::pin(clock.sleep(LOOK_AGAIN * 3));
                let is_over = tokio::select! {
                    () = &mut waiting => true,
                    () = &mut later => false,
                };
                assert!(!is_over, "{applied}");
            }
            status.applied(100 - UNAPPLIED_MAX);
            waiting.await;
        });
    }
}
