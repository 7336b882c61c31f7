//! The votes that each validator sends: one that follows the rules never votes against itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use commonware_codec::DecodeExt as _;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Vote;
use commonware_consensus::{Epochable as _, Viewable as _};
use commonware_cryptography::sha256::Digest;
use commonware_p2p::utils::mux;
use commonware_runtime::IoBuf;
use sim::network::check::Violation;

/// What one validator voted in one view of an epoch.
#[derive(Default)]
struct Votes {
    notarize: Option<Digest>,
    finalize: Option<Digest>,
    nullify: bool,
}

/// All votes of all validators under watch; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ballot(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    votes: BTreeMap<(usize, u64, u64), Votes>,
    violations: Vec<Violation>,
}

impl Ballot {
    /// Notes a message that `validator` sends on the channel of votes.
    pub(crate) fn note(&self, validator: usize, message: &IoBuf) {
        let Ok((_, message)) = mux::parse(message.clone()) else {
            return;
        };
        let Ok(vote) = Vote::<Scheme, Digest>::decode(message) else {
            return;
        };
        let mut inner = self.0.lock().unwrap();
        let (epoch, view) = (vote.epoch().get(), vote.view().get());
        let votes = inner.votes.entry((validator, epoch, view)).or_default();
        let against = match vote {
            Vote::Notarize(vote) => {
                let payload = vote.proposal.payload;
                let first = votes.notarize.get_or_insert(payload);
                (*first != payload).then_some("two blocks to notarize")
            }
            Vote::Finalize(vote) => {
                let payload = vote.proposal.payload;
                let first = votes.finalize.get_or_insert(payload);
                let other = *first != payload;
                (other || votes.nullify).then_some("finalize against an earlier vote")
            }
            Vote::Nullify(_) => {
                votes.nullify = true;
                votes.finalize.map(|_| "nullify after finalize")
            }
        };
        if let Some(against) = against {
            let violation = Violation::Contradiction(validator, (epoch, view), against);
            inner.violations.push(violation);
        }
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.0.lock().unwrap().violations.clone()
    }
}
