//! The key store in one encrypted file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use aws_lc_rs::signature::KeyPair as _;
use zeroize::Zeroizing;

use super::format::{FileKey, KdfCost, Secrets, unlock};
use super::replace::{lock, replace};
use super::secret::{Entry, public_key_of};
use super::{KeyFacts, KeyPlace, KeyStore, KeyStoreError, Secret, SecretName, SigningPublicKey};
use crate::secret::ClearBytes;
use crate::wrap::{HpkePublicKey, WrappedKey};

/// Secrets in a file under a passphrase, kept in memory while it is open. A clone is another handle to the same store.
///
/// # Invariants
/// - **V3** A change is on disk before it is acknowledged; a crash leaves the file as it was before or after.
/// - Several processes may open one file: a change is made to what is on disk, under a lock.
#[derive(Clone)]
pub struct FileKeyStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Held throughout a change.
    key: Mutex<FileKey>,
    entries: RwLock<BTreeMap<SecretName, Entry>>,
}

impl FileKeyStore {
    /// Makes a key file without secrets. Takes as long as `cost` says; so does [`FileKeyStore::open`].
    pub fn create(path: &Path, passphrase: &[u8], cost: KdfCost) -> Result<Self, KeyStoreError> {
        let key = FileKey::create(passphrase, cost)?;
        let _lock = lock(path)?;
        if fs::exists(path)? {
            return Err(KeyStoreError::KeyFileExists(path.to_owned()));
        }
        replace(path, &key.encode(&Secrets::new()))?;
        Self::with(path, key, Secrets::new())
    }

    /// Opens a key file.
    pub fn open(path: &Path, passphrase: &[u8]) -> Result<Self, KeyStoreError> {
        let (key, secrets) = unlock(&read(path)?, passphrase)?;
        Self::with(path, key, secrets)
    }

    /// Gives the file a new passphrase. Other handles to the file must be opened again.
    pub fn change_passphrase(&self, passphrase: &[u8], cost: KdfCost) -> Result<(), KeyStoreError> {
        let new = FileKey::create(passphrase, cost)?;
        let mut key = self.key();
        let _lock = lock(&self.0.path)?;
        let secrets = key.decode(&read(&self.0.path)?)?;
        replace(&self.0.path, &new.encode(&secrets))?;
        *key = new;
        Ok(())
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn with(path: &Path, key: FileKey, secrets: Secrets) -> Result<Self, KeyStoreError> {
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            key: Mutex::new(key),
            entries: RwLock::new(ready(secrets)?),
        })))
    }

    /// Changes the file first and the memory after it.
    fn change(
        &self,
        change: impl FnOnce(&mut Secrets) -> Result<(), KeyStoreError>,
    ) -> Result<(), KeyStoreError> {
        let key = self.key();
        let _lock = lock(&self.0.path)?;
        let mut secrets = key.decode(&read(&self.0.path)?)?;
        change(&mut secrets)?;
        let bytes = key.encode(&secrets);
        let made_ready = ready(secrets)?;
        replace(&self.0.path, &bytes)?;
        let mut entries = self
            .0
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *entries = made_ready;
        Ok(())
    }

    fn with_entry<T>(
        &self,
        name: &SecretName,
        read: impl FnOnce(&Entry) -> Result<T, KeyStoreError>,
    ) -> Result<T, KeyStoreError> {
        let entries = self.entries();
        let entry = entries.get(name);
        read(entry.ok_or_else(|| KeyStoreError::NoSecret(name.clone()))?)
    }

    fn entries(&self) -> RwLockReadGuard<'_, BTreeMap<SecretName, Entry>> {
        self.0
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> MutexGuard<'_, FileKey> {
        self.0.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for FileKeyStore {
    fn insert_all(&self, new: Vec<(SecretName, Secret)>) -> Result<(), KeyStoreError> {
        self.change(|secrets| {
            new.into_iter()
                .try_for_each(|(name, secret)| match secrets.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert(secret);
                        Ok(())
                    }
                    Slot::Occupied(slot) => Err(KeyStoreError::SecretExists(slot.key().clone())),
                })
        })
    }

    fn destroy(&self, name: &SecretName) -> Result<(), KeyStoreError> {
        self.change(|secrets| match secrets.remove(name) {
            Some(_) => Ok(()),
            None => Err(KeyStoreError::NoSecret(name.clone())),
        })
    }

    fn refresh(&self) -> Result<(), KeyStoreError> {
        let refreshed = ready(self.key().decode(&read(&self.0.path)?)?)?;
        let entries = self.0.entries.write();
        *entries.unwrap_or_else(PoisonError::into_inner) = refreshed;
        Ok(())
    }

    fn names(&self) -> Vec<SecretName> {
        self.entries().keys().cloned().collect()
    }

    fn contains(&self, name: &SecretName) -> bool {
        self.entries().contains_key(name)
    }

    fn facts(&self, name: &SecretName) -> Result<KeyFacts, KeyStoreError> {
        self.with_entry(name, |entry| {
            Ok(KeyFacts {
                kind: entry.secret.kind(),
                place: KeyPlace::File,
                made_at: entry.secret.made_at(),
            })
        })
    }

    fn public_key(&self, name: &SecretName) -> Result<[u8; 32], KeyStoreError> {
        self.with_entry(name, |entry| entry.signing(name).map(public_key_of))
    }

    fn sign(&self, name: &SecretName, message: &[u8]) -> Result<[u8; 64], KeyStoreError> {
        self.with_entry(name, |entry| entry.sign(name, message))
    }

    fn signing_public_key(&self, name: &SecretName) -> Result<SigningPublicKey, KeyStoreError> {
        self.with_entry(name, |entry| entry.public(name))
    }

    fn ml_dsa_44_public_key(&self, name: &SecretName) -> Result<Vec<u8>, KeyStoreError> {
        self.with_entry(name, |entry| {
            Ok(entry.cosigning(name)?.public_key().as_ref().to_vec())
        })
    }

    fn sign_ml_dsa_44(&self, name: &SecretName, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        self.with_entry(name, |entry| {
            let pair = entry.cosigning(name)?;
            let mut signature = vec![0; pair.algorithm().signature_len()];
            pair.sign(message, &mut signature)
                .map_err(|_| KeyStoreError::CannotSign(name.clone()))?;
            Ok(signature)
        })
    }

    fn hpke_public_key(&self, name: &SecretName) -> Result<HpkePublicKey, KeyStoreError> {
        self.with_entry(name, |entry| {
            entry.agreement(name).map(|pair| pair.public_key())
        })
    }

    fn unwrap_for(
        &self,
        name: &SecretName,
        info: &[u8],
        associated_data: &[u8],
        wrapped: &WrappedKey,
    ) -> Result<ClearBytes, KeyStoreError> {
        self.with_entry(name, |entry| {
            let pair = entry.agreement(name)?;
            Ok(pair.unwrap(info, associated_data, wrapped)?)
        })
    }

    fn expose(&self, name: &SecretName) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        self.with_entry(name, |entry| Ok(entry.secret.bytes().clone()))
    }
}

impl fmt::Debug for FileKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileKeyStore({} secrets)", self.entries().len())
    }
}

fn ready(secrets: Secrets) -> Result<BTreeMap<SecretName, Entry>, KeyStoreError> {
    secrets
        .into_iter()
        .map(|(name, secret)| match Entry::new(secret) {
            Some(entry) => Ok((name, entry)),
            None => Err(KeyStoreError::NotAKey(name)),
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, KeyStoreError> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyStoreError::NoKeyFile(path.to_owned()),
        _ => KeyStoreError::Io(error),
    })
}
