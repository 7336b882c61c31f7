//! What is trusted: the genesis, and what follows from it.

use std::path::Path;

use contracts::membership::Registry;
use contracts::trust::{TrustError, registry, trust};
use ledger::checkpoint::policy::Policy;
use ledger::fault::Claims;
use ledger::genesis::{Genesis, Signatory};
use ledger::ids::{Digest, Epoch, MemberName};
use ledger::receipt::Trust;
use ledger::succession::{Succession, SuccessionError, Validators};

use crate::checkpoint::Asked;
use crate::failure::Failure;
use crate::outcome::Unreadable;
use crate::recent::View;

/// Validators that sign for the network, and for which sizes of the log.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) signatories: Vec<Signatory>,
    /// The log's size when they began, and when they ended.
    sizes: (u64, u64),
}

impl Span {
    /// Whether a log of this size is theirs to sign.
    pub(crate) fn covers(&self, size: u64) -> bool {
        covers(self.sizes, size)
    }
}

/// Whether `size` lies within `sizes`. Where one span ends and the next begins, the log has one size, of which either
/// may have signed the checkpoint.
pub(crate) fn covers((first, last): (u64, u64), size: u64) -> bool {
    first <= size && size <= last
}

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
    ///
    /// Each span's validators sign checkpoints of the sizes that the log had in it, and no others: what proves their
    /// successors says how long the log was by then.
    pub(crate) fn spans(&self) -> Result<Vec<Span>, Failure> {
        let registry = self.registry()?;
        let changes = self.succession.iter().flat_map(|one| &one.transitions);
        let begins = |from: Epoch| {
            let mut changes = changes.clone();
            let change = changes.find(|change| change.header.epoch.next() == from);
            change.map(|change| change.header.log_size)
        };
        let mut spans: Vec<Span> = Vec::new();
        let mut ends_at = u64::MAX;
        for span in registry.schedule().iter().rev() {
            let begins_after = begins(span.from);
            if span.from > Epoch(0) && begins_after.is_none() {
                // It had not begun at the succession's header.
                continue;
            }
            spans.push(Span {
                signatories: registry.signatories(span.from),
                sizes: (begins_after.unwrap_or(0), ends_at),
            });
            ends_at = begins_after.unwrap_or(0);
        }
        Ok(spans)
    }

    /// The policies that a quorum of one span's validators cosigns, the newest first.
    pub(crate) fn policies(&self) -> Result<Vec<Asked>, Failure> {
        let network = self.genesis.network();
        let asked = |span: Span| {
            let policy = Policy::of_validators(network, &span.signatories);
            policy.map(|policy| Asked {
                policy,
                sizes: Some(span.sizes),
            })
        };
        let spans = self.spans()?.into_iter();
        spans
            .map(asked)
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::new("genesis", error))
    }

    /// The log at the header that the pinned succession's registry is proven at.
    pub(crate) fn view(&self) -> Option<View> {
        let proven = self.succession.as_ref()?.registry.as_ref()?;
        Some(View {
            size: proven.header.log_size,
            root: proven.header.log_root,
        })
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
            TrustError::Succession(
                SuccessionError::Registry(_) | SuccessionError::NotTheNewest(_),
            ) => "registry-proof",
            TrustError::Succession(_) => "succession",
        };
        Self::new(name, error)
    }
}
