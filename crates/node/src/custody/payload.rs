//! Payloads: sealed contents, small ones in the row, large ones in the blob store.

use std::error::Error as _;
use std::path::Path;

use futures::TryStreamExt as _;
use vault::blob::{BlobConfig, BlobError, BlobId, BlobStore};
use vault::seal::{self, SealedPayload};
use vault::secret::{ClearBytes, DataKey};

use super::CustodyError;
use super::keys::EraseKey;
use super::rows::Payload;

/// Bound into every payload's seal. The key is of one version, so nothing else needs to be.
const BOUND: &[u8] = b"careledger/payload/v1";
/// Sealed contents above this size go to the blob store.
const INLINE_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Payloads {
    blobs: BlobStore,
}

impl Payloads {
    pub(crate) fn open_in(folder: &Path) -> Result<Self, CustodyError> {
        let folder = folder.to_owned();
        let blobs = BlobStore::open(&BlobConfig::Local { folder })?;
        Ok(Self { blobs })
    }

    /// Seals a content; a large one is durable in the blob store when this returns.
    pub(crate) async fn seal(
        &self,
        erase: &EraseKey,
        content: &[u8],
    ) -> Result<Payload, CustodyError> {
        let sealed = seal::seal(&erase.payload(), BOUND, content);
        if sealed.as_bytes().len() <= INLINE_BYTES_MAX {
            return Ok(Payload::Inline(sealed.into_bytes()));
        }
        let id = self.blobs.put(sealed).await?;
        Ok(Payload::Blob(id.to_string()))
    }

    /// The names of all blobs.
    pub(crate) async fn names(&self) -> Result<Vec<BlobId>, CustodyError> {
        let names = self.blobs.list().map_ok(|entry| entry.id);
        Ok(names.try_collect().await?)
    }

    /// Deletes a blob; harmless when it is gone already.
    pub(crate) async fn delete(&self, locator: &str) -> Result<(), CustodyError> {
        Ok(self.blobs.delete(id_of(locator)?).await?)
    }

    /// The sealed bytes, from wherever they are.
    pub(crate) async fn sealed(&self, payload: &Payload) -> Result<Vec<u8>, CustodyError> {
        match payload {
            Payload::None => Ok(Vec::new()),
            Payload::Inline(sealed) => Ok(sealed.clone()),
            Payload::Blob(locator) => Ok(self.blobs.get(id_of(locator)?).await?.into_bytes()),
        }
    }

    pub(crate) async fn open(
        &self,
        erase: &EraseKey,
        payload: &Payload,
    ) -> Result<ClearBytes, CustodyError> {
        match payload {
            Payload::Blob(locator) => {
                let id = id_of(locator)?;
                Ok(self.blobs.open_payload(id, &erase.payload(), BOUND).await?)
            }
            other => open_with(&erase.payload(), self.sealed(other).await?),
        }
    }
}

/// Opens a sealed content with its data key.
pub(crate) fn open_with(key: &DataKey, sealed: Vec<u8>) -> Result<ClearBytes, CustodyError> {
    let damaged = |error| CustodyError::Storage(format!("a payload does not open: {error}"));
    let sealed = SealedPayload::from_bytes(sealed).map_err(damaged)?;
    seal::open(key, BOUND, &sealed).map_err(damaged)
}

fn id_of(locator: &str) -> Result<BlobId, CustodyError> {
    let id = locator.parse();
    id.map_err(|_| CustodyError::Storage("a row names no blob".to_owned()))
}

impl From<BlobError> for CustodyError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing(id) | BlobError::Unsound { id, .. } => {
                tracing::error!(%error, "a payload cannot be opened");
                Self::DamagedBlob(id)
            }
            other if is_disk_full(&other) => Self::DiskFull,
            other => Self::Storage(other.to_string()),
        }
    }
}

fn is_disk_full(error: &BlobError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}
