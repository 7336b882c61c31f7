//! Keys as types: no key is taken for another, printed, or left behind in memory.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::derive::derive_into;
use crate::entropy::fill_random;

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Box<[u8; 32]>);

        impl $name {
            /// Takes the key's bytes.
            pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
                let key = Self::filled(|place| place.copy_from_slice(&bytes));
                bytes.zeroize();
                key
            }

            /// A key that is written where it stays: what is moved leaves a copy behind.
            pub(crate) fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
                let mut key = Self(Box::new([0; 32]));
                fill(&mut key.0);
                key
            }

            /// The key's bytes; whoever asks answers for where they go.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl Zeroize for $name {
            fn zeroize(&mut self) {
                self.0.as_mut().zeroize();
            }
        }

        impl ZeroizeOnDrop for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                self.zeroize();
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                verify_slices_are_equal(&*self.0, &*other.0).is_ok()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key! {
    /// The one random key of a record version: its data key, descriptor key, row key and opening
    /// derive from it, so that destroying it erases the version.
    EraseKey
}

secret_key! {
    /// Seals a payload; may leave the member, wrapped to one requester.
    DataKey
}

secret_key! {
    /// Seals descriptors and rows, many under one key.
    SmallKey
}

secret_key! {
    /// The secret without which an item's commitment says nothing.
    Opening
}

impl EraseKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self::filled(fill_random)
    }

    /// The opening of the version's item.
    pub fn opening(&self) -> Opening {
        Opening::filled(|place| self.derive("careledger/erase-key/v1/opening", place))
    }

    /// The key of the version's payload.
    pub fn data_key(&self) -> DataKey {
        DataKey::filled(|place| self.derive("careledger/erase-key/v1/payload", place))
    }

    /// The key of the version's descriptor.
    pub fn descriptor_key(&self) -> SmallKey {
        SmallKey::filled(|place| self.derive("careledger/erase-key/v1/descriptor", place))
    }

    /// The key of the version's index rows.
    pub fn row_key(&self) -> SmallKey {
        SmallKey::filled(|place| self.derive("careledger/erase-key/v1/rows", place))
    }

    fn derive(&self, info: &str, place: &mut [u8; 32]) {
        derive_into(&self.0, &[], info, place);
    }
}

impl DataKey {
    /// A fresh key, for what has no erase key.
    pub fn generate() -> Self {
        Self::filled(fill_random)
    }
}

impl SmallKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self::filled(fill_random)
    }
}

/// Opened bytes: patient data in memory, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearBytes(Zeroizing<Vec<u8>>);

impl ClearBytes {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Hands the bytes over; they are no longer wiped.
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl std::ops::Deref for ClearBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ClearBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClearBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClearBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_version_differ_from_each_other() {
        let erase_key = EraseKey::from_bytes([7; 32]);
        let keys = [
            *erase_key.expose(),
            *erase_key.opening().expose(),
            *erase_key.data_key().expose(),
            *erase_key.descriptor_key().expose(),
            *erase_key.row_key().expose(),
        ];
        for (position, key) in keys.iter().enumerate() {
            assert!(!keys[..position].contains(key), "key {position} repeats");
        }
        assert_eq!(
            erase_key.data_key(),
            EraseKey::from_bytes([7; 32]).data_key()
        );
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let erase_key = EraseKey::from_bytes([0x5a; 32]);
        let clear = ClearBytes::new(Zeroizing::new(b"Name".to_vec()));
        let printed = format!(
            "{erase_key:?} {:?} {:?} {:?} {clear:?}",
            erase_key.opening(),
            erase_key.data_key(),
            erase_key.row_key()
        );
        assert_eq!(
            printed,
            "EraseKey(..) Opening(..) DataKey(..) SmallKey(..) ClearBytes(4 bytes)"
        );
    }

    #[test]
    fn fresh_keys_differ() {
        assert_ne!(EraseKey::generate(), EraseKey::generate());
    }
}
