//! A secret and what it may be used for.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING,
    PqdsaKeyPair,
};
use zeroize::Zeroizing;

use super::{KeyStoreError, SecretName};
use crate::entropy::random;
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
    /// A P-256 private key, for a node or an authority whose certificates have to be of that kind.
    SigningP256,
}

/// The public key of a signing key, as certificates hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPublicKey {
    /// Ed25519.
    Ed25519([u8; 32]),
    /// P-256, the uncompressed point (SEC 1).
    P256([u8; 65]),
}

impl SigningPublicKey {
    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
            Self::P256(bytes) => bytes,
        }
    }
}

/// 32 secret bytes and their kind.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    /// Seconds since 1970.
    made_at: Option<u64>,
    bytes: Zeroizing<[u8; 32]>,
}

impl Secret {
    /// Takes a secret's bytes.
    pub fn new(kind: SecretKind, bytes: [u8; 32]) -> Self {
        Self {
            kind,
            made_at: None,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// A fresh secret.
    pub fn generate(kind: SecretKind) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let made_at = since.map(|since| since.as_secs());
        loop {
            let secret = Self::new(kind, random()).made(made_at);
            // Of 2^256 values nearly all are P-256 keys, and all are keys of the other kinds.
            if kind != SecretKind::SigningP256 || p256_pair(&secret.bytes).is_some() {
                return secret;
            }
        }
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

    /// When it was made, in seconds since 1970, if that is known.
    pub fn made_at(&self) -> Option<u64> {
        self.made_at
    }

    /// The same secret, made at that time.
    pub fn made(mut self, at: Option<u64>) -> Self {
        self.made_at = at;
        self
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

/// A secret made ready: key pairs are computed once, when it is loaded.
pub(super) struct Entry {
    pub(super) secret: Secret,
    pair: Pair,
}

enum Pair {
    Signing(Box<Ed25519KeyPair>),
    SigningP256(Box<EcdsaKeyPair>),
    Agreement(HpkeKeyPair),
    Cosigning(Box<PqdsaKeyPair>),
    None,
}

impl Entry {
    #[expect(clippy::expect_used, reason = "the length of the seed is in its type")]
    /// `None` if the secret is not one of its kind.
    pub(super) fn new(secret: Secret) -> Option<Self> {
        let pair = match secret.kind {
            SecretKind::Signing => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&*secret.bytes);
                Pair::Signing(Box::new(pair.expect("any 32 bytes are an Ed25519 seed")))
            }
            SecretKind::SigningP256 => Pair::SigningP256(Box::new(p256_pair(&secret.bytes)?)),
            SecretKind::Agreement => {
                Pair::Agreement(HpkeKeyPair::from_private(secret.bytes.clone()))
            }
            SecretKind::Cosigning => {
                let pair = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &*secret.bytes);
                Pair::Cosigning(Box::new(pair.expect("any 32 bytes are an ML-DSA-44 seed")))
            }
            SecretKind::Symmetric => Pair::None,
        };
        Some(Self { secret, pair })
    }

    /// The public key of a signing key of either kind.
    pub(super) fn public(&self, name: &SecretName) -> Result<SigningPublicKey, KeyStoreError> {
        let wrong = || KeyStoreError::WrongKind(name.clone());
        match &self.pair {
            Pair::Signing(pair) => Ok(SigningPublicKey::Ed25519(public_key_of(pair))),
            Pair::SigningP256(pair) => {
                let point = pair.public_key().as_ref().try_into();
                point.map(SigningPublicKey::P256).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    /// A signature by a signing key of either kind.
    pub(super) fn sign(
        &self,
        name: &SecretName,
        message: &[u8],
    ) -> Result<[u8; 64], KeyStoreError> {
        let failed = || KeyStoreError::CannotSign(name.clone());
        let signature = match &self.pair {
            Pair::Signing(pair) => pair.sign(message),
            Pair::SigningP256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| failed())?,
            _ => return Err(KeyStoreError::WrongKind(name.clone())),
        };
        signature.as_ref().try_into().map_err(|_| failed())
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

fn p256_pair(private: &[u8; 32]) -> Option<EcdsaKeyPair> {
    let key = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
    let public = key.compute_public_key().ok()?;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public.as_ref()).ok()
}
