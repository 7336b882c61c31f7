//! The key store with a PKCS#11 token.
//!
//! Signing keys of the node, of its authority and for access tokens are made in the token and never leave it: statements,
//! requests, certificates and TLS handshakes are signed there. What a library must hold itself is in a key file that the
//! token seals ([`seal`]). `docs/adr/0020-keys-in-a-token.md` says what that protects and what not.

mod config;
mod objects;
mod seal;
mod sessions;
mod setup;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use zeroize::Zeroizing;

pub use self::config::{Pin, Pkcs11Config};
use self::objects::Held;
use self::sessions::Sessions;
pub use self::setup::{TokenFacts, initialise, token_facts};
use super::replace::lock;
use super::{
    FileKeyStore, KeyFacts, KeyPlace, KeyStore, KeyStoreError, Secret, SecretKind, SecretName,
    SigningPublicKey,
};
use crate::secret::ClearBytes;
use crate::wrap::{HpkePublicKey, WrappedKey};

/// Signing keys in a token, the other secrets in a key file that the token seals. Clones share both.
///
/// # Invariants
/// - **V6** A key that was made in the token is used there alone: no method yields it.
/// - A name is a key of the token or a secret of the file, never both.
#[derive(Clone)]
pub struct Pkcs11KeyStore(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    file: FileKeyStore,
    path: PathBuf,
    held: RwLock<Catalogue>,
}

/// The token's keys, as they were when its sessions were of this generation.
struct Catalogue {
    generation: u64,
    keys: BTreeMap<SecretName, Held>,
}

impl Pkcs11KeyStore {
    /// Opens token and key file.
    pub fn open(config: &Pkcs11Config) -> Result<Self, KeyStoreError> {
        let sessions = Sessions::open(config)?;
        let file = seal::open(&sessions, &config.file)?;
        Self::with(sessions, file, config)
    }

    /// Makes the sealing key in a token, and an empty key file under it.
    pub fn create(config: &Pkcs11Config) -> Result<Self, KeyStoreError> {
        let sessions = Sessions::open(config)?;
        let file = seal::create(&sessions, &config.file)?;
        Self::with(sessions, file, config)
    }

    /// SHA-256 of the seal around the key file.
    pub fn seal_digest(&self) -> Result<[u8; 32], KeyStoreError> {
        Ok(seal::digest_of(&self.0.path)?)
    }

    fn with(
        sessions: Sessions,
        file: FileKeyStore,
        config: &Pkcs11Config,
    ) -> Result<Self, KeyStoreError> {
        let store = Self(Arc::new(Inner {
            held: RwLock::new(Catalogue {
                generation: sessions.generation(),
                keys: sessions.run(objects::list)?,
            }),
            sessions,
            file,
            path: config.file.clone(),
        }));
        Ok(store)
    }

    /// The token's key of that name, if it has one.
    fn held(&self, name: &SecretName) -> Option<Held> {
        self.catalogue().keys.get(name).cloned()
    }

    fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn list_again(&self) -> Result<(), KeyStoreError> {
        let keys = self.0.sessions.run(objects::list)?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Catalogue {
            generation: self.0.sessions.generation(),
            keys,
        };
        Ok(())
    }

    /// Refuses a use of a key that is in the token.
    fn outside(&self, name: &SecretName) -> Result<&FileKeyStore, KeyStoreError> {
        match self.held(name) {
            Some(_) => Err(KeyStoreError::StaysInToken(name.clone())),
            None => Ok(&self.0.file),
        }
    }
}

impl KeyStore for Pkcs11KeyStore {
    fn insert_all(&self, secrets: Vec<(SecretName, Secret)>) -> Result<(), KeyStoreError> {
        for (name, _) in &secrets {
            if self.held(name).is_some() {
                return Err(KeyStoreError::SecretExists(name.clone()));
            }
        }
        self.0.file.insert_all(secrets)
    }

    fn destroy(&self, name: &SecretName) -> Result<(), KeyStoreError> {
        if self.held(name).is_none() {
            return self.0.file.destroy(name);
        }
        self.0
            .sessions
            .run(|session| objects::destroy(session, name))?;
        self.list_again()
    }

