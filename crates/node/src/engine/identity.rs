//! The key of one validator and the committee it belongs to.

use super::config::{ConfigError, EngineConfig};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::Address;
use commonware_utils::ordered::Map;

/// What the settings say about keys and addresses, decoded.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: PrivateKey,
    pub(super) scheme: Scheme,
    pub(super) addresses: Map<PublicKey, Address>,
}

impl Identity {
    /// Reads and checks the settings.
    pub fn of(config: &EngineConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut addresses = Vec::with_capacity(config.validators.len());
        for (number, validator) in config.validators.iter().enumerate() {
            let key = PublicKey::decode(Copying(&validator.public_key))
                .map_err(|_| ConfigError::BadPublicKey(number))?;
            addresses.push((key, Address::from(validator.address)));
        }
        let addresses: Map<PublicKey, Address> = addresses
            .try_into()
            .map_err(|_| ConfigError::ValidatorsOutOfOrder)?;
        let key =
            PrivateKey::decode(Copying(&config.seed)).map_err(|_| ConfigError::NotAValidator)?;
        let scheme = Scheme::signer(&config.namespace, addresses.keys().clone(), key.clone())
            .ok_or(ConfigError::NotAValidator)?;
        Ok(Self {
            key,
            scheme,
            addresses,
        })
    }

    /// Public key of this validator.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }
}
