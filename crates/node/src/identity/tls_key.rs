//! A key of the key store as rustls uses one: it signs handshakes where it lies, in a file's memory or in a token.

use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use vault::keystore::SigningPublicKey;

/// The node's key for TLS.
#[derive(Debug, Clone)]
pub(super) struct StoredKey(vault::keystore::Signer);

impl StoredKey {
    pub(super) fn new(signer: vault::keystore::Signer) -> Self {
        Self(signer)
    }
}

impl SigningKey for StoredKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&self.scheme());
        is_offered.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let key = self.0.public_key();
        let algorithm = match key {
            SigningPublicKey::Ed25519(_) => alg_id::ED25519,
            SigningPublicKey::P256(_) => alg_id::ECDSA_P256,
        };
        Some(public_key_to_spki(&algorithm, key.as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.public_key() {
            SigningPublicKey::Ed25519(_) => SignatureAlgorithm::ED25519,
            SigningPublicKey::P256(_) => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for StoredKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.sign_der(message);
        signature.map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        match self.0.public_key() {
            SigningPublicKey::Ed25519(_) => SignatureScheme::ED25519,
            SigningPublicKey::P256(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}
