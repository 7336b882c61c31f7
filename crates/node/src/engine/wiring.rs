//! The actors of one validator and what connects them.
//!
//! Generic over the runtime and the network, so that the same wiring runs under tokio and under
//! the deterministic runtime with its simulated network.

use super::{
    application::{Adapter, Application, Automaton, automaton},
    block::{Block, BlockRules},
    config::{ConfigError, EngineConfig},
    delivery, gossip,
};
pub use super::{
    gossip::{Outbox, frames},
    status::Status,
};
use commonware_broadcast::buffered;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    Reporters,
    marshal::{self, core::Mailbox, resolver::p2p as backfill, standard::Standard},
    simplex::{
        self, Floor, ForwardPolicy, SkipBudget, SkipPolicy, elector::RoundRobin,
        scheme::ed25519::Scheme, types::Finalization,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Sha256, Signer as _,
    certificate::{ConstantProvider, Verifier as _},
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest as Sha256Digest,
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::{archive::prunable, translator::EightCap};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize, ordered::Set};
use std::{
    num::{NonZeroU16, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

/// There is one validator set, so there is one epoch.
const EPOCH: Epoch = Epoch::zero();

const MAILBOX: NonZeroUsize = NZUsize!(1024);
const PAGE: NonZeroU16 = NZU16!(4096);
const PAGES: NonZeroUsize = NZUsize!(1024);
const REPLAY_BUFFER: NonZeroUsize = NZUsize!(1024 * 1024);
const WRITE_BUFFER: NonZeroUsize = NZUsize!(256 * 1024);

/// Archived blocks per file.
const ARCHIVE_SECTION: NonZeroU64 = NZU64!(4096);
/// Views per file of the cache, which is emptied file by file.
const CACHE_SECTION: NonZeroU64 = NZU64!(32);
/// Views kept behind the last final one by consensus, and by the cache of blocks.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(32);
const BLOCK_RETENTION: ViewDelta = ViewDelta::new(64);

/// Unfinished blocks kept in memory for each peer.
const BLOCKS_PER_PEER: usize = 8;
/// Blocks handed to the application before it must have applied the first.
const UNAPPLIED: NonZeroUsize = NZUsize!(16);
/// Missing heights asked for at once.
const REPAIRS: NonZeroUsize = NZUsize!(16);
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

/// The key and the committee of one validator.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: PrivateKey,
    pub(super) committee: Set<PublicKey>,
}

impl Identity {
    /// Reads keys from the settings.
    pub fn of(config: &EngineConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let keys = config
            .validators
            .iter()
            .enumerate()
            .map(|(number, validator)| {
                PublicKey::decode(Copying(&validator.public_key))
                    .map_err(|_| ConfigError::BadPublicKey(number))
            });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let committee = Set::try_from(keys).map_err(|_| ConfigError::ValidatorsOutOfOrder)?;
        let key =
            PrivateKey::decode(Copying(&config.seed)).map_err(|_| ConfigError::NotAValidator)?;
        if committee.position(&key.public_key()).is_none() {
            return Err(ConfigError::NotAValidator);
        }
        Ok(Self { key, committee })
    }

    /// Public key of this validator.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Public keys of all validators, in order.
    pub fn committee(&self) -> &Set<PublicKey> {
        &self.committee
    }
}

/// Largest message of any channel.
pub fn max_message_bytes<A: Application>(config: &EngineConfig) -> u32 {
    let validators = config.validators.len() as u32;
    let rules = rules::<A>(config);
    commonware_p2p::max_message_size(&[
        simplex::max_payload_size::<Scheme, Sha256Digest>(validators),
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, &rules),
        config.max_frame_bytes,
    ])
}

/// The tasks of a running validator.
#[expect(
    missing_debug_implementations,
    reason = "task handles have nothing to show"
)]
pub struct Actors<X: Send + 'static> {
    delivery: Handle<X>,
    others: Vec<Handle<()>>,
}

/// Why a validator ended by itself.
#[derive(Debug)]
pub enum Ended<X> {
    /// The application could not apply a final block.
    Application(X),
    /// An actor ended.
    Actor,
}

impl<X: Send + 'static> Actors<X> {
    /// Waits until any task ends; none ends while all is well.
    pub async fn ended(self) -> Ended<X> {
        let others = futures::future::select_all(self.others);
        tokio::select! {
            outcome = self.delivery => outcome.map_or(Ended::Actor, Ended::Application),
            _ = others => Ended::Actor,
        }
    }
}

