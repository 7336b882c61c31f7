//! Encrypted and authenticated connections between validators, and of followers with them.

use super::{
    application::Application,
    config::EngineConfig,
    wiring::{Channels, Identity, Links, max_message_bytes},
};
use commonware_cryptography::{
    ChaCha20Poly1305,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::authenticated::lookup::{self, Oracle, Receiver, Sender};
use commonware_runtime::{Handle, Quota, Supervisor as _, tokio::Context};
use commonware_stream::{
    SakeCups,
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

/// Messages waiting inside the network.
const MAILBOX: NonZeroUsize = NZUsize!(1024);
/// Clocks of two validators may differ by this much when they connect.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
const HANDSHAKE_AGE: Duration = Duration::from_secs(10);
/// After a protocol violation a peer is refused for this long.
const BLOCKED_FOR: Duration = Duration::from_secs(600);
const REDIAL: Duration = Duration::from_millis(250);
/// Who has left may still fetch the last block of the epoch before.
const PEER_SETS: NonZeroUsize = NZUsize!(2);

/// Messages per second and peer; what is over an outgoing rate is lost, so these are generous. For
/// as many as may come at once, room is set aside for each peer that may connect, twice: about 1 KiB for a message,
/// which was half of a node's memory when these were four times as many.
const VOTES: Quota = Quota::per_second(NZU32!(8192)).allow_burst(NZU32!(64));
const REQUESTS: Quota = Quota::per_second(NZU32!(1024)).allow_burst(NZU32!(32));
const FRAMES_AT_ONCE: NonZeroU32 = NZU32!(128);

type Connections =
    Links<Sender<PublicKey, Context>, Receiver<PublicKey>, Oracle<PublicKey>, Oracle<PublicKey>>;

/// Listens, and keeps dialling the validators of the last epochs.
pub(super) fn open<A: Application>(
    context: &Context,
    config: &EngineConfig,
    identity: &Identity,
) -> (Connections, Handle<()>) {
    let handshake: SakeCups<PrivateKey, ChaCha20Poly1305> = Cups::new(
        Sake {
            signer: identity.key.clone(),
            synchrony_bound: CLOCK_SKEW,
            max_handshake_age: HANDSHAKE_AGE,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let mut settings = lookup::Config::local(
        handshake,
        &config.namespace,
        config.listen,
        // One more, for this node counts even where it is not listed.
        NonZeroUsize::MIN.saturating_add(config.max_peers),
        max_message_bytes::<A>(config),
        MAILBOX,
    );
    settings.allow_dns = false;
    settings.tracked_peer_sets = PEER_SETS;
    settings.block_duration = BLOCKED_FOR;
    settings.dial_frequency = REDIAL;
    settings.peer_connection_cooldown = REDIAL;
    let (mut network, oracle) = lookup::Network::new(context.child("network"), settings);
    let frames = NonZeroU32::new(config.frames_per_second).unwrap_or(NonZeroU32::MIN);
    let frames = Quota::per_second(frames).allow_burst(frames.min(FRAMES_AT_ONCE));
    let channels = Channels {
        votes: network.register(0, VOTES),
        certificates: network.register(1, VOTES),
        resolver: network.register(2, REQUESTS),
        backfill: network.register(3, REQUESTS),
        blocks: network.register(4, REQUESTS),
        gossip: network.register(5, frames),
    };
    (
        Links {
            channels,
            blocker: oracle.clone(),
            peers: oracle,
        },
        network.start(),
    )
}
