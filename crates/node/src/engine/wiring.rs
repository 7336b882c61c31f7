//! The actors of one node and what connects them.
//!
//! Generic over the runtime and the network, so that the same wiring runs under tokio and under
//! the deterministic runtime with its simulated network.

use super::{
    application::{Adapter, Application, automaton},
    archive,
    block::{Block, BlockRules},
    config::EngineConfig,
    consensus::Consensus,
    delivery,
    epochs::{Connected, Epochs},
    gossip,
    journals::{JournalError, Journals},
    schemes::Schemes,
    subchannels::Subchannels,
};
pub use super::{
    delivery::Halt,
    gossip::{Outbox, frames},
    identity::Identity,
    status::Status,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, core::Mailbox, resolver::p2p as backfill, standard::Standard},
    simplex::{self, scheme::ed25519::Scheme},
};
use commonware_cryptography::{
    Digested, Digestible as _, certificate::Scheme as _, ed25519::PublicKey,
    sha256::Digest as Sha256Digest,
};
use commonware_p2p::{AddressableManager, Blocker, Provider, Receiver, Sender, utils::mux};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::archive::Error as StorageError;
use commonware_utils::{NZDuration, NZU16, NZUsize};
use std::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};
use thiserror::Error;

pub(super) const MAILBOX: NonZeroUsize = NZUsize!(1024);
pub(super) const PAGE: NonZeroU16 = NZU16!(4096);
pub(super) const PAGES: NonZeroUsize = NZUsize!(1024);

/// Blocks not yet final that are kept in memory for each peer.
const BLOCKS_PER_PEER: usize = 8;
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const FETCH_RETRY: Duration = Duration::from_millis(50);

/// What the engine needs of a runtime.
pub trait Runtime: Spawner + Clock + Storage + Metrics + rand_core::CryptoRng {}

impl<E: Spawner + Clock + Storage + Metrics + rand_core::CryptoRng> Runtime for E {}

/// From where the archive of final blocks goes on.
type Begin = marshal::Start<Scheme, Sha256Digest, Digested<Block>>;

/// One sender and receiver for each kind of message.
#[derive(Debug)]
pub struct Channels<S, R> {
    /// Votes on proposals.
    pub votes: (S, R),
    /// Certificates that a quorum voted.
    pub certificates: (S, R),
    /// Requests for certificates.
    pub resolver: (S, R),
    /// Requests for blocks.
    pub backfill: (S, R),
    /// Proposed blocks.
    pub blocks: (S, R),
    /// The application's frames.
    pub gossip: (S, R),
}

/// A node's network: its channels, who may be blocked on them, and who is there.
#[derive(Debug)]
pub struct Links<S, R, B, P> {
    /// Channels to all peers.
    pub channels: Channels<S, R>,
    /// Shuts out peers that break the protocol.
    pub blocker: B,
    /// Is told the peers of each epoch, and tells them to who asks.
    pub peers: P,
}

/// Largest message of any channel.
pub fn max_message_bytes<A: Application>(config: &EngineConfig) -> u32 {
    let validators = u32::try_from(config.max_peers).unwrap_or(u32::MAX);
    commonware_p2p::max_message_size(&[
        mux::prefixed(max_consensus_bytes(config)),
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, &rules::<A>(config)),
        config.max_frame_bytes,
    ])
}

/// Largest message of consensus itself.
fn max_consensus_bytes(config: &EngineConfig) -> usize {
    let validators = u32::try_from(config.max_peers).unwrap_or(u32::MAX);
    simplex::max_payload_size::<Scheme, Sha256Digest>(validators)
}

/// Why the actors did not start.
#[derive(Debug, Error)]
pub enum WiringError {
    /// The archive of final blocks could not be opened.
    #[error("the archive of final blocks")]
    Archive(#[from] StorageError),
    /// What the application was begun from is not final by the validators of its epoch.
    #[error("the block from which the application was begun is not final")]
    Joined,
    /// The record of epochs could not be opened.
    #[error("the record of epochs")]
    Journals(#[from] JournalError),
}

/// The tasks of a running node.
#[expect(
    missing_debug_implementations,
    reason = "task handles have nothing to show"
)]
pub struct Actors<X: Send + 'static> {
    delivery: Handle<Halt<X>>,
    epochs: Handle<Option<Halt<X>>>,
    others: Vec<Handle<()>>,
}

impl<X: Send + 'static> Actors<X> {
    /// Waits until any task ends, which none does while all is well; `None` if it was an actor of
    /// the library.
    pub async fn ended(self) -> Option<Halt<X>> {
        let others = futures::future::select_all(self.others);
        tokio::select! {
            biased;
            halt = self.delivery => halt.ok(),
            halt = self.epochs => halt.ok().flatten(),
            _ = others => None,
        }
    }
}