/// Starts the actors of one validator.
pub async fn start<E, A, S, R, B, P>(
    context: E,
    config: &EngineConfig,
    identity: &Identity,
    mut application: A,
    channels: Channels<S, R>,
    (blocker, peers): (B, P),
    (outbox, status): (Outbox, Status),
) -> Actors<A::Error>
where
    E: Runtime,
    A: Application + Sync,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
{
    let rules = rules::<A>(config);
    let genesis = digested(application.genesis());
    assert!(
        rules.accept(genesis.inner()),
        "the genesis block breaks the rules of blocks"
    );
    let me = identity.public_key();
    let scheme = Scheme::signer(
        &config.namespace,
        identity.committee.clone(),
        identity.key.clone(),
    )
    .expect("the identity was checked to be in its committee");
    let cache = CacheRef::new(PAGE, PAGES);

    let (broadcast, buffer) = buffered::Engine::new(
        context.child("blocks"),
        buffered::Config {
            public_key: me.clone(),
            mailbox_size: MAILBOX,
            deque_size: BLOCKS_PER_PEER,
            priority: false,
            codec_config: rules,
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    let resolver = backfill::init(
        context.child("backfill"),
        backfill::Config {
            public_key: me,
            peer_provider: peers,
            blocker: blocker.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let (marshal, mailbox) = open_marshal(&context, rules, genesis.clone(), &scheme, &cache).await;
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
        outbox,
        status.clone(),
    );
    let adapter = Adapter {
        application,
        rules,
        block_interval: config.block_interval,
    };
    let automaton = automaton(context.child("automaton"), adapter, mailbox, epocher());
    let consensus = simplex::Engine::new(
        context.child("consensus"),
        simplex_config(
            config,
            scheme,
            blocker,
            automaton,
            status,
            genesis.digest(),
            cache,
        ),
    );
    let others = vec![
        broadcast.start(channels.blocks),
        marshal.start(inbox, buffer, resolver),
        gossip,
        consensus.start(channels.votes, channels.certificates, channels.resolver),
    ];
    Actors { delivery, others }
}

fn rules<A: Application>(config: &EngineConfig) -> BlockRules {
    BlockRules {
        max_bytes: config.max_block_bytes,
        binds: A::binds,
    }
}

fn epocher() -> FixedEpocher {
    FixedEpocher::new(NZU64!(u64::MAX))
}

fn digested(block: Block) -> Digested<Block> {
    let digest = Sha256Digest(block.digest());
    Digested::precomputed(block, digest)
}

type Certificates<E> =
    prunable::Archive<EightCap, E, Sha256Digest, Finalization<Scheme, Sha256Digest>>;
type Blocks<E> = prunable::Archive<EightCap, E, Sha256Digest, Arc<Block>>;
type Marshal<E> = marshal::core::Actor<
    E,
    Standard<Block>,
    ConstantProvider<Scheme, Epoch>,
    Certificates<E>,
    Blocks<E>,
    FixedEpocher,
    Sequential,
>;

/// Opens the archives of final blocks and certificates, and the actor that keeps them.
async fn open_marshal<E: Runtime>(
    context: &E,
    rules: BlockRules,
    genesis: Digested<Block>,
    scheme: &Scheme,
    cache: &CacheRef,
) -> (Marshal<E>, Mailbox<Scheme, Standard<Block>>) {
    let certificates = Certificates::init(
        context.child("certificates"),
        archive(
            "certificates",
            Scheme::certificate_codec_config_unbounded(),
            cache,
        ),
    );
    let certificates = certificates
        .await
        .expect("the archive of certificates opens");
    let blocks = Blocks::init(context.child("archive"), archive("blocks", rules, cache));
    let blocks = blocks.await.expect("the archive of blocks opens");
    let (actor, mailbox, _) = Marshal::init(
        context.child("marshal"),
        certificates,
        blocks,
        marshal::Config {
            provider: ConstantProvider::new(scheme.clone()),
            epocher: epocher(),
            start: marshal::Start::Genesis(genesis),
            partition_prefix: "marshal".to_owned(),
            mailbox_size: MAILBOX,
            view_retention: BLOCK_RETENTION,
            prunable_items_per_section: CACHE_SECTION,
            page_cache: cache.clone(),
            replay_buffer: REPLAY_BUFFER,
            key_write_buffer: WRITE_BUFFER,
            value_write_buffer: WRITE_BUFFER,
            block_codec_config: rules,
            max_repair: REPAIRS,
            max_pending_acks: UNAPPLIED,
            strategy: Sequential,
        },
    )
    .await;
    (actor, mailbox)
}

fn archive<C>(name: &str, codec_config: C, cache: &CacheRef) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{name}-metadata"),
        key_partition: format!("{name}-keys"),
        key_page_cache: cache.clone(),
        value_partition: format!("{name}-values"),
        compression: None,
        codec_config,
        items_per_section: ARCHIVE_SECTION,
        key_write_buffer: WRITE_BUFFER,
        value_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
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

fn simplex_config<E, A, B>(
    config: &EngineConfig,
    scheme: Scheme,
    blocker: B,
    automaton: Automaton<E, A>,
    status: Status,
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
        scheme,
        elector: RoundRobin::default(),
        blocker,
        automaton: automaton.clone(),
        relay: automaton.clone(),
        reporter: Reporters::from((automaton, status)),
        // Who signs two votes for one view is to be found out, even late.
        track_historical_votes: true,
        strategy: Sequential,
        partition: "consensus".to_owned(),
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
