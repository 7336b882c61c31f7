//! Runs consensus epoch by epoch, each with its own validators.
//!
//! An epoch ends with its last block: when the application has applied that one, it knows who
//! validates next. A node that hears of a later epoch asks for the final block of its own, and so
//! comes up to date one epoch after the other.

use super::{
    application::Application,
    block::Block,
    calendar::Calendar,
    committee::{Committee, CommitteeError},
    consensus::{Consensus, Term},
    delivery::Halt,
    journals::{JournalError, Journals},
    schemes::Schemes,
    subchannels::Subchannels,
    wiring::Runtime,
};
use commonware_consensus::{
    marshal::{core::Mailbox, standard::Standard},
    simplex::scheme::ed25519::Scheme,
    types::Height,
};
use commonware_cryptography::{
    Digestible as _, ed25519::PublicKey, sha256::Digest as Sha256Digest,
};
use commonware_p2p::{AddressableManager, Blocker, Sender};
use commonware_runtime::Handle;
use commonware_utils::vec::NonEmptyVec;
use tokio::sync::watch;

/// The actor; one epoch runs at a time.
pub(super) struct Epochs<E, A, B, P>
where
    E: Runtime,
    A: Application + Sync,
{
    pub(super) context: E,
    pub(super) application: A,
    pub(super) calendar: Calendar,
    pub(super) max_peers: usize,
    pub(super) genesis: Sha256Digest,
    pub(super) schemes: Schemes,
    pub(super) marshal: Mailbox<Scheme, Standard<Block>>,
    pub(super) peers: P,
    pub(super) consensus: Consensus<E, A, B>,
    /// Height of the last block that is applied; `None` until the application has what it lost.
    pub(super) delivered: watch::Receiver<Option<u64>>,
    pub(super) connected: Connected,
}

/// Whom the network was told to connect to last.
#[derive(Default)]
pub(super) struct Connected {
    /// How often it was told.
    times: u64,
    committee: Option<Committee>,
}

/// An epoch with its engine, which ends with this value.
struct Running {
    epoch: u64,
    task: Handle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why the actor ended; `None` if a part of the library did.
type End<X> = Option<Halt<X>>;

impl<E, A, B, P> Epochs<E, A, B, P>
where
    E: Runtime,
    A: Application + Sync,
    B: Blocker<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
{
    /// Starts with the epoch of the block after the last one that was applied.
    pub(super) fn start<S>(
        mut self,
        journals: Journals<E>,
        mut channels: Subchannels<S>,
    ) -> Handle<End<A::Error>>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let context = self.context.child("actor");
        context.spawn(move |_| async move {
            let Err(end) = self.run(journals, &mut channels).await;
            end
        })
    }

    async fn run<S>(
        &mut self,
        mut journals: Journals<E>,
        channels: &mut Subchannels<S>,
    ) -> Result<std::convert::Infallible, End<A::Error>>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let mut height = self.delivered_from(0).await.ok_or(None)?;
        self.connect_to_those_before(height)?;
        loop {
            let epoch = self.calendar.epoch_after(height);
            let running;
            (journals, running) = self.enter(epoch, journals, channels).await?;
            height = self.follow(running, channels).await?;
        }
    }

    /// Waits until the application has applied the block at `height`.
    async fn delivered_from(&mut self, height: u64) -> Option<u64> {
        let reached = |now: &Option<u64>| now.is_some_and(|now| now >= height);
        *self.delivered.wait_for(reached).await.ok()?
    }

    /// Validators of the last epoch may still need the block that ended it.
    fn connect_to_those_before(&mut self, height: u64) -> Result<(), End<A::Error>> {
        match self.calendar.epoch_after(height).checked_sub(1) {
            Some(before) => self.connect(before),
            None => Ok(()),
        }
    }

    /// Has the network connect to who takes part in `epoch`, if it does not already.
    fn connect(&mut self, epoch: u64) -> Result<(), End<A::Error>> {
        let committee = self.application.committee(epoch);
        if committee.is_some() && committee == self.connected.committee {
            return Ok(());
        }
        let peers = match &committee {
            Some(committee) => committee.peers(self.max_peers),
            None => Err(CommitteeError::Unknown),
        };
        let peers = peers.map_err(|error| Some(Halt::Committee(epoch, error)))?;
        self.peers.track(self.connected.times, peers);
        self.connected.times += 1;
        self.connected.committee = committee;
        Ok(())
    }

    async fn enter<S>(
        &mut self,
        epoch: u64,
        journals: Journals<E>,
        channels: &mut Subchannels<S>,
    ) -> Result<(Journals<E>, Running), End<A::Error>>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let unknown = Some(Halt::Committee(epoch, CommitteeError::Unknown));
        let root = self.root(epoch).await?;
        self.connect(epoch)?;
        let (journals, may_vote) = record(journals, epoch)
            .await
            .map_err(|error| Some(Halt::Storage(format!("the record of epochs: {error}"))))?;
        let scheme = if may_vote {
            self.schemes.of(epoch).map(|scheme| (*scheme).clone())
        } else {
            self.schemes.observer(epoch)
        };
        let term = Term {
            epoch,
            scheme: scheme.ok_or(unknown)?,
            root,
            partition: journals.name(epoch),
        };
        let parts = channels.open(epoch).await.map_err(|_| None)?;
        self.consensus.status.entered(epoch);
        tracing::info!(epoch, "a new epoch of consensus");
        let context = self
            .context
            .child("consensus")
            .with_attribute("epoch", epoch);
        let engine = self.consensus.engine(context, term);
        let task = engine.start(parts.votes, parts.certificates, parts.resolver);
        Ok((journals, Running { epoch, task }))
    }

    /// Digest of the block that `epoch` builds on.
    async fn root(&mut self, epoch: u64) -> Result<Sha256Digest, End<A::Error>> {
        let height = self.calendar.root(epoch);
        if height == 0 {
            return Ok(self.genesis);
        }
        if let Some(digest) = self.application.digest(height) {
            return Ok(Sha256Digest(digest));
        }
        let block = self.marshal.get_block(Height::new(height)).await;
        Ok(block.ok_or(Some(Halt::Missing(height)))?.digest())
    }

    /// Lets the epoch run until its last block is applied; the height that then is.
    ///
    /// Followers come and go, and move, within an epoch.
    async fn follow<S>(
        &mut self,
        mut running: Running,
        channels: &mut Subchannels<S>,
    ) -> Result<u64, End<A::Error>>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let epoch = running.epoch;
        let last = self.calendar.last(epoch);
        loop {
            let applied = *self.delivered.borrow_and_update();
            if let Some(height) = applied.filter(|height| *height >= last) {
                return Ok(height);
            }
            self.connect(epoch)?;
            // In a fixed order, for a random one would make simulations differ.
            tokio::select! {
                biased;
                changed = self.delivered.changed() => changed.map_err(|_| None)?,
                later = channels.later(epoch) => {
                    let (theirs, peer) = later.ok_or(None)?;
                    tracing::debug!(epoch, theirs, "a peer is in a later epoch");
                    let hint = NonEmptyVec::new(peer);
                    self.marshal.hint_finalized(Height::new(last), hint);
                }
                _ = &mut running.task => return Err(None),
            }
        }
    }
}

/// Notes that `epoch` is entered, and forgets the votes of those before the one before it.
async fn record<E: Runtime>(
    journals: Journals<E>,
    epoch: u64,
) -> Result<(Journals<E>, bool), JournalError> {
    let (journals, may_vote) = journals.enter(epoch).await?;
    let journals = journals.forget(epoch.saturating_sub(1)).await?;
    Ok((journals, may_vote))
}
