//! One signing key of a key store, as a handle to pass around.

use std::fmt;
use std::sync::Arc;

use super::{KeyStore, KeyStoreError, SecretName, SigningPublicKey};

/// Signs with one key of a store; stops working when the key is destroyed.
#[derive(Clone)]
pub struct Signer {
    store: Arc<dyn KeyStore>,
    name: SecretName,
    public_key: SigningPublicKey,
}

impl Signer {
    /// A handle to the signing key `name`.
    pub fn new(store: Arc<dyn KeyStore>, name: SecretName) -> Result<Self, KeyStoreError> {
        let public_key = store.signing_public_key(&name)?;
        Ok(Self {
            store,
            name,
            public_key,
        })
    }

    /// The public key.
    pub fn public_key(&self) -> &SigningPublicKey {
        &self.public_key
    }

    /// A signature, as [`KeyStore::sign`] gives it.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyStoreError> {
        self.store.sign(&self.name, message)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}
