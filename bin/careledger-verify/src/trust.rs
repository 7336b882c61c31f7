//! What is trusted: the genesis, and what follows from it.

use std::path::Path;

use contracts::membership::Registry;
use contracts::trust::{TrustError, registry, trust};
use ledger::checkpoint::policy::Policy;
use ledger::fault::Claims;
use ledger::genesis::{Genesis, Signatory};
use ledger::ids::{Digest, MemberName};
use ledger::receipt::Trust;
use ledger::succession::{Succession, SuccessionError, Validators};

use crate::failure::Failure;
use crate::outcome::Unreadable;

/// The genesis, and what changed since, if a file proves it.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) genesis: Genesis,
    pub(crate) succession: Option<Succession>,
}

impl Pinned {
    pub(crate) fn read(genesis: &Path, succession: Option<&Path>) -> Result<Self, Unreadable> {
        let read = |path: &Path| crate::command::read(path);
        let decoded = Genesis::decode(&read(genesis)?);
        let followed = succession.map(|path| {
            let decoded = Succession::decode(&read(path)?);
            decoded.map_err(|error| Unreadable::new(path, &error))
        });
        Ok(Self {
            genesis: decoded.map_err(|error| Unreadable::new(genesis, &error))?,
            succession: followed.transpose()?,
        })
    }

    /// Pins the network, its validators and its members' keys; `brought` comes with what is checked.
    pub(crate) fn trust(
        &self,
        brought: Option<&Succession>,
    ) -> Result<
        Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey> + use<>>,
        Failure,
    > {
        Ok(trust(&self.genesis, self.succession.as_ref().or(brought))?)
    }

    /// Who signs for the network: the validators of each span of epochs, the newest first.
    pub(crate) fn spans(&self) -> Result<Vec<Vec<Signatory>>, Failure> {
        let registry = self.registry()?;
        let spans = registry.schedule().iter().rev();
        Ok(spans.map(|span| registry.signatories(span.from)).collect())
    }

    /// The policies that a quorum of one span's validators cosigns, the newest first.
    pub(crate) fn policies(&self) -> Result<Vec<Policy>, Failure> {
        let spans = self.spans()?.into_iter();
        let policies = spans.map(|span| Policy::of_validators(self.genesis.network(), &span));
        policies
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::new("genesis", error))
    }

    /// No claims yet, of anybody who ever validated.
    pub(crate) fn claims(&self) -> Result<Claims, Failure> {
        let validators = match &self.succession {
            Some(succession) => succession.verify(&self.genesis).map_err(TrustError::from)?,
            None => Validators::founding(&self.genesis),
        };
        let signatories = self.registry()?.all_signatories();
        Ok(Claims::of(self.genesis.network(), signatories, validators))
    }

    fn registry(&self) -> Result<Registry, Failure> {
        Ok(registry(&self.genesis, self.succession.as_ref())?)
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        let name = match &error {
            TrustError::Membership(_) => "genesis",
            TrustError::Succession(SuccessionError::Registry(_)) => "registry-proof",
            TrustError::Succession(_) => "succession",
        };
        Self::new(name, error)
    }
}