    fn refresh(&self) -> Result<(), KeyStoreError> {
        self.0.file.refresh()?;
        self.list_again()
    }

    fn names(&self) -> Vec<SecretName> {
        let mut names = self.0.file.names();
        names.extend(self.catalogue().keys.keys().cloned());
        names.sort_unstable();
        names
    }

    fn contains(&self, name: &SecretName) -> bool {
        self.held(name).is_some() || self.0.file.contains(name)
    }

    fn facts(&self, name: &SecretName) -> Result<KeyFacts, KeyStoreError> {
        let Some(held) = self.held(name) else {
            return self.0.file.facts(name);
        };
        let kind = match held.public {
            SigningPublicKey::Ed25519(_) => SecretKind::Signing,
            SigningPublicKey::P256(_) => SecretKind::SigningP256,
        };
        Ok(KeyFacts {
            kind,
            place: KeyPlace::Token {
                is_confined: held.is_confined,
            },
            made_at: held.made_at,
        })
    }

    fn public_key(&self, name: &SecretName) -> Result<[u8; 32], KeyStoreError> {
        match self.held(name).map(|held| held.public) {
            Some(SigningPublicKey::Ed25519(key)) => Ok(key),
            Some(SigningPublicKey::P256(_)) => Err(KeyStoreError::WrongKind(name.clone())),
            None => self.0.file.public_key(name),
        }
    }

    fn signing_public_key(&self, name: &SecretName) -> Result<SigningPublicKey, KeyStoreError> {
        match self.held(name) {
            Some(held) => Ok(held.public),
            None => self.0.file.signing_public_key(name),
        }
    }

    fn sign(&self, name: &SecretName, message: &[u8]) -> Result<[u8; 64], KeyStoreError> {
        if self.held(name).is_none() {
            return self.0.file.sign(name, message);
        }
        let signature = self.0.sessions.run(|session| {
            let known = self.catalogue();
            let current = known.generation == self.0.sessions.generation();
            let held = known.keys.get(name).filter(|_| current).cloned();
            drop(known);
            // After a loss the handles are others.
            let held = match held {
                Some(held) => Some(held),
                None => objects::list(session)?.remove(name),
            };
            held.map(|held| objects::sign(session, &held, message))
                .transpose()
        })?;
        if self.catalogue().generation != self.0.sessions.generation() {
            self.list_again()?;
        }
        let signature = signature.ok_or_else(|| KeyStoreError::NoSecret(name.clone()))?;
        let signature = signature.as_slice().try_into();
        signature.map_err(|_| KeyStoreError::CannotSign(name.clone()))
    }

    fn ml_dsa_44_public_key(&self, name: &SecretName) -> Result<Vec<u8>, KeyStoreError> {
        self.outside(name)?.ml_dsa_44_public_key(name)
    }

    fn sign_ml_dsa_44(&self, name: &SecretName, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        self.outside(name)?.sign_ml_dsa_44(name, message)
    }

    fn hpke_public_key(&self, name: &SecretName) -> Result<HpkePublicKey, KeyStoreError> {
        self.outside(name)?.hpke_public_key(name)
    }

    fn unwrap_for(
        &self,
        name: &SecretName,
        info: &[u8],
        associated_data: &[u8],
        wrapped: &WrappedKey,
    ) -> Result<ClearBytes, KeyStoreError> {
        self.outside(name)?
            .unwrap_for(name, info, associated_data, wrapped)
    }

    fn expose(&self, name: &SecretName) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        self.outside(name)?.expose(name)
    }

    fn generate(&self, name: SecretName, kind: SecretKind) -> Result<(), KeyStoreError> {
        if !name.is_for_a_token() {
            return self.0.file.generate(name, kind);
        }
        // Other processes use the token, too.
        let _lock = lock(&seal::seal_of(&self.0.path))?;
        self.refresh()?;
        if self.contains(&name) {
            return Err(KeyStoreError::SecretExists(name));
        }
        self.0
            .sessions
            .run(|session| objects::generate(session, &name, kind))?;
        self.list_again()
    }
}

impl fmt::Debug for Pkcs11KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.catalogue().keys.len();
        write!(f, "Pkcs11KeyStore({keys} keys in {:?})", self.0.sessions)
    }
}

#[cfg(test)]
mod tests;
