//! What is trusted: the genesis, and what follows from it.

use contracts::membership::Registry;
use ed25519_zebra::VerificationKey;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName};
use ledger::receipt::Trust;

use crate::failure::Failure;

/// Pins the network, its validators and its members' keys.
pub(crate) fn of(
    genesis: &Genesis,
) -> Result<Trust<impl Fn(&MemberName, Digest) -> Option<VerificationKey>>, Failure> {
    let registry = registry(genesis)?;
    Ok(Trust {
        network: genesis.network(),
        validators: genesis.validators(),
        // Whether the certificate was valid then, the validators have judged when they took the statement.
        key_of: move |member: &MemberName, thumbprint| {
            let certificate = registry.certificate(member, thumbprint);
            certificate.ok().map(|certificate| certificate.key)
        },
    })
}

fn registry(genesis: &Genesis) -> Result<Registry, Failure> {
    Registry::from_genesis(genesis).map_err(|error| Failure::new("genesis", error))
}
