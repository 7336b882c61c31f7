//! Succession: who validates and who signs after the genesis, proven from the genesis.
//!
//! ```text
//! genesis validators ─sign→ last header of an epoch, which names ─→ the next epoch's ─sign→ … ─sign→ a header
//! registry of members ─proof→ state root in that header ←proof─ no revision after it
//! ```
//! Validators change between epochs only, so one header an actual change suffices. The registry keeps every certificate
//! that was ever registered: one proof against a recent header serves old signatures as well.

use minicbor::{Decode, Encode};

use crate::block::Header;
use crate::codec::{self, DecodeError};
use crate::finality::{FinalityCertificate, FinalityError};
use crate::genesis::{Genesis, ValidatorSet};
use crate::ids::{Digest, Epoch};
use crate::signatures::Signatures;
use crate::state::{StateError, StateKey, StateProof};

/// What the genesis does not say: changes of validators, and the registry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Succession {
    /// Changes of validators, the oldest first.
    #[n(0)]
    pub transitions: Vec<Transition>,
    /// The registry of members, if it has changed.
    #[n(1)]
    pub registry: Option<ProvenRegistry>,
}

/// A change of validators.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Transition {
    /// The header of the last block of the epoch before.
    #[n(0)]
    pub header: Header,
    /// That it is final.
    #[n(1)]
    pub finality: FinalityCertificate,
    /// Who validates after it.
    #[n(2)]
    pub next: ValidatorSet,
}

/// The registry as it stood at a final header.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProvenRegistry {
    /// A final block's header.
    #[n(0)]
    pub header: Header,
    /// That it is final.
    #[n(1)]
    pub finality: FinalityCertificate,
    /// The registry's revision.
    #[n(2)]
    pub revision: u64,
    /// The registry's bytes.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub registry: Vec<u8>,
    /// That the state holds their digest under the revision's key.
    #[n(4)]
    pub proof: StateProof,
    /// That the state holds nothing under the next revision's key: there was none by then.
    #[n(5)]
    pub newest: StateProof,
}

/// The validators of each epoch, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators(Vec<(Epoch, ValidatorSet)>);

/// Where a succession fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// The bytes are not a succession.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A header is of another network.
    #[error("a header is of another network")]
    OtherNetwork,
    /// A transition's header is not the last of its epoch, or comes before the one before it.
    #[error("a change of validators is not at the end of an epoch, or out of order")]
    NotAtTheEnd,
    /// The header names others than the transition does.
    #[error("a header does not name the validators that are said to follow")]
    OtherValidators,
    /// A header is not final.
    #[error("a header is not final: {0}")]
    NotFinal(#[from] FinalityError),
    /// The registry is not in the state.
    #[error("the registry: {0}")]
    Registry(#[from] StateError),
    /// There is a later revision in the state, or it is not shown that there is none.
    #[error("the registry is not shown to be the newest at its header: {0}")]
    NotTheNewest(StateError),
}

impl Validators {
    /// The validators that `genesis` names, for all epochs.
    pub fn founding(genesis: &Genesis) -> Self {
        genesis.validators().into()
    }

    /// Who validates in `epoch`.
    pub fn of(&self, epoch: Epoch) -> &ValidatorSet {
        const NOBODY: &ValidatorSet = &ValidatorSet { keys: Vec::new() };
        let mut spans = self.0.iter().rev();
        let span = spans.find(|(from, _)| *from <= epoch);
        span.map_or(NOBODY, |(_, validators)| validators)
    }

    /// Whether the header is final, by the validators of its epoch.
    pub fn verify(
        &self,
        header: &Header,
        finality: &FinalityCertificate,
    ) -> Result<(), FinalityError> {
        Signatures::check(|signatures| self.add_votes(header, finality, signatures))
    }

    /// The same, with the votes' signatures left to be checked with others.
    pub(crate) fn add_votes<E: From<FinalityError>>(
        &self,
        header: &Header,
        finality: &FinalityCertificate,
        signatures: &mut Signatures<E>,
    ) -> Result<(), FinalityError> {
        if finality.epoch != header.epoch.0 {
            return Err(FinalityError::OtherEpoch);
        }
        let what = (header.network, header.digest());
        finality.add_votes(what, self.of(header.epoch), signatures)
    }
}

impl From<ValidatorSet> for Validators {
    /// The same in all epochs.
    fn from(validators: ValidatorSet) -> Self {
        Self(vec![(Epoch(0), validators)])
    }
}

impl Succession {
    /// Reads a succession.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("succession", bytes)
    }

    /// The succession's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Follows the changes from `genesis`, and checks the registry against a header.
    pub fn verify(&self, genesis: &Genesis) -> Result<Validators, SuccessionError> {
        Signatures::check(|signatures| self.follow(genesis, signatures))
    }

    fn follow(
        &self,
        genesis: &Genesis,
        signatures: &mut Signatures<SuccessionError>,
    ) -> Result<Validators, SuccessionError> {
        let network = genesis.network();
        let rules = genesis.rules();
        let mut validators = Validators::founding(genesis);
        let mut last = None;
        for transition in &self.transitions {
            let header = &transition.header;
            if header.network != network {
                return Err(SuccessionError::OtherNetwork);
            }
            if !rules.is_last_of_epoch(header.height)
                || header.epoch != rules.epoch_of(header.height)
                || last.is_some_and(|last| header.epoch <= last)
            {
                return Err(SuccessionError::NotAtTheEnd);
            }
            validators.add_votes(header, &transition.finality, signatures)?;
            let current = validators.of(header.epoch);
            if header.validators != current.digest(&transition.next) {
                return Err(SuccessionError::OtherValidators);
            }
            last = Some(header.epoch);
            let next = (header.epoch.next(), transition.next.clone());
            validators.0.push(next);
        }
        if let Some(registry) = &self.registry {
            registry.check(genesis, &validators, signatures)?;
        }
        Ok(validators)
    }
}

impl ProvenRegistry {
    fn check(
        &self,
        genesis: &Genesis,
        validators: &Validators,
        signatures: &mut Signatures<SuccessionError>,
    ) -> Result<(), SuccessionError> {
        if self.header.network != genesis.network() {
            return Err(SuccessionError::OtherNetwork);
        }
        validators.add_votes(&self.header, &self.finality, signatures)?;
        let key = StateKey::of_registry(self.revision);
        let digest = Digest::of(&self.registry);
        let root = self.header.state_root;
        self.proof.verify_present(root, key, &digest.0)?;
        let next = self.revision.checked_add(1).map(StateKey::of_registry);
        let next = next.ok_or(SuccessionError::NotTheNewest(StateError::NotShownAbsent))?;
        self.newest
            .verify_absent(root, next)
            .map_err(SuccessionError::NotTheNewest)
    }
}

#[cfg(test)]
mod tests;
