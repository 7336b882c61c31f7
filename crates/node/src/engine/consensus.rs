//! The library's consensus engine as it is set up for one epoch.

use super::{
    application::{Application, Automaton},
    archive::{REPLAY_BUFFER, WRITE_BUFFER},
    config::Timing,
    status::Status,
    wiring::{FETCH_RETRY, FETCH_TIMEOUT, MAILBOX, Runtime},
};
use commonware_consensus::{
    Reporters,
    simplex::{
        self, Floor, ForwardPolicy, SkipBudget, SkipPolicy, elector::RoundRobin,
        scheme::ed25519::Scheme,
    },
    types::{Epoch, ViewDelta},
};
use commonware_cryptography::{Sha256, ed25519::PublicKey, sha256::Digest as Sha256Digest};
use commonware_p2p::Blocker;
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_utils::NZDuration;

/// Views that consensus remembers behind the last final one.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(32);

/// What is the same in all epochs.
pub(super) struct Consensus<E, A, B>
where
    E: Runtime,
    A: Application + Sync,
{
    pub(super) automaton: Automaton<E, A>,
    pub(super) status: Status,
    pub(super) blocker: B,
    pub(super) timing: Timing,
    pub(super) cache: CacheRef,
}

/// What makes one epoch.
pub(super) struct Term {
    pub(super) epoch: u64,
    /// Votes with it if it can sign, and only listens otherwise.
    pub(super) scheme: Scheme,
    /// The block that the first proposal builds on.
    pub(super) root: Sha256Digest,
    /// Where the votes are kept.
    pub(super) partition: String,
}

type Engine<E, A, B> = simplex::Engine<
    E,
    Scheme,
    RoundRobin<Sha256>,
    B,
    Sha256Digest,
    Automaton<E, A>,
    Automaton<E, A>,
    Reporters<Automaton<E, A>, Status>,
    Sequential,
>;

impl<E, A, B> Consensus<E, A, B>
where
    E: Runtime,
    A: Application + Sync,
    B: Blocker<PublicKey = PublicKey>,
{
    pub(super) fn engine(&self, context: E, term: Term) -> Engine<E, A, B> {
        let settings = simplex::Config {
            scheme: term.scheme,
            elector: RoundRobin::default(),
            blocker: self.blocker.clone(),
            automaton: self.automaton.clone(),
            relay: self.automaton.clone(),
            reporter: Reporters::from((self.automaton.clone(), self.status.clone())),
            // Who signs two votes for one view is to be found out, even late.
            track_historical_votes: true,
            strategy: Sequential,
            partition: term.partition,
            mailbox_size: MAILBOX,
            epoch: Epoch::new(term.epoch),
            floor: Floor::Genesis(term.root),
            replay_buffer: REPLAY_BUFFER,
            write_buffer: WRITE_BUFFER,
            page_cache: self.cache.clone(),
            leader_timeout: self.timing.leader,
            certification_timeout: self.timing.certification,
            timeout_retry: self.timing.retry,
            view_retention: VIEW_RETENTION,
            skip: SkipPolicy::Enabled {
                timeout: self.timing.skip,
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            forward: ForwardPolicy::Disabled,
        };
        simplex::Engine::new(context, settings)
    }
}
