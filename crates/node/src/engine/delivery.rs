//! Hands final blocks to the application, one at a time.

use super::{
    application::Application, block::Block, certificate::FinalityCertificate, status::Status,
};
use commonware_actor::Feedback;
use commonware_consensus::{
    Heightable as _, Reporter,
    marshal::{Update, core::Mailbox, standard::Standard},
    simplex::scheme::ed25519::Scheme,
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

/// Starts the delivery; the task ends with the application's error, if it ends at all.
pub(super) fn start<E, A>(
    context: E,
    mut application: A,
    marshal: Mailbox<Scheme, Standard<Block>>,
    status: Status,
) -> (Inbox, Handle<A::Error>)
where
    E: Spawner,
    A: Application,
{
    let (blocks, mut incoming) = mpsc::unbounded_channel::<(Digested<Block>, Exact)>();
    let inbox = Inbox {
        blocks,
        status: status.clone(),
    };
    let task = context.spawn(move |_| async move {
        while let Some((block, acknowledgement)) = incoming.recv().await {
            let height = block.height();
            let certificate = marshal.get_finalization(height).await;
            let certificate = certificate.as_ref().map(FinalityCertificate::from);
            if let Err(error) = application
                .finalized(block.inner_shared(), certificate)
                .await
            {
                return error;
            }
            acknowledgement.acknowledge();
            status.applied(height.get());
        }
        // The sender lives as long as the engine, which aborts this task when it ends.
        std::future::pending().await
    });
    (inbox, task)
}
