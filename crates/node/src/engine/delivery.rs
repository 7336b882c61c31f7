//! Hands final blocks to the application, one at a time.

use super::{
    application::Application, block::Block, certificate::FinalityCertificate, status::Status,
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
use tokio::sync::mpsc;

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

/// Why the delivery ended.
#[derive(Debug)]
pub enum Halt<X> {
    /// The application could not apply a final block.
    Application(X),
    /// The application asks for a block again that is no longer stored.
    Missing(u64),
}

/// Starts the delivery; the task ends when it cannot go on, if it ends at all.
pub(super) fn start<E, A>(
    context: E,
    application: A,
    marshal: Mailbox<Scheme, Standard<Block>>,
    status: Status,
) -> (Inbox, Handle<Halt<A::Error>>)
where
    E: Spawner,
    A: Application + Sync,
{
    let (blocks, mut incoming) = mpsc::unbounded_channel::<(Digested<Block>, Exact)>();
    let inbox = Inbox {
        blocks,
        status: status.clone(),
    };
    let mut delivery = Delivery {
        application,
        marshal,
        status,
    };
    let task = context.spawn(move |_| async move {
        if let Err(halt) = delivery.catch_up().await {
            return halt;
        }
        while let Some((block, acknowledgement)) = incoming.recv().await {
            if let Err(error) = delivery.apply(block).await {
                return Halt::Application(error);
            }
            acknowledgement.acknowledge();
        }
        // The sender lives as long as the engine, which aborts this task when it ends.
        std::future::pending().await
    });
    (inbox, task)
}

struct Delivery<A> {
    application: A,
    marshal: Mailbox<Scheme, Standard<Block>>,
    status: Status,
}

impl<A: Application> Delivery<A> {
    /// Gives the application what it acknowledged once and does not have any more.
    async fn catch_up(&mut self) -> Result<(), Halt<A::Error>> {
        let applied = self.application.applied();
        self.status.applied(applied);
        let processed = self.marshal.get_processed().await;
        let processed = processed.map_or(0, |processed| processed.height().get());
        for height in applied + 1..=processed {
            let block = self.marshal.get_block(Height::new(height)).await;
            let block = block.ok_or(Halt::Missing(height))?;
            self.apply(block).await.map_err(Halt::Application)?;
        }
        Ok(())
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
