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

    /// A signature as certificates and TLS have it: that of a P-256 key in DER.
    pub fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        let signature = self.sign(message)?;
        match self.public_key {
            SigningPublicKey::Ed25519(_) => Ok(signature.to_vec()),
            SigningPublicKey::P256(_) => {
                let signature = p256::ecdsa::Signature::from_slice(&signature);
                let signature =
                    signature.map_err(|_| KeyStoreError::CannotSign(self.name.clone()))?;
                Ok(signature.normalize_s().to_der().as_bytes().to_vec())
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}
