//! The keys that sign and check votes, epoch by epoch.

use super::{application::Application, committee::Committee, identity::Identity};
use commonware_consensus::{simplex::scheme::ed25519::Scheme, types::Epoch};
use commonware_cryptography::{
    certificate::{Provider, Scoped},
    ed25519::PrivateKey,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Epochs whose scheme is kept decoded.
const KEPT: usize = 8;

/// Signs where this node is a validator, and checks what others signed everywhere.
#[derive(Clone)]
pub(super) struct Schemes(Arc<Source>);

struct Source {
    namespace: Vec<u8>,
    key: PrivateKey,
    committee: Box<dyn Fn(u64) -> Option<Committee> + Send + Sync>,
    known: Mutex<BTreeMap<u64, Arc<Scheme>>>,
}

impl Schemes {
    pub(super) fn new<A>(application: A, identity: &Identity, namespace: &[u8]) -> Self
    where
        A: Application + Sync,
    {
        Self(Arc::new(Source {
            namespace: namespace.to_vec(),
            key: identity.key.clone(),
            committee: Box::new(move |epoch| application.committee(epoch)),
            known: Mutex::default(),
        }))
    }

    /// The scheme of `epoch`; `None` as long as its validators are not decided here.
    pub(super) fn of(&self, epoch: u64) -> Option<Arc<Scheme>> {
        if let Some(scheme) = self.known().get(&epoch) {
            return Some(Arc::clone(scheme));
        }
        let source = &*self.0;
        let voters = (source.committee)(epoch)?.voters().ok()?;
        let signer = Scheme::signer(&source.namespace, voters.clone(), source.key.clone());
        let scheme =
            Arc::new(signer.unwrap_or_else(|| Scheme::verifier(&source.namespace, voters)));
        let mut known = self.known();
        known.insert(epoch, Arc::clone(&scheme));
        if known.len() > KEPT {
            known.pop_first();
        }
        Some(scheme)
    }

    /// The scheme of `epoch` without the key to sign.
    pub(super) fn observer(&self, epoch: u64) -> Option<Scheme> {
        let voters = (self.0.committee)(epoch)?.voters().ok()?;
        Some(Scheme::verifier(&self.0.namespace, voters))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Scheme>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    /// Always the full scheme, for marshal serves and fetches certificates with it; whether it can
    /// sign is its own matter.
    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        self.of(epoch.get()).map(Scoped::scheme)
    }
}
