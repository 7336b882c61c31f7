//! Payloads that are too large for the database, in an object store, by random names.
//!
//! # Invariants
//! - Only sealed bytes get in: the store takes a [`SealedPayload`] or seals what it is given.
//! - **V3** A put is durable before it is acknowledged. `object_store` syncs a local file and its folders only if told
//!   so (`with_fsync`), and never syncs a deletion; the first is switched on in [`BlobStore::open`], the second is
//!   done here.
//! - A name is random: it says nothing about the content, and equal contents have different names.

mod id;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

pub use self::id::{BlobId, InvalidBlobId};
pub use self::stream::{BlobReader, BlobWriter};
use crate::seal::{self, OpenError, SealedPayload};
use crate::secret::{ClearBytes, DataKey};

/// Which object store holds the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobConfig {
    /// A folder of the local file system.
    Local {
        /// The folder; it is made if it is not there.
        folder: PathBuf,
    },
}

/// Holds sealed payloads. A clone is another handle to the same store.
#[derive(Clone)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    /// The folder, if the store is one: its deletions and leftovers are looked after here.
    folder: Option<Arc<FilePath>>,
}

/// A blob as the store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its name.
    pub id: BlobId,
    /// Its sealed size.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub written_at: SystemTime,
}

/// Why a blob cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("blob {0} is missing")]
    Missing(BlobId),
    /// The blob is there but does not open: damaged, cut, exchanged, or another key.
    #[error("blob {id} does not open")]
    Unsound {
        /// The blob.
        id: BlobId,
        /// What is wrong with it.
        #[source]
        source: OpenError,
    },
    /// The object store failed.
    #[error("object store failed")]
    Store(#[from] object_store::Error),
    /// The disk failed.
    #[error("blob folder cannot be read or written")]
    Io(#[from] std::io::Error),
}

impl BlobStore {
    /// Opens a store.
    pub fn open(config: &BlobConfig) -> Result<Self, BlobError> {
        match config {
            BlobConfig::Local { folder } => {
                make_folder(folder)?;
                let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                Ok(Self {
                    objects: Arc::new(objects),
                    folder: Some(folder.as_path().into()),
                })
            }
        }
    }

    /// Stores a sealed payload; durable when it returns.
    pub async fn put(&self, sealed: SealedPayload) -> Result<BlobId, BlobError> {
        let id = BlobId::random();
        let payload = PutPayload::from(sealed.into_bytes());
        self.objects.put(&location(id), payload).await?;
        Ok(id)
    }

    /// The sealed payload, whole.
    pub async fn get(&self, id: BlobId) -> Result<SealedPayload, BlobError> {
        let found = self.objects.get(&location(id)).await;
        let bytes = found.map_err(|error| missing(id, error))?.bytes().await?;
        SealedPayload::from_bytes(bytes.into()).map_err(|source| BlobError::Unsound { id, source })
    }

    /// The payload, opened, whole.
    pub async fn open_payload(
        &self,
        id: BlobId,
        data_key: &DataKey,
        associated_data: &[u8],
    ) -> Result<ClearBytes, BlobError> {
        let sealed = self.get(id).await?;
        seal::open(data_key, associated_data, &sealed)
            .map_err(|source| BlobError::Unsound { id, source })
    }

    /// Begins a blob that is sealed while it is written, in constant memory.
    pub async fn writer(
        &self,
        data_key: &DataKey,
        associated_data: &[u8],
    ) -> Result<BlobWriter, BlobError> {
        let id = BlobId::random();
        let upload = self.objects.put_multipart(&location(id)).await?;
        Ok(BlobWriter::new(id, upload, data_key, associated_data))
    }

    /// Begins to read a blob that is opened while it is read, in constant memory.
    pub async fn reader(
        &self,
        id: BlobId,
        data_key: &DataKey,
        associated_data: &[u8],
    ) -> Result<BlobReader, BlobError> {
        let found = self.objects.get(&location(id)).await;
        let sealed = found.map_err(|error| missing(id, error))?.into_stream();
        Ok(BlobReader::new(id, sealed, data_key, associated_data))
    }

    /// The sealed bytes piece by piece, as they go to another member.
    pub async fn sealed_stream(
        &self,
        id: BlobId,
    ) -> Result<BoxStream<'static, Result<bytes::Bytes, BlobError>>, BlobError> {
        let found = self.objects.get(&location(id)).await;
        let sealed = found.map_err(|error| missing(id, error))?.into_stream();
        Ok(sealed.map_err(BlobError::from).boxed())
    }

    /// Deletes a blob; durable when it returns, and harmless when it is gone already.
    pub async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match self.objects.delete(&location(id)).await {
            Ok(()) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if let Some(folder) = &self.folder {
            let shard = folder.join(id.shard());
            on_disk(move || std::fs::File::open(shard)?.sync_all()).await?;
        }
        Ok(())
    }

    /// All blobs, in no order.
    pub fn list(&self) -> BoxStream<'static, Result<BlobEntry, BlobError>> {
        self.objects
            .list(None)
            .map_err(BlobError::from)
            .try_filter_map(|object| std::future::ready(Ok(entry(&object))))
            .boxed()
    }

    /// Deletes blobs that no record names, and what interrupted writes left; answers how many of both.
    ///
    /// A write puts its blob before its row is committed: only what was written before `before` is swept, which must
    /// lie further back than any write takes, and before `live` was collected.
    pub async fn sweep_orphans(
        &self,
        live: &BTreeSet<BlobId>,
        before: SystemTime,
    ) -> Result<u64, BlobError> {
        let mut swept = 0;
        let mut entries = self.list();
        while let Some(entry) = entries.try_next().await? {
            if entry.written_at < before && !live.contains(&entry.id) {
                self.delete(entry.id).await?;
                swept += 1;
            }
        }
        if let Some(folder) = self.folder.clone() {
            swept += on_disk(move || sweep_leftovers(&folder, before)).await?;
        }
        Ok(swept)
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStore({})", self.objects)
    }
}

/// 256 folders keep each one short.
fn location(id: BlobId) -> Path {
    Path::from_iter([id.shard(), id.to_string()])
}

fn entry(object: &object_store::ObjectMeta) -> Option<BlobEntry> {
    let id = object.location.filename()?.parse().ok()?;
    Some(BlobEntry {
        id,
        bytes: object.size,
        written_at: object.last_modified.into(),
    })
}

fn missing(id: BlobId, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::Missing(id),
        other => other.into(),
    }
}

/// Makes the folder durably: a put syncs what is below it, not its own entry.
fn make_folder(folder: &FilePath) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let absolute = std::path::absolute(folder)?;
    match absolute.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Unfinished writes stand beside their blob as `NAME#N`, which the object store does not list.
fn sweep_leftovers(folder: &FilePath, before: SystemTime) -> std::io::Result<u64> {
    let mut swept = 0;
    for shard in std::fs::read_dir(folder)? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shard.path())? {
            let file = file?;
            let leftover = file.file_name().to_string_lossy().contains('#');
            if leftover && file.metadata()?.modified()? < before {
                std::fs::remove_file(file.path())?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(std::io::Error::other)??)
}

#[cfg(test)]
mod tests;
