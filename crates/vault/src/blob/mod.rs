//! Payloads that are too large for the database, in an object store, by random names.
//!
//! # Invariants
//! - Only sealed bytes get in: the store takes a [`SealedPayload`] or seals what it is given.
//! - **V3** A put is durable before it is acknowledged. `object_store` syncs a local file and its folders only if told
//!   so (`with_fsync`), and never syncs a deletion; the first is switched on in [`BlobStore::open`], the second is
//!   done here.
//!   A bucket acknowledges what it keeps; an upload in parts is there whole or not at all.
//! - A place is one node's, which [`BlobStore::claim`] makes sure of for a bucket: a node deletes what it does not name.
//! - A name is random: it says nothing about the content, and equal contents have different names.

mod id;
mod place;
mod s3;
mod stream;

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

pub use self::id::{BlobId, InvalidBlobId};
pub use self::s3::{S3Config, S3Credentials, S3CredentialsError};
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
    /// A bucket of an S3-compatible object store.
    S3(S3Config),
}

impl From<PathBuf> for BlobConfig {
    fn from(folder: PathBuf) -> Self {
        Self::Local { folder }
    }
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
    /// The folder cannot be worked with.
    #[error("object store failed")]
    Store(#[source] object_store::Error),
    /// The bucket cannot be reached, or does not serve: asking again later may help.
    #[error("the object store does not serve: {0}")]
    Unavailable(String),
    /// Another node keeps its payloads there.
    #[error("the place of the payloads is another node's: give each node a prefix of its own")]
    OwnedByAnother,
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
                let objects = LocalFileSystem::new_with_prefix(folder);
                Ok(Self {
                    objects: Arc::new(objects.map_err(BlobError::Store)?.with_fsync(true)),
                    folder: Some(folder.as_path().into()),
                })
            }
            BlobConfig::S3(bucket) => Ok(Self {
                objects: s3::connect(bucket)?,
                folder: None,
            }),
        }
    }

    /// Stores a sealed payload; durable when it returns.
    pub async fn put(&self, sealed: SealedPayload) -> Result<BlobId, BlobError> {
        let id = BlobId::random();
        let payload = PutPayload::from(sealed.into_bytes());
        // A folder on every file system can rename; not every one can link.
        let mode = match self.folder {
            Some(_) => PutMode::Overwrite,
            None => PutMode::Create,
        };
        let put = self
            .objects
            .put_opts(&location(id), payload, mode.into())
            .await;
        match put {
            Ok(_) => Ok(id),
            // Nobody else draws the same 128 bits: an attempt whose answer was lost has stored it.
            Err(object_store::Error::AlreadyExists { .. }) if self.folder.is_none() => Ok(id),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The sealed size of a blob.
    pub async fn size(&self, id: BlobId) -> Result<u64, BlobError> {
        let found = self.objects.head(&location(id)).await;
        Ok(found.map_err(|error| self.missing(id, error))?.size)
    }

    /// The sealed payload, whole.
    pub async fn get(&self, id: BlobId) -> Result<SealedPayload, BlobError> {
        let found = self.objects.get(&location(id)).await;
        let found = found.map_err(|error| self.missing(id, error))?;
        let bytes = found.bytes().await.map_err(|error| self.failed(error))?;
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
        let upload = self.objects.put_multipart(&location(id)).await;
        let upload = upload.map_err(|error| self.failed(error))?;
        let is_folder = self.folder.is_some();
        Ok(BlobWriter::new(
            id,
            upload,
            is_folder,
            (data_key, associated_data),
        ))
    }

    /// Begins to read a blob that is opened while it is read, in constant memory.
    pub async fn reader(
        &self,
        id: BlobId,
        data_key: &DataKey,
        associated_data: &[u8],
    ) -> Result<BlobReader, BlobError> {
        let sealed = self.sealed_stream(id).await?;
        Ok(BlobReader::new(id, sealed, data_key, associated_data))
    }

    /// The sealed bytes piece by piece, as they go to another member.
    pub async fn sealed_stream(
        &self,
        id: BlobId,
    ) -> Result<BoxStream<'static, Result<bytes::Bytes, BlobError>>, BlobError> {
        let found = self.objects.get(&location(id)).await;
        let sealed = found
            .map_err(|error| self.missing(id, error))?
            .into_stream();
        let is_folder = self.folder.is_some();
        Ok(sealed
            .map_err(move |error| failed(is_folder, error))
            .boxed())
    }

    /// Deletes a blob; durable when it returns, and harmless when it is gone already.
    pub async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match self.objects.delete(&location(id)).await {
            Ok(()) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(self.failed(error)),
        }
        if let Some(folder) = &self.folder {
            let shard = folder.join(id.shard());
            on_disk(move || std::fs::File::open(shard)?.sync_all()).await?;
        }
        Ok(())
    }

    /// All blobs, in no order.
    pub fn list(&self) -> BoxStream<'static, Result<BlobEntry, BlobError>> {
        let is_folder = self.folder.is_some();
        self.objects
            .list(None)
            .map_err(move |error| failed(is_folder, error))
            .try_filter_map(|object| std::future::ready(Ok(entry(&object))))
            .boxed()
    }

    /// Deletes what interrupted writes before `before` left in a folder; answers how many there were.
    ///
    /// A bucket shows no unfinished uploads here: its own rules end them.
    pub async fn sweep_leftovers(&self, before: SystemTime) -> Result<u64, BlobError> {
        match self.folder.clone() {
            Some(folder) => on_disk(move || sweep_leftovers(&folder, before)).await,
            None => Ok(0),
        }
    }

    fn failed(&self, error: object_store::Error) -> BlobError {
        failed(self.folder.is_some(), error)
    }

    fn missing(&self, id: BlobId, error: object_store::Error) -> BlobError {
        match error {
            object_store::Error::NotFound { .. } => BlobError::Missing(id),
            other => self.failed(other),
        }
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
    // Another node's prefix may lie below this one.
    (object.location == location(id)).then_some(BlobEntry {
        id,
        bytes: object.size,
        written_at: object.last_modified.into(),
    })
}

/// A bucket may serve later; a folder that fails is damaged.
fn failed(is_folder: bool, error: object_store::Error) -> BlobError {
    if is_folder {
        BlobError::Store(error)
    } else {
        s3::unavailable(&error)
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
