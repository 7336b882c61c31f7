//! The actors of one validator and what connects them.
//!
//! Generic over the runtime and the network, so that the same wiring runs under tokio and under
//! the deterministic runtime with its simulated network.

use super::{
    application::{Adapter, Application, Automaton, automaton},
    archive::{self, REPLAY_BUFFER, WRITE_BUFFER},
    block::{Block, BlockRules},
    config::EngineConfig,
    delivery, gossip,
};
pub use super::{
    delivery::Halt,
    gossip::{Outbox, frames},
    identity::Identity,
    status::Status,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    Reporters,
    marshal::{self, resolver::p2p as backfill, standard::Standard},
    simplex::{
        self, Floor, ForwardPolicy, SkipBudget, SkipPolicy, elector::RoundRobin,
        scheme::ed25519::Scheme,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Sha256, ed25519::PublicKey, sha256::Digest as Sha256Digest,
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::archive::Error as StorageError;
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize};
use std::{
    num::{NonZeroU16, NonZeroU64, NonZeroUsize},
    time::Duration,
};

/// There is one validator set, so there is one epoch, without end.
const EPOCH: Epoch = Epoch::zero();
pub(super) const EPOCH_LENGTH: NonZeroU64 = NZU64!(u64::MAX);

const MAILBOX: NonZeroUsize = NZUsize!(1024);
const PAGE: NonZeroU16 = NZU16!(4096);
const PAGES: NonZeroUsize = NZUsize!(1024);

/// Views that consensus remembers behind the last final one.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(32);
/// Blocks not yet final that are kept in memory for each peer.
const BLOCKS_PER_PEER: usize = 8;
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
const FETCH_RETRY: Duration = Duration::from_millis(50);

/// What the engine needs of a runtime.
pub trait Runtime: Spawner + Clock + Storage + Metrics + rand_core::CryptoRng {}

impl<E: Spawner + Clock + Storage + Metrics + rand_core::CryptoRng> Runtime for E {}

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

/// A validator's network: its channels, who may be blocked on them, and who is there.
#[derive(Debug)]
pub struct Links<S, R, B, P> {
    /// Channels to all peers.
    pub channels: Channels<S, R>,
    /// Shuts out peers that break the protocol.
    pub blocker: B,
    /// Knows the set of peers.
    pub peers: P,
}

/// Largest message of any channel.
pub fn max_message_bytes<A: Application>(config: &EngineConfig) -> u32 {
    let validators = u32::try_from(config.validators.len()).unwrap_or(u32::MAX);
    commonware_p2p::max_message_size(&[
        simplex::max_payload_size::<Scheme, Sha256Digest>(validators),
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, &rules::<A>(config)),
        config.max_frame_bytes,
    ])
}

/// The tasks of a running validator.
#[expect(
    missing_debug_implementations,
    reason = "task handles have nothing to show"
)]
pub struct Actors<X: Send + 'static> {
    delivery: Handle<Halt<X>>,
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
            _ = others => None,
        }
    }
}

/// Starts the actors of one validator, whose files have names that start with `partition`.
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
) -> Result<Actors<A::Error>, StorageError>
where
    E: Runtime,
    A: Application + Sync,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
{
    let Links {
        channels,
        blocker,
        peers,
    } = links;
    let rules = rules::<A>(config);
    let genesis = genesis(&mut application, rules);
    let digest = genesis.digest();
    let cache = CacheRef::new(PAGE, PAGES);

    let (broadcast, buffer) = buffered::Engine::new(
        context.child("blocks"),
        buffer(identity, rules, peers.clone()),
    );
    let resolver = backfill::init(
        context.child("backfill"),
        backfill_from(identity, blocker.clone(), peers),
        channels.backfill,
    );
    let (marshal, mailbox) = archive::open(
        &context,
        partition,
        rules,
        genesis,
        &identity.scheme,
        &cache,
    )
    .await?;
    let (inbox, delivery) = delivery::start(
        context.child("delivery"),
        application.clone(),
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
    let adapter = Adapter {
        application,
        rules,
        block_interval: config.block_interval,
        status: status.clone(),
    };
    let epocher = FixedEpocher::new(EPOCH_LENGTH);
    let automaton = automaton(context.child("automaton"), adapter, mailbox, epocher);
    let reporter = Reporters::from((automaton.clone(), status));
    let settings = consensus(
        (config, partition),
        identity,
        automaton,
        reporter,
        blocker,
        digest,
        cache,
    );
    let consensus = simplex::Engine::new(context.child("consensus"), settings);
    let others = vec![
        broadcast.start(channels.blocks),
        marshal.start(inbox, buffer, resolver),
        gossip,
        consensus.start(channels.votes, channels.certificates, channels.resolver),
    ];
    Ok(Actors { delivery, others })
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

type Consensus<E, A, B> = simplex::Config<
    Scheme,
    RoundRobin<Sha256>,
    B,
    Sha256Digest,
    Automaton<E, A>,
    Automaton<E, A>,
    Reporters<Automaton<E, A>, Status>,
    Sequential,
>;

fn consensus<E, A, B>(
    (config, partition): (&EngineConfig, &str),
    identity: &Identity,
    automaton: Automaton<E, A>,
    reporter: Reporters<Automaton<E, A>, Status>,
    blocker: B,
    genesis: Sha256Digest,
    page_cache: CacheRef,
) -> Consensus<E, A, B>
where
    E: Runtime,
    A: Application + Sync,
    B: Blocker<PublicKey = PublicKey>,
{
    let timing = config.timing();
    simplex::Config {
        scheme: identity.scheme.clone(),
        elector: RoundRobin::default(),
        blocker,
        automaton: automaton.clone(),
        relay: automaton,
        reporter,
        // Who signs two votes for one view is to be found out, even late.
        track_historical_votes: true,
        strategy: Sequential,
        partition: format!("{partition}-consensus"),
        mailbox_size: MAILBOX,
        epoch: EPOCH,
        floor: Floor::Genesis(genesis),
        replay_buffer: REPLAY_BUFFER,
        write_buffer: WRITE_BUFFER,
        page_cache,
        leader_timeout: timing.leader,
        certification_timeout: timing.certification,
        timeout_retry: timing.retry,
        view_retention: VIEW_RETENTION,
        skip: SkipPolicy::Enabled {
            timeout: timing.skip,
            budget: SkipBudget::Participants,
        },
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        forward: ForwardPolicy::Disabled,
    }
}
