//! Hands final blocks to the application, one at a time.

use super::{
    application::Application, block::Block, certificate::FinalityCertificate,
    committee::CommitteeError, status::Status,
};
use commonware_actor::Feedback;
use commonware_consensus::{
    Heightable as _, Reporter,
    marshal::{Update, core::Mailbox, standard::Standard},
    simplex::scheme::ed25519::Scheme,
    types::Height,
};
use commonware_cryptography::Digested;
use commonware_runtime::{Handle, Spawner};
use commonware_utils::acknowledgement::{Acknowledgement as _, Exact};
use tokio::sync::{mpsc, watch};

/// Receives the stream of final blocks.
///
/// Unbounded in type only: no more blocks are sent than may await acknowledgement.
#[derive(Clone)]
pub(super) struct Inbox {
    blocks: mpsc::UnboundedSender<(Digested<Block>, Exact)>,
    status: Status,
}

impl Reporter for Inbox {
    type Activity = Update<Block>;

    fn report(&mut self, update: Self::Activity) -> Feedback {
        match update {
            Update::Tip(_, height, _) => {
                self.status.finalized(height.get());
                Feedback::Ok
            }
            Update::Block(block, acknowledgement) => {
                match self.blocks.send((block, acknowledgement)) {
                    Ok(()) => Feedback::Ok,
                    Err(_) => Feedback::Closed,
                }
            }
        }
    }
}

/// Why the engine cannot go on.
#[derive(Debug)]
pub enum Halt<X> {
    /// The application could not apply a final block.
    Application(X),
    /// The application, or the next epoch, asks for a block that is not stored.
    Missing(u64),
    /// An epoch has no usable committee.
    Committee(u64, CommitteeError),
    /// The engine's own storage failed.
    Storage(String),
}

/// The stream of final blocks, how far it was applied, and the task that does it.
pub(super) struct Started<X: Send + 'static> {
    pub(super) inbox: Inbox,
    pub(super) delivered: watch::Receiver<Option<u64>>,
    pub(super) task: Handle<Halt<X>>,
}

/// Blocks that may be removed together: the archive removes whole files.
const PRUNED_AT_ONCE: u64 = 64;

/// Starts the delivery to an application that has applied all blocks up to `applied`; the task ends
/// when it cannot go on, if it ends at all.
pub(super) fn start<E, A>(
    context: E,
    (mut application, applied): (A, u64),
    marshal: Mailbox<Scheme, Standard<Block>>,
    status: Status,
) -> Started<A::Error>
where
    E: Spawner,
    A: Application + Sync,
{
    let (blocks, mut incoming) = mpsc::unbounded_channel::<(Digested<Block>, Exact)>();
    let (height, delivered) = watch::channel(None);
    let inbox = Inbox {
        blocks,
        status: status.clone(),
    };
    let joined = application.joined().is_some();
    let mut delivery = Delivery {
        application,
        marshal,
        status,
        joined,
        pruned: 0,
    };
    let task = context.spawn(move |_| async move {
        match delivery.catch_up(applied).await {
            Ok(processed) => height.send_replace(Some(processed)),
            Err(halt) => return halt,
        };
        while let Some((block, acknowledgement)) = incoming.recv().await {
            let applied = block.height().get();
            if let Err(error) = delivery.apply(block).await {
                return Halt::Application(error);
            }
            acknowledgement.acknowledge();
            delivery.prune(applied);
            height.send_replace(Some(applied));
        }
        // The sender lives as long as the engine, which aborts this task when it ends.
        std::future::pending().await
    });
    Started {
        inbox,
        delivered,
        task,
    }
}

struct Delivery<A> {
    application: A,
    marshal: Mailbox<Scheme, Standard<Block>>,
    status: Status,
    joined: bool,
    /// Below this height blocks were removed since the start.
    pruned: u64,
}

impl<A: Application> Delivery<A> {
    /// Gives the application what it acknowledged once and does not have any more; the height up
    /// to which all was acknowledged.
    async fn catch_up(&mut self, applied: u64) -> Result<u64, Halt<A::Error>> {
        self.status.applied(applied);
        let processed = self.marshal.get_processed().await;
        let processed = match processed {
            Some(processed) => processed.height().get(),
            // It has yet to fetch the block from which the application was begun.
            None if self.joined => return Ok(applied),
            None => 0,
        };
        for height in applied + 1..=processed {
            let block = self.marshal.get_block(Height::new(height)).await;
            let block = block.ok_or(Halt::Missing(height))?;
            self.apply(block).await.map_err(Halt::Application)?;
        }
        // The block before the one from which the application was begun counts as processed.
        Ok(if self.joined {
            processed.max(applied)
        } else {
            processed
        })
    }

    /// Removes what the application lets go; the last block that was applied stays in any case.
    fn prune(&mut self, applied: u64) {
        let kept_from = self.application.kept_from().min(applied.saturating_sub(1));
        if kept_from >= self.pruned.saturating_add(PRUNED_AT_ONCE) {
            self.marshal.prune(Height::new(kept_from));
            self.pruned = kept_from;
        }
    }

    async fn apply(&mut self, block: Digested<Block>) -> Result<(), A::Error> {
        let height = block.height();
        if height.is_zero() {
            return Ok(());
        }
        let certificate = self.marshal.get_finalization(height).await;
        let certificate = certificate.as_ref().map(FinalityCertificate::from);
        self.application
            .finalized(block.inner_shared(), certificate)
            .await?;
        self.status.applied(height.get());
        Ok(())
    }
}
