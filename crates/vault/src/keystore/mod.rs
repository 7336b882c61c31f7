//! Private keys behind one trait, and what implements it: a key file, and a PKCS#11 token with a key file that it seals.
//!
//! A key is used where it lies: [`KeyStore::sign`], [`KeyStore::unwrap_for`]. [`KeyStore::expose`] exists for what
//! other libraries must hold themselves (the engine's validator seed, branch keys); no key of a token is exposed.

mod file;
mod format;
mod name;
mod pkcs11;
mod replace;
mod secret;
mod signer;

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

pub use self::file::FileKeyStore;
pub use self::format::KdfCost;
pub use self::name::{InvalidSecretName, SecretName};
pub use self::pkcs11::{Pin, Pkcs11Config, Pkcs11KeyStore, TokenFacts, initialise, token_facts};
pub use self::secret::{Secret, SecretKind, SigningPublicKey};
pub use self::signer::Signer;
use crate::secret::{ClearBytes, SmallKey};
use crate::wrap::{HpkeError, HpkePublicKey, WrappedKey, WrappingKey};

/// Holds a member's or a node's private keys.
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Adds secrets, all or none, durably before it returns.
    fn insert_all(&self, secrets: Vec<(SecretName, Secret)>) -> Result<(), KeyStoreError>;

    /// Destroys a secret, durably before it returns.
    fn destroy(&self, name: &SecretName) -> Result<(), KeyStoreError>;

    /// Sees what other processes have changed since the store was opened.
    fn refresh(&self) -> Result<(), KeyStoreError>;

    /// The names of the secrets, in order.
    fn names(&self) -> Vec<SecretName>;

    /// Whether there is a secret of that name.
    fn contains(&self, name: &SecretName) -> bool;

    /// What kind of secret it is, where it is kept, and since when.
    fn facts(&self, name: &SecretName) -> Result<KeyFacts, KeyStoreError>;

    /// The public key of an Ed25519 signing key.
    fn public_key(&self, name: &SecretName) -> Result<[u8; 32], KeyStoreError>;

    /// The public key of a signing key, Ed25519 or P-256.
    fn signing_public_key(&self, name: &SecretName) -> Result<SigningPublicKey, KeyStoreError>;

    /// A signature by a signing key: Ed25519, or ECDSA with SHA-256 as `r` and `s`, of which `s` may be the higher one.
    fn sign(&self, name: &SecretName, message: &[u8]) -> Result<[u8; 64], KeyStoreError>;

    /// The ML-DSA-44 public key of a cosigning key, 1,312 bytes.
    fn ml_dsa_44_public_key(&self, name: &SecretName) -> Result<Vec<u8>, KeyStoreError>;

    /// An ML-DSA-44 signature (FIPS 204, hedged, with an empty context), 2,420 bytes.
    fn sign_ml_dsa_44(&self, name: &SecretName, message: &[u8]) -> Result<Vec<u8>, KeyStoreError>;

    /// The HPKE public key of an agreement key.
    fn hpke_public_key(&self, name: &SecretName) -> Result<HpkePublicKey, KeyStoreError>;

    /// Unwraps a key that was wrapped to an agreement key.
    fn unwrap_for(
        &self,
        name: &SecretName,
        info: &[u8],
        associated_data: &[u8],
        wrapped: &WrappedKey,
    ) -> Result<ClearBytes, KeyStoreError>;

    /// The secret itself, whatever its kind (for a signing key the Ed25519 seed or the P-256 private key).
    fn expose(&self, name: &SecretName) -> Result<Zeroizing<[u8; 32]>, KeyStoreError>;

    /// Adds one secret.
    fn insert(&self, name: SecretName, secret: Secret) -> Result<(), KeyStoreError> {
        self.insert_all(vec![(name, secret)])
    }

    /// Adds a fresh secret; a signing key of the node is made in its token, if it has one.
    fn generate(&self, name: SecretName, kind: SecretKind) -> Result<(), KeyStoreError> {
        self.insert(name, Secret::generate(kind))
    }

    /// Adds a fresh wrapping key for an epoch.
    fn generate_wrapping_key(&self, epoch: u32) -> Result<(), KeyStoreError> {
        self.generate(SecretName::wrapping(epoch), SecretKind::Symmetric)
    }

    /// The wrapping key of an epoch.
    fn wrapping_key(&self, epoch: u32) -> Result<WrappingKey, KeyStoreError> {
        let key = self.expose(&SecretName::wrapping(epoch))?;
        Ok(WrappingKey::new(epoch, SmallKey::from_bytes(*key)))
    }

    /// The wrapping key of the latest epoch, if there is any.
    fn latest_wrapping_key(&self) -> Result<Option<WrappingKey>, KeyStoreError> {
        let epochs = self.names().into_iter().filter_map(|name| name.epoch());
        epochs
            .max()
            .map(|epoch| self.wrapping_key(epoch))
            .transpose()
    }
}

