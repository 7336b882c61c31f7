//! The thread that talks to the server, and how others wait for it.
//!
//! Custody's reads are plain calls, often from asynchronous code. The connections live on a runtime of their own, in
//! one thread; a caller waits on a channel, which can neither starve that runtime nor nest in another one. On a worker of
//! a runtime with several threads the caller says that it blocks, so that its other tasks move on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::custody::store::Failure;

/// The thread with the connections; it ends with this.
pub(super) struct Driver {
    runtime: Handle,
    was_lost: Arc<AtomicBool>,
    /// What tells the thread, by going, that it is over.
    _alive: oneshot::Sender<()>,
}

/// What the server will answer.
pub(super) struct Answer<T>(mpsc::Receiver<Result<T, Failure>>);

impl Driver {
    pub(super) fn start() -> Result<Self, Failure> {
        let refused = |error: std::io::Error| Failure::Refused(error.to_string());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(refused)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("custody-database".to_owned())
            .spawn(move || {
                // Nobody sends: it is over when the other half is gone.
                let _ended = runtime.block_on(ended);
            })
            .map_err(refused)?;
        Ok(Self {
            runtime: handle,
            was_lost: Arc::default(),
            _alive: alive,
        })
    }

    /// Lets the server work; after `patience` it counts as gone.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let was_lost = Arc::clone(&self.was_lost);
        self.runtime.spawn(async move {
            let late = || Failure::Lost(format!("no answer within {patience:?}"));
            let outcome = tokio::time::timeout(patience, work).await;
            let outcome = outcome.unwrap_or_else(|_| Err(late()));
            if matches!(outcome, Err(Failure::Lost(_))) {
                was_lost.store(true, Ordering::Relaxed);
            }
            // A caller that went away needs no answer.
            drop(answer.send(outcome));
        });
        Answer(answered)
    }

    /// Lets the server work and waits for it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        self.begin(patience, work).wait()
    }

    /// Whether something was asked that the server did not answer.
    pub(super) fn was_lost(&self) -> bool {
        self.was_lost.load(Ordering::Relaxed)
    }

    /// Does what nobody waits for.
    pub(super) fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }
}

impl<T> Answer<T> {
    pub(super) fn wait(self) -> Result<T, Failure> {
        let is_worker = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let answered = if is_worker {
            tokio::task::block_in_place(|| self.0.recv())
        } else {
            self.0.recv()
        };
        answered.unwrap_or_else(|_| Err(Failure::Lost("its thread has ended".to_owned())))
    }
}
