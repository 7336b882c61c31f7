//! What the engine is doing, for operators and tests.

use commonware_actor::Feedback;
use commonware_consensus::{
    Reporter, Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Activity},
};
use commonware_cryptography::sha256::Digest as Sha256Digest;
use std::sync::{Arc, Mutex, PoisonError};

/// Progress of one validator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// Highest view whose outcome is known; consensus works on the next one.
    pub view: u64,
    /// Highest view with a finality certificate.
    pub finalized_view: u64,
    /// Height of the highest block known to be final.
    pub finalized_height: u64,
    /// Height of the highest block that the application has applied.
    pub applied_height: u64,
    /// Views given up since the start, mostly for silent leaders.
    pub skipped_views: u64,
    /// Pairs of votes seen with which a validator contradicted itself.
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
        match activity {
            Activity::Notarization(certificate) => {
                self.update(|status| status.view = status.view.max(certificate.view().get()));
            }
            Activity::Nullification(certificate) => self.update(|status| {
                status.view = status.view.max(certificate.view().get());
                status.skipped_views += 1;
            }),
            Activity::Finalization(certificate) => self.update(|status| {
                status.view = status.view.max(certificate.view().get());
                status.finalized_view = status.finalized_view.max(certificate.view().get());
            }),
            Activity::ConflictingNotarize(_)
            | Activity::ConflictingFinalize(_)
            | Activity::NullifyFinalize(_) => {
                tracing::warn!(
                    view = activity.view().get(),
                    "a validator voted against itself"
                );
                self.update(|status| status.contradictions += 1);
            }
            _ => {}
        }
        Feedback::Ok
    }
}
