//! The key of one node.

use super::config::{ConfigError, EngineConfig};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};

/// What the settings say about this node's key, decoded.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: PrivateKey,
}

impl Identity {
    /// Reads and checks the settings.
    pub fn of(config: &EngineConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let key = PrivateKey::decode(Copying(config.seed.as_slice()))
            .map_err(|_| ConfigError::BadSeed)?;
        Ok(Self { key })
    }

    /// Public key of this node.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }
}
