//! Who validates when, as far as any validator knows, for traitors that run no chain.

use std::sync::{Arc, Mutex};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_utils::ordered::Set;
use contracts::membership::{Registry, Span};
use ledger::ids::{Epoch, Height};

/// What is known; clones share it.
#[derive(Clone)]
pub(crate) struct Committees(Arc<Mutex<Known>>);

struct Known {
    revision: u64,
    schedule: Vec<Span>,
    epoch: Epoch,
}

impl Committees {
    pub(crate) fn of(registry: &Registry) -> Self {
        Self(Arc::new(Mutex::new(Known {
            revision: registry.revision(),
            schedule: registry.schedule().to_vec(),
            epoch: Epoch(0),
        })))
    }

    /// Notes what a validator knows that has applied the block at `height`.
    pub(crate) fn note(&self, registry: &Registry, height: Height) {
        let mut known = self.0.lock().unwrap();
        let epoch = registry.rules().epoch_of(height.next());
        known.epoch = known.epoch.max(epoch);
        if registry.revision() > known.revision {
            known.revision = registry.revision();
            known.schedule = registry.schedule().to_vec();
        }
    }

    /// The validators of `epoch`, unless nobody can be there yet.
    pub(crate) fn voters(&self, epoch: u64) -> Option<Set<PublicKey>> {
        let known = self.0.lock().unwrap();
        let epoch = Epoch(epoch);
        if epoch > known.epoch.next() {
            return None;
        }
        let mut spans = known.schedule.iter().rev();
        let span = spans.find(|span| span.from <= epoch)?;
        let keys = span.validators.keys.iter();
        let keys = keys.map(|key| PublicKey::decode(Copying(&key.0)).unwrap());
        Some(Set::from_iter_dedup(keys))
    }
}
