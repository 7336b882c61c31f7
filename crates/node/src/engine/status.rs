//! What the engine is doing, for operators and tests.

use commonware_actor::Feedback;
use commonware_consensus::{
    Epochable as _, Reporter, Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Activity},
};
use commonware_cryptography::sha256::Digest as Sha256Digest;
use std::sync::{Arc, Mutex, PoisonError};

/// Progress of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The epoch that runs; views are counted from one in each.
    pub epoch: u64,
    /// Highest view of the epoch whose outcome is known; consensus works on the next one.
    pub view: u64,
    /// Highest view of the epoch with a finality certificate.
    pub finalized_view: u64,
    /// Height of the highest block known to be final.
    pub finalized_height: u64,
    /// Height of the highest block that the application has applied.
    pub applied_height: u64,
    /// Views given up since the start, mostly for silent leaders.
    pub skipped_views: u64,
    /// Pairs of votes seen since the start with which a validator contradicted itself.
    pub contradictions: u64,
    /// Public keys of the connected peers, refreshed every second.
    pub connected: Vec<[u8; 32]>,
}

/// The status as it is shared between the actors that know about it.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<EngineStatus>>);

impl Status {
    /// The status now.
    pub fn read(&self) -> EngineStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn entered(&self, epoch: u64) {
        self.update(|status| {
            status.epoch = epoch;
            status.view = 0;
            status.finalized_view = 0;
        });
    }

    pub(super) fn finalized(&self, height: u64) {
        self.update(|status| status.finalized_height = status.finalized_height.max(height));
    }

    pub(super) fn applied(&self, height: u64) {
        self.update(|status| status.applied_height = status.applied_height.max(height));
    }

    pub(super) fn connected(&self, peers: Vec<[u8; 32]>) {
        self.update(|status| status.connected = peers);
    }

    fn update(&self, change: impl FnOnce(&mut EngineStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Follows the views of consensus, and reports validators that contradict themselves.
impl Reporter for Status {
    type Activity = Activity<Scheme, Sha256Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let (epoch, view) = (activity.epoch().get(), activity.view().get());
        self.update(|status| status.count(epoch, view, &activity));
        if is_contradiction(&activity) {
            tracing::warn!(epoch, view, "a validator voted against itself");
        }
        Feedback::Ok
    }
}

impl EngineStatus {
    /// Blocks that are known to be final and not applied yet.
    pub(super) fn unapplied(&self) -> u64 {
        self.finalized_height.saturating_sub(self.applied_height)
    }

    fn count(&mut self, epoch: u64, view: u64, activity: &Activity<Scheme, Sha256Digest>) {
        self.contradictions += u64::from(is_contradiction(activity));
        // The engine of the epoch before may say a last word after the next one has begun.
        if epoch != self.epoch {
            return;
        }
        match activity {
            Activity::Notarization(_) => self.view = self.view.max(view),
            Activity::Nullification(_) => {
                self.view = self.view.max(view);
                self.skipped_views += 1;
            }
            Activity::Finalization(_) => {
                self.view = self.view.max(view);
                self.finalized_view = self.finalized_view.max(view);
            }
            _ => {}
        }
    }
}

fn is_contradiction(activity: &Activity<Scheme, Sha256Digest>) -> bool {
    matches!(
        activity,
        Activity::ConflictingNotarize(_)
            | Activity::ConflictingFinalize(_)
            | Activity::NullifyFinalize(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_consensus::{
        simplex::types::{ConflictingNotarize, Notarize, Proposal},
        types::{Epoch, Round, View},
    };
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
    use commonware_utils::ordered::Set;

    #[test]
    fn a_validator_that_votes_twice_in_one_view_is_counted() {
        let key = PrivateKey::from_seed(1);
        let voters = Set::from_iter_dedup([key.public_key()]);
        let scheme = Scheme::signer(b"test", voters, key).unwrap();
        let vote = |block| {
            let round = Round::new(Epoch::new(3), View::new(2));
            let proposal = Proposal::new(round, View::new(1), Sha256Digest([block; 32]));
            Notarize::sign(&scheme, proposal).unwrap()
        };
        let mut status = Status::default();
        let twice = ConflictingNotarize::new(vote(1), vote(2));
        status.report(Activity::ConflictingNotarize(twice));
        assert_eq!(status.read().contradictions, 1);
        status.report(Activity::Notarize(vote(1)));
        assert_eq!(status.read().contradictions, 1);
    }
}