/// What may be said of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// What it is for.
    pub kind: SecretKind,
    /// Where it is.
    pub place: KeyPlace,
    /// When it was made, in seconds since 1970, if that is known (of a token's key, its day).
    pub made_at: Option<u64>,
}

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In the key file.
    File,
    /// In a PKCS#11 token.
    Token {
        /// Whether the token says that the key was made in it and never leaves it.
        is_confined: bool,
    },
}

/// Why a key store refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// There is no key file at that place.
    #[error("there is no key file at {0}")]
    NoKeyFile(PathBuf),
    /// A key file is there already; it is never overwritten by a new one.
    #[error("there is a key file at {0} already")]
    KeyFileExists(PathBuf),
    /// The file is something else.
    #[error("file is not a key file")]
    NotAKeyFile,
    /// The key file is of a format that this software does not know.
    #[error("key file has the unknown format version {0}")]
    UnknownVersion(u8),
    /// The key file was damaged or changed.
    #[error("key file is corrupted")]
    Corrupted,
    /// The passphrase is not the key file's.
    #[error("passphrase is wrong")]
    WrongPassphrase,
    /// The file asks for more memory or time than a key file may.
    #[error("key file asks for excessive key derivation parameters")]
    ExcessiveCost,
    /// Another process gave the file a new passphrase; it must be opened again.
    #[error("key file was given a new passphrase by another process")]
    PassphraseChanged,
    /// A secret of that name is there already.
    #[error("secret {0} is there already")]
    SecretExists(SecretName),
    /// There is no secret of that name.
    #[error("there is no secret {0}")]
    NoSecret(SecretName),
    /// The bytes are not a key of the kind that they are kept as.
    #[error("secret {0} is no key of its kind")]
    NotAKey(SecretName),
    /// The secret is not for that use.
    #[error("secret {0} is not for this use")]
    WrongKind(SecretName),
    /// What was wrapped to a key of this store does not unwrap.
    #[error(transparent)]
    Unwrap(#[from] HpkeError),
    /// The library could not sign.
    #[error("secret {0} could not sign")]
    CannotSign(SecretName),
    /// The PKCS#11 library does not load.
    #[error("PKCS#11 library {path} does not load: {reason}")]
    Module {
        /// Where it should be.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// No token has that label.
    #[error("there is no token with the label `{0}`")]
    NoToken(String),
    /// More than one token has that label.
    #[error("several tokens have the label `{0}`")]
    SeveralTokens(String),
    /// A token that should be new is there already.
    #[error("there is a token with the label `{0}` already")]
    TokenExists(String),
    /// Every token has a label.
    #[error("there is no token that is not initialised")]
    NoEmptyToken,
    /// The token refuses the PIN.
    #[error("token refuses the PIN")]
    WrongPin,
    /// Wrong PINs have locked the token.
    #[error("PIN is locked: the security officer has to set a new one")]
    PinLocked,
    /// The token failed, also in a new session.
    #[error("token failed: {0}")]
    Token(String),
    /// The secret is a key of a token, which does not leave it.
    #[error("secret {0} stays in its token")]
    StaysInToken(SecretName),
    /// The key file has no seal of a token.
    #[error("there is no seal of a token at {0}")]
    NoSeal(PathBuf),
    /// The token does not open the seal around the key file.
    #[error("seal around the key file does not open with this token")]
    SealBroken,
    /// The disk failed.
    #[error("key file cannot be read or written")]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
