//! Whom each validator lets connect, by its own ledger: the simulated network knows one list for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use commonware_actor::Feedback;
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, PeerSetSubscription, PeerSetUpdate,
    Provider, TrackedPeers,
};
use commonware_utils::channel::mpsc;
use commonware_utils::ordered::{Map, Set};

/// Sets of peers that a validator knows at once, the newest ones.
const SETS: usize = 2;

/// Whom everybody knows; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Acquaintances(Arc<Mutex<BTreeMap<PublicKey, Known>>>);

type Known = BTreeMap<u64, TrackedPeers<PublicKey>>;

impl Acquaintances {
    /// The peers of a validator that starts with `key`, and knows nobody yet.
    pub(crate) fn of(&self, key: &PublicKey) -> Peers {
        self.known().insert(key.clone(), Known::new());
        Peers {
            key: key.clone(),
            everybody: self.clone(),
            state: Arc::default(),
        }
    }

    /// The peers of a traitor with `key`, which connects with whom it likes.
    pub(crate) fn of_traitor(key: &PublicKey) -> Peers {
        Self::default().of(key)
    }

    /// Whether each lets the other connect; whoever never said so lets everybody.
    pub(crate) fn connect(&self, one: &PublicKey, other: &PublicKey) -> bool {
        let known = self.known();
        let lets = |one, other: &PublicKey| {
            let listed = |peers: &Set<PublicKey>| peers.position(other).is_some();
            known.get(one).is_none_or(|sets| {
                let mut sets = sets.values();
                sets.any(|set| listed(&set.primary) || listed(&set.secondary))
            })
        };
        lets(one, other) && lets(other, one)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PublicKey, Known>> {
        self.0.lock().unwrap()
    }
}

/// Tells the network of one validator whom to connect with.
#[derive(Clone)]
pub(crate) struct Peers {
    key: PublicKey,
    everybody: Acquaintances,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sets: Known,
    subscribers: Vec<mpsc::UnboundedSender<PeerSetUpdate<PublicKey>>>,
}

impl State {
    /// The newest set, and all that are known.
    fn newest(&self) -> Option<PeerSetUpdate<PublicKey>> {
        let (index, latest) = self.sets.last_key_value()?;
        let sets = || self.sets.values();
        let primary = sets().flat_map(|set| set.primary.iter().cloned());
        let primary = Set::from_iter_dedup(primary);
        let secondary = sets().flat_map(|set| set.secondary.iter().cloned());
        let secondary = secondary.filter(|key| primary.position(key).is_none());
        Some(PeerSetUpdate {
            index: *index,
            latest: latest.clone(),
            all: TrackedPeers::new(primary.clone(), Set::from_iter_dedup(secondary)),
        })
    }
}

impl Provider for Peers {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.state.lock().unwrap().sets.get(&id).cloned()
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let mut state = self.state.lock().unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(update) = state.newest() {
            let _closed = sender.send(update).err();
        }
        state.subscribers.push(sender);
        receiver
    }
}

impl AddressableManager for Peers {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        let peers = peers.into();
        let (primary, secondary) = (peers.primary.into_keys(), peers.secondary.into_keys());
        let state = &mut *self.state.lock().unwrap();
        state.sets.insert(id, TrackedPeers::new(primary, secondary));
        while state.sets.len() > SETS {
            state.sets.pop_first();
        }
        self.everybody
            .known()
            .insert(self.key.clone(), state.sets.clone());
        if let Some(update) = state.newest() {
            state
                .subscribers
                .retain(|one| one.send(update.clone()).is_ok());
        }
        Feedback::Ok
    }

    fn overwrite(&mut self, _: Map<PublicKey, Address>) -> Feedback {
        Feedback::Ok
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}
