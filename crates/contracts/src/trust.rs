//! Trust: what follows from the genesis for whoever checks offline, and from the succession that comes with a proof.

use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName};
use ledger::node_key::NodeKey;
use ledger::receipt::Trust;
use ledger::succession::{Succession, SuccessionError, Validators};

use crate::membership::{MembershipError, Registry};

/// Why nothing can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The genesis founds no network, or a proven registry cannot be read.
    #[error("the members: {0}")]
    Membership(#[from] MembershipError),
    /// The succession does not follow from the genesis.
    #[error("the succession: {0}")]
    Succession(#[from] SuccessionError),
}

/// Pins the network, its validators in each epoch, and its members' keys.
///
/// Whether a certificate was valid when it signed, the validators judged when they took the statement.
pub fn trust(
    genesis: &Genesis,
    succession: Option<&Succession>,
) -> Result<Trust<impl Fn(&MemberName, Digest) -> Option<NodeKey> + use<>>, TrustError> {
    let registry = registry(genesis, succession)?;
    let validators = match succession {
        Some(succession) => succession.verify(genesis)?,
        None => Validators::founding(genesis),
    };
    Ok(Trust {
        network: genesis.network(),
        validators,
        key_of: move |member: &MemberName, thumbprint| {
            let certificate = registry.certificate(member, thumbprint);
            certificate.ok().map(|certificate| certificate.key)
        },
    })
}

/// The newest registry that is proven.
pub fn registry(
    genesis: &Genesis,
    succession: Option<&Succession>,
) -> Result<Registry, TrustError> {
    let proven = succession.and_then(|succession| succession.registry.as_ref());
    let (Some(succession), Some(proven)) = (succession, proven) else {
        return Ok(Registry::from_genesis(genesis)?);
    };
    succession.verify(genesis)?;
    Ok(Registry::decode(&proven.registry)?)
}
