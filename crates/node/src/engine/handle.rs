//! Runs the engine on a thread of its own, with a runtime of its own.

use super::{
    application::Application,
    committee::CommitteeError,
    config::{ConfigError, EngineConfig},
    gossip::{self, Gossip, Outbox},
    inspect, network,
    status::{EngineStatus, Status},
    wiring::{self, Halt, Identity},
};
use ::tokio::sync::{oneshot, watch};
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio};
use std::{
    any::Any,
    fs::{self, File, TryLockError},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};
use thiserror::Error;

/// How long actors get to write down what they have before they are cut off.
const GRACE: Duration = Duration::from_secs(5);

/// Consensus for one node.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Checks the settings and starts a node on its own thread and runtime.
    ///
    /// The same directory continues where it was left, by whatever end.
    pub fn start<A>(config: EngineConfig, application: A) -> Result<EngineHandle, StartError>
    where
        A: Application + Sync,
    {
        let identity = Identity::of(&config)?;
        let lock = lock(&config.directory)?;
        let status = Status::default();
        let (gossip, outbox) = gossip::frames(&config);
        let (stop, stopped) = oneshot::channel();
        let (ended, outcome) = watch::channel(None);
        let shared = status.clone();
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let run = || run(config, &identity, application, outbox, shared, stopped);
                let result = catch_unwind(AssertUnwindSafe(run))
                    .unwrap_or_else(|panic| Err(EngineError::Panicked(message(&*panic))));
                drop(lock);
                ended.send_replace(Some(result));
            })
            .map_err(StartError::Thread)?;
        Ok(EngineHandle {
            status,
            gossip,
            stop: Some(stop),
            outcome,
        })
    }
}

/// A running node; dropping it stops the engine without waiting.
#[derive(Debug)]
pub struct EngineHandle {
    status: Status,
    gossip: Gossip,
    stop: Option<oneshot::Sender<()>>,
    outcome: watch::Receiver<Option<Result<(), EngineError>>>,
}

impl EngineHandle {
    /// What the engine is doing now.
    pub fn status(&self) -> EngineStatus {
        self.status.read()
    }

    /// The status as it changes.
    pub(crate) fn shared_status(&self) -> Status {
        self.status.clone()
    }

    /// A sender of gossip frames.
    pub fn gossip(&self) -> Gossip {
        self.gossip.clone()
    }

    /// Waits until the engine has ended: with `Ok` after a stop, with the reason otherwise.
    pub fn ended(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        let mut outcome = self.outcome.clone();
        async move {
            match outcome.wait_for(Option::is_some).await {
                Ok(result) => result.clone().unwrap_or(Ok(())),
                Err(_) => Err(EngineError::Panicked(
                    "the engine's thread vanished".to_owned(),
                )),
            }
        }
    }

    /// Stops the engine, and returns when its last task has ended and its directory is free.
    pub async fn stop(mut self) -> Result<(), EngineError> {
        if let Some(stop) = self.stop.take() {
            // The engine may have ended on its own, which `ended` will tell.
            let _sent = stop.send(());
        }
        self.ended().await
    }
}

fn run<A: Application + Sync>(
    config: EngineConfig,
    identity: &Identity,
    application: A,
    outbox: Outbox,
    status: Status,
    stopped: oneshot::Receiver<()>,
) -> Result<(), EngineError> {
    let settings = tokio::Config::new()
        .with_worker_threads(config.worker_threads)
        .with_storage_directory(config.directory.join("consensus"));
    tokio::Runner::new(settings).start(|context| async move {
        let storage = config.directory.join("consensus");
        match inspect::votes(&context, &storage, &mut 0).await {
            Ok(None) => {}
            Ok(Some(file)) => return Err(EngineError::VotesDamaged(file)),
            Err(error) => return Err(EngineError::VotesDamaged(error.to_string())),
        }
        let (links, network) = network::open::<A>(&context, &config, identity);
        let actors = wiring::start(
            context.child("engine"),
            &config,
            identity,
            "engine",
            application,
            links,
            (outbox, status),
        )
        .await
        .map_err(|error| EngineError::Storage(with_source(&error)))?;
        ::tokio::select! {
            _ = stopped => {
                if context.stop(0, Some(GRACE)).await.is_err() {
                    tracing::warn!("the engine did not stop in time and was cut off");
                }
                Ok(())
            }
            halt = actors.ended() => Err(match halt {
                Some(Halt::Application(error)) => EngineError::Application(error.to_string()),
                Some(Halt::Missing(height)) => EngineError::HistoryMissing(height),
                Some(Halt::Committee(epoch, error)) => EngineError::Committee(epoch, error),
                Some(Halt::Storage(error)) => EngineError::Storage(error),
                None => EngineError::ActorEnded,
            }),
            _ = network => Err(EngineError::ActorEnded),
        }
    })
}

/// The library would wait for another engine to leave the directory; to fail is clearer.
fn lock(directory: &Path) -> Result<File, StartError> {
    fs::create_dir_all(directory).map_err(StartError::Directory)?;
    let lock = File::create(directory.join("lock")).map_err(StartError::Directory)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::DirectoryInUse,
        TryLockError::Error(error) => StartError::Directory(error),
    })?;
    Ok(lock)
}

fn with_source(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

/// Why the engine did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory cannot be written.
    #[error("the engine's directory cannot be used")]
    Directory(#[source] std::io::Error),
    /// Another engine, of this or another process, uses the directory.
    #[error("the engine's directory is in use")]
    DirectoryInUse,
    /// The system gave no thread.
    #[error("no thread for the engine")]
    Thread(#[source] std::io::Error),
}

/// Why the engine ended without being asked to.
///
/// None of these is to be retried blindly: the node stops before it can do harm.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// The application could not apply a final block.
    #[error("the application failed: {0}")]
    Application(String),
    /// A final block is needed that is not stored any more.
    #[error("block {0} is not stored any more")]
    HistoryMissing(u64),
    /// The application names validators with which an epoch cannot run.
    #[error("the committee of epoch {0}: {1}")]
    Committee(u64, CommitteeError),
    /// The engine's own storage failed.
    #[error("the engine's storage failed ({0}): stop the node and run `careledger verify --self`")]
    Storage(String),
    /// The record of votes is not what was written: to go on might be to contradict it.
    #[error("the record of votes is damaged ({0}): run `careledger verify --self --repair`")]
    VotesDamaged(String),
    /// An actor ended though nothing asked it to.
    #[error("a part of the engine ended")]
    ActorEnded,
    /// The library found its storage, its network or an invariant broken.
    #[error("the engine failed: {0}")]
    Panicked(String),
}