/// Starts the actors of one node, whose files have names that start with `partition`.
///
/// # Panics
///
/// If the genesis block breaks the application's own rules of blocks, or is not the one with which
/// the directory was first used.
pub async fn start<E, A, S, R, B, P>(
    context: E,
    config: &EngineConfig,
    identity: &Identity,
    partition: &str,
    mut application: A,
    links: Links<S, R, B, P>,
    (outbox, status): (Outbox, Status),
) -> Result<Actors<A::Error>, WiringError>
where
    E: Runtime,
    A: Application + Sync,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
{
    let Links {
        channels,
        blocker,
        peers,
    } = links;
    let calendar = config.calendar();
    let rules = rules::<A>(config);
    let applied = application.applied();
    let cache = CacheRef::new(PAGE, PAGES);
    let schemes = Schemes::new(application.clone(), identity, &config.namespace);
    let (digest, begin) = begin(&mut application, rules, &schemes)?;

    let (broadcast, buffer) = buffered::Engine::new(
        context.child("blocks"),
        buffer(identity, rules, peers.clone()),
    );
    let resolver = backfill::init(
        context.child("backfill"),
        backfill_from(identity, blocker.clone(), peers.clone()),
        channels.backfill,
    );
    let provided = (schemes.clone(), calendar.epocher());
    let (marshal, mailbox) =
        archive::open(&context, partition, rules, begin, provided, &cache).await?;
    let journals = context.child("journals");
    let journals = Journals::open(journals, partition.to_owned(), calendar, applied).await?;
    let delivery = delivery::start(
        context.child("delivery"),
        (application.clone(), applied),
        mailbox.clone(),
        status.clone(),
    );
    let gossip = gossip::start(
        context.child("gossip"),
        config.max_frame_bytes,
        application.clone(),
        channels.gossip,
        (outbox, status.clone()),
    );
    let served = (&application, &mailbox);
    let consensus = consensus(&context, config, served, blocker, status, cache);
    let epochs = Epochs {
        context: context.child("epochs"),
        application,
        calendar,
        max_peers: config.max_peers,
        genesis: digest,
        schemes,
        marshal: mailbox,
        peers,
        consensus,
        delivered: delivery.delivered,
        connected: Connected::default(),
    };
    let subchannels = Subchannels::start(
        &context.child("subchannels"),
        max_consensus_bytes(config),
        (channels.votes, channels.certificates, channels.resolver),
    );
    Ok(Actors {
        epochs: epochs.start(journals, subchannels),
        delivery: delivery.task,
        others: vec![
            broadcast.start(channels.blocks),
            marshal.start(delivery.inbox, buffer, resolver),
            gossip,
        ],
    })
}

fn consensus<E, A, B>(
    context: &E,
    config: &EngineConfig,
    (application, marshal): (&A, &Mailbox<Scheme, Standard<Block>>),
    blocker: B,
    status: Status,
    cache: CacheRef,
) -> Consensus<E, A, B>
where
    E: Runtime,
    A: Application + Sync,
{
    let adapter = Adapter {
        application: application.clone(),
        rules: rules::<A>(config),
        block_interval: config.block_interval,
        status: status.clone(),
    };
    let epocher = config.calendar().epocher();
    let context = context.child("automaton");
    Consensus {
        automaton: automaton(context, adapter, marshal.clone(), epocher),
        status,
        blocker,
        timing: config.timing(),
        cache,
    }
}

/// Digest of the genesis block, and from where an archive that is empty goes on.
fn begin<A: Application>(
    application: &mut A,
    rules: BlockRules,
    schemes: &Schemes,
) -> Result<(Sha256Digest, Begin), WiringError> {
    let genesis = genesis(application, rules);
    let digest = genesis.digest();
    let Some(certificate) = application.joined() else {
        return Ok((digest, marshal::Start::Genesis(genesis)));
    };
    let finalization = schemes
        .of(certificate.epoch)
        .and_then(|scheme| certificate.finalization(scheme.participants().len()));
    let finalization = finalization.ok_or(WiringError::Joined)?;
    Ok((digest, marshal::Start::Floor(finalization)))
}

fn rules<A: Application>(config: &EngineConfig) -> BlockRules {
    BlockRules {
        max_bytes: config.max_block_bytes,
        binds: A::binds,
    }
}

fn genesis<A: Application>(application: &mut A, rules: BlockRules) -> Digested<Block> {
    let block = application.genesis();
    assert!(
        rules.accept(&block),
        "the genesis block breaks the rules of blocks"
    );
    let digest = Sha256Digest(block.digest());
    Digested::precomputed(block, digest)
}

fn buffer<P: Provider<PublicKey = PublicKey>>(
    identity: &Identity,
    rules: BlockRules,
    peers: P,
) -> buffered::Config<PublicKey, BlockRules, P, Sequential> {
    buffered::Config {
        public_key: identity.public_key(),
        mailbox_size: MAILBOX,
        deque_size: BLOCKS_PER_PEER,
        priority: false,
        codec_config: rules,
        peer_provider: peers,
        strategy: Sequential,
    }
}

fn backfill_from<B, P>(
    identity: &Identity,
    blocker: B,
    peers: P,
) -> backfill::Config<PublicKey, P, B>
where
    B: Blocker<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
{
    backfill::Config {
        public_key: identity.public_key(),
        peer_provider: peers,
        blocker,
        mailbox_size: MAILBOX,
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        priority_requests: false,
        priority_responses: false,
    }
}
