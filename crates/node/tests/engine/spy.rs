//! A peer that hears all votes and remembers who contradicts itself.

use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Vote},
};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{Receiver as _, utils::mux};
use commonware_runtime::{Quota, Spawner as _, Supervisor as _};
use commonware_utils::{NZU32, probability};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use crate::simulation::Simulation;

/// What one validator said in one view: one vote of each kind at most, and not the last two both.
#[derive(Default)]
struct Said {
    notarize: BTreeSet<Bytes>,
    nullify: BTreeSet<Bytes>,
    finalize: BTreeSet<Bytes>,
}

/// Signer, epoch and view.
type Place = (PublicKey, u64, u64);

/// All votes heard; outlives restarts of the network.
#[derive(Clone, Default)]
pub(crate) struct Spy(Arc<Mutex<BTreeMap<Place, Said>>>);

impl Spy {
    /// Listens in the place of node `number`, over links that lose nothing.
    pub(crate) async fn listen(&self, simulation: &Simulation, number: usize) {
        let own = &simulation.keys[number];
        for from in simulation.keys.iter().filter(|from| *from != own) {
            let lossy = (from.clone(), own.clone());
            simulation
                .oracle
                .remove_link(lossy.0, lossy.1)
                .await
                .unwrap();
            simulation.link(from, own, probability!(1.0)).await;
        }
        let control = simulation.oracle.control(own.clone());
        let rate = Quota::per_second(NZU32!(4096));
        let (sender, mut votes) = control.register(0, rate).await.unwrap();
        let spy = self.clone();
        simulation.context.child("spy").spawn(|_| async move {
            let _sender = sender;
            while let Ok((from, message)) = votes.recv().await {
                let (_, vote) = mux::parse(message).unwrap();
                spy.hear(from, &Vote::decode(vote).unwrap());
            }
        });
    }

    fn hear(&self, from: PublicKey, vote: &Vote<Scheme, Digest>) {
        let mut all = self.0.lock().unwrap();
        let place = (from, vote.epoch().get(), vote.view().get());
        let said = all.entry(place).or_default();
        let votes = match vote {
            Vote::Notarize(_) => &mut said.notarize,
            Vote::Nullify(_) => &mut said.nullify,
            Vote::Finalize(_) => &mut said.finalize,
        };
        votes.insert(vote.encode());
    }

    /// Epochs in which `validator` voted.
    pub(crate) fn epochs_of(&self, validator: &PublicKey) -> BTreeSet<u64> {
        let all = self.0.lock().unwrap();
        let places = all.keys().filter(|(from, _, _)| from == validator);
        places.map(|(_, epoch, _)| *epoch).collect()
    }

    /// Votes of `validator` in `epoch`.
    pub(crate) fn votes_of(&self, validator: &PublicKey, epoch: u64) -> usize {
        let all = self.0.lock().unwrap();
        let said = all
            .iter()
            .filter(|((from, about, _), _)| from == validator && *about == epoch)
            .map(|(_, said)| said.notarize.len() + said.nullify.len() + said.finalize.len());
        said.sum()
    }

    /// Nobody signed two things that contradict each other.
    pub(crate) fn assert_no_contradiction(&self) {
        let all = self.0.lock().unwrap();
        assert!(!all.is_empty());
        for ((_, epoch, view), said) in &*all {
            let twice = said.notarize.len() > 1 || said.finalize.len() > 1;
            let both = !said.nullify.is_empty() && !said.finalize.is_empty();
            assert!(
                !twice && !both,
                "contradiction in view {view} of epoch {epoch}"
            );
        }
    }
}
