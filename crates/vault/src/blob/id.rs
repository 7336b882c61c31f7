//! Names of blobs.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::entropy::random;

/// The random name of a blob; as text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct BlobId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

/// The text is no blob name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name of a blob is 32 lower-case hexadecimal digits")]
pub struct InvalidBlobId;

impl BlobId {
    pub(super) fn random() -> Self {
        Self(random())
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The folder that the blob lies in.
    pub fn shard(self) -> String {
        hex::encode(&self.0[..1])
    }
}

impl From<[u8; 16]> for BlobId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for BlobId {
    type Err = InvalidBlobId;

    fn from_str(text: &str) -> Result<Self, InvalidBlobId> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidBlobId)?;
        let id = Self(bytes);
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidBlobId)
        }
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}
