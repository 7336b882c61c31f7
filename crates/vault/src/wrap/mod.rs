//! Wraps keys: erase keys under the member's own wrapping key, any key for one recipient by HPKE.
//!
//! A wrapping key has an epoch. Rotation wraps the small key table again and touches no payload; once the old epoch's
//! key is destroyed, every older copy of the table is noise.

mod hpke;

use std::fmt;

use zeroize::Zeroizing;

pub use self::hpke::{HpkeError, HpkeKeyPair, HpkePublicKey, WrappedKey, wrap_for};
use crate::aead::Aead;
use crate::entropy::random;
use crate::keytable::WrappedEraseKey;
use crate::secret::{EraseKey, SmallKey};

/// The key under which a member keeps its erase keys during one epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappingKey {
    epoch: u32,
    key: SmallKey,
}

/// Why a wrapped erase key does not unwrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The key was wrapped in another epoch.
    #[error("key was wrapped in epoch {wrapped}, the wrapping key is of epoch {offered}")]
    OtherEpoch {
        /// The epoch that the record names.
        wrapped: u32,
        /// The epoch of the wrapping key.
        offered: u32,
    },
    /// The record was changed, moved to another version, or wrapped under another key.
    #[error("wrapped key is not authentic for this record version")]
    NotAuthentic,
}

impl WrappingKey {
    /// Takes an epoch's key.
    pub fn new(epoch: u32, key: SmallKey) -> Self {
        Self { epoch, key }
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Wraps the erase key of the record version at `locator`. Random nonces bear 2^32 wraps in one epoch.
    pub fn wrap(&self, locator: &[u8], erase_key: &EraseKey) -> WrappedEraseKey {
        let nonce = random();
        let mut ciphertext = Vec::with_capacity(48);
        self.aead().seal(
            nonce,
            &bound(self.epoch, locator),
            erase_key.expose(),
            &mut ciphertext,
        );
        let mut wrapped = WrappedEraseKey {
            epoch: self.epoch,
            nonce,
            ciphertext: [0; 48],
        };
        wrapped.ciphertext.copy_from_slice(&ciphertext);
        wrapped
    }

    /// Unwraps the erase key of the record version at `locator`.
    pub fn unwrap(
        &self,
        locator: &[u8],
        wrapped: &WrappedEraseKey,
    ) -> Result<EraseKey, UnwrapError> {
        if wrapped.epoch != self.epoch {
            return Err(UnwrapError::OtherEpoch {
                wrapped: wrapped.epoch,
                offered: self.epoch,
            });
        }
        let mut clear = Zeroizing::new(Vec::with_capacity(48));
        self.aead()
            .open(
                wrapped.nonce,
                &bound(self.epoch, locator),
                &wrapped.ciphertext,
                &mut clear,
            )
            .map_err(|_| UnwrapError::NotAuthentic)?;
        Ok(EraseKey::filled(|key| key.copy_from_slice(&clear)))
    }

    fn aead(&self) -> Aead {
        Aead::new(self.key.expose())
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey(epoch {}, ..)", self.epoch)
    }
}

/// A wrap moved to another version or epoch does not unwrap.
fn bound(epoch: u32, locator: &[u8]) -> Vec<u8> {
    [
        b"careledger/wrap/v1".as_slice(),
        &epoch.to_be_bytes(),
        locator,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
