//! A secret and what it may be used for.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::{KeyStoreError, SecretName};
use crate::wrap::HpkeKeyPair;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// An Ed25519 seed.
    Signing,
    /// An X25519 private key, for HPKE.
    Agreement,
    /// A key of a cipher or of a derivation.
    Symmetric,
    /// The seed of an ML-DSA-44 key (FIPS 204).
    Cosigning,
}

/// 32 secret bytes and their kind.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    bytes: Zeroizing<[u8; 32]>,
}

impl Secret {
    /// Takes a secret's bytes.
    pub fn new(kind: SecretKind, bytes: [u8; 32]) -> Self {
        Self {
            kind,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// Takes an Ed25519 private key in PKCS#8 (DER).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, NotAnEd25519Key> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| NotAnEd25519Key)?;
        let pkcs8 = pkcs8_of(&pair).ok_or(NotAnEd25519Key)?;
        // The version 1 encoding that aws-lc-rs writes ends with the seed.
        let seed = pkcs8.last_chunk::<32>().ok_or(NotAnEd25519Key)?;
        Ok(Self::new(SecretKind::Signing, *seed))
    }

    /// Seed and public key of a signing key.
    pub fn ed25519(&self) -> Option<(Zeroizing<[u8; 32]>, [u8; 32])> {
        if self.kind != SecretKind::Signing {
            return None;
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(self.bytes.as_slice()).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some((self.bytes.clone(), public))
    }

    /// What the secret is for.
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    pub(super) fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, ..)", self.kind)
    }
}

/// The bytes are no Ed25519 private key in PKCS#8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes are not an Ed25519 private key in PKCS#8")]
pub struct NotAnEd25519Key;

/// A secret made ready: key pairs are computed once, when it is loaded.
pub(super) struct Entry {
    pub(super) secret: Secret,
    pair: Pair,
}

enum Pair {
    Signing(Box<Ed25519KeyPair>),
    Agreement(HpkeKeyPair),
    Cosigning(Box<PqdsaKeyPair>),
    None,
}

impl Entry {
    #[expect(clippy::expect_used, reason = "the length of the seed is in its type")]
    pub(super) fn new(secret: Secret) -> Self {
        let pair = match secret.kind {
            SecretKind::Signing => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&*secret.bytes);
                Pair::Signing(Box::new(pair.expect("any 32 bytes are an Ed25519 seed")))
            }
            SecretKind::Agreement => {
                Pair::Agreement(HpkeKeyPair::from_private(secret.bytes.clone()))
            }
            SecretKind::Cosigning => {
                let pair = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &*secret.bytes);
                Pair::Cosigning(Box::new(pair.expect("any 32 bytes are an ML-DSA-44 seed")))
            }
            SecretKind::Symmetric => Pair::None,
        };
        Self { secret, pair }
    }

    pub(super) fn signing(&self, name: &SecretName) -> Result<&Ed25519KeyPair, KeyStoreError> {
        match &self.pair {
            Pair::Signing(pair) => Ok(pair),
            _ => Err(KeyStoreError::WrongKind(name.clone())),
        }
    }

    pub(super) fn cosigning(&self, name: &SecretName) -> Result<&PqdsaKeyPair, KeyStoreError> {
        match &self.pair {
            Pair::Cosigning(pair) => Ok(pair),
            _ => Err(KeyStoreError::WrongKind(name.clone())),
        }
    }

    pub(super) fn agreement(&self, name: &SecretName) -> Result<&HpkeKeyPair, KeyStoreError> {
        match &self.pair {
            Pair::Agreement(pair) => Ok(pair),
            _ => Err(KeyStoreError::WrongKind(name.clone())),
        }
    }
}

pub(super) fn public_key_of(pair: &Ed25519KeyPair) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(pair.public_key().as_ref());
    bytes
}

/// PKCS#8 version 1: what OpenSSL, rustls and token libraries all read.
pub(super) fn pkcs8_of(pair: &Ed25519KeyPair) -> Option<Zeroizing<Vec<u8>>> {
    let document = pair.to_pkcs8v1().ok()?;
    Some(Zeroizing::new(document.as_ref().to_vec()))
}
