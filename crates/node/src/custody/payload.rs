//! Payloads: sealed contents, small ones in the row, large ones in the blob store; or contents of an existing server.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest;
use futures::{Stream, TryStreamExt as _};
use interop::fhir::{Issue, IssueType};
use ledger::ids::Digest;
use vault::blob::{BlobConfig, BlobEntry, BlobError, BlobId, BlobReader, BlobStore, BlobWriter};
use vault::seal::{self, SealedPayload};
use vault::secret::{ClearBytes, DataKey};
use zeroize::Zeroizing;

use super::CustodyError;
use super::keys::EraseKey;
use super::rows::{Payload, type_of};
use super::upstream::Upstream;

/// Bound into every payload's seal. The key is of one version, so nothing else needs to be.
const BOUND: &[u8] = b"careledger/payload/v1";
/// Sealed contents above this size go to the blob store.
const INLINE_BYTES_MAX: usize = 64 << 10;

#[derive(Clone)]
pub(crate) struct Payloads {
    blobs: BlobStore,
    /// Blobs of uploads whose rows are not written yet: these may take any time.
    under_way: Arc<Mutex<BTreeSet<BlobId>>>,
    upstream: Option<Arc<Upstream>>,
}

/// A payload that is sealed while it arrives.
pub(crate) struct PayloadWriter {
    blob: BlobWriter,
    digest: digest::Context,
    bytes: u64,
}

/// Keeps a blob from being swept until its row is written.
pub(crate) struct UnderWay {
    id: BlobId,
    all: Arc<Mutex<BTreeSet<BlobId>>>,
}

impl Payloads {
    pub(crate) fn open_in(place: &BlobConfig) -> Result<Self, CustodyError> {
        let blobs = BlobStore::open(place)?;
        Ok(Self {
            blobs,
            under_way: Arc::default(),
            upstream: None,
        })
    }

    /// The same before an existing server, if there is one.
    pub(crate) fn before(self, upstream: Option<Arc<Upstream>>) -> Self {
        Self { upstream, ..self }
    }

    /// The existing server that holds contents.
    pub(crate) fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref()
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

    /// All blobs, in no order.
    pub(crate) fn entries(&self) -> impl Stream<Item = Result<BlobEntry, BlobError>> + use<> {
        self.blobs.list()
    }

    /// Blobs of uploads whose rows are not written yet.
    pub(crate) fn under_way(&self) -> BTreeSet<BlobId> {
        locked(&self.under_way).clone()
    }

    pub(crate) async fn sweep(&self, id: BlobId) -> Result<(), CustodyError> {
        Ok(self.blobs.delete(id).await?)
    }

    pub(crate) async fn sweep_leftovers(&self, before: SystemTime) -> Result<u64, CustodyError> {
        Ok(self.blobs.sweep_leftovers(before).await?)
    }

    /// Begins a payload of any size.
    pub(crate) async fn writer(
        &self,
        erase: &EraseKey,
    ) -> Result<(PayloadWriter, UnderWay), CustodyError> {
        let blob = self.blobs.writer(&erase.payload(), BOUND).await?;
        let under_way = UnderWay {
            id: blob.id(),
            all: Arc::clone(&self.under_way),
        };
        locked(&self.under_way).insert(blob.id());
        let writer = PayloadWriter {
            blob,
            digest: digest::Context::new(&digest::SHA256),
            bytes: 0,
        };
        Ok((writer, under_way))
    }

    /// Reads a blob piece by piece.
    pub(crate) async fn reader(
        &self,
        erase: &EraseKey,
        locator: &str,
    ) -> Result<BlobReader, CustodyError> {
        let id = id_of(locator)?;
        Ok(self.blobs.reader(id, &erase.payload(), BOUND).await?)
    }

    /// The first clear bytes of a blob.
    pub(crate) async fn head(
        &self,
        erase: &EraseKey,
        locator: &str,
        bytes: u64,
    ) -> Result<Vec<u8>, CustodyError> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut reader = self.reader(erase, locator).await?;
        let mut head = Vec::new();
        while head.len() < bytes {
            let Some(piece) = reader.next().await? else {
                return Err(CustodyError::Storage("a payload is too short".to_owned()));
            };
            head.extend_from_slice(&piece);
        }
        head.truncate(bytes);
        Ok(head)
    }

    /// SHA-256 of the clear content, of whatever size.
    pub(crate) async fn digest(
        &self,
        erase: &EraseKey,
        payload: &Payload,
    ) -> Result<Digest, CustodyError> {
        let Some(locator) = payload.locator() else {
            return Ok(Digest::of(&self.open(erase, payload).await?));
        };
        let mut reader = self.reader(erase, locator).await?;
        let mut digest = digest::Context::new(&digest::SHA256);
        while let Some(piece) = reader.next().await? {
            digest.update(&piece);
        }
        Ok(finished(digest))
    }

    /// Deletes a blob; harmless when it is gone already.
    pub(crate) async fn delete(&self, locator: &str) -> Result<(), CustodyError> {
        Ok(self.blobs.delete(id_of(locator)?).await?)
    }

    /// The sealed bytes, from wherever they are.
    pub(crate) async fn sealed(
        &self,
        erase: &EraseKey,
        payload: &Payload,
    ) -> Result<Vec<u8>, CustodyError> {
        match payload {
            Payload::None => Ok(Vec::new()),
            Payload::Inline(sealed) => Ok(sealed.clone()),
            Payload::Blob(locator) => Ok(self.blobs.get(id_of(locator)?).await?.into_bytes()),
            Payload::Streamed { .. } => Err(too_large()),
            Payload::Upstream { .. } => {
                let content = self.open(erase, payload).await?;
                Ok(seal::seal(&erase.payload(), BOUND, &content).into_bytes())
            }
        }
    }

    pub(crate) async fn open(
        &self,
        erase: &EraseKey,
        payload: &Payload,
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let clear = match payload {
            Payload::None => open_with(&erase.payload(), Vec::new())?,
            Payload::Inline(sealed) => open_with(&erase.payload(), sealed.clone())?,
            Payload::Blob(locator) => {
                let id = id_of(locator)?;
                self.blobs.open_payload(id, &erase.payload(), BOUND).await?
            }
            Payload::Streamed { .. } => return Err(too_large()),
            Payload::Upstream {
                resource_type,
                id,
                version_id,
                digest,
            } => {
                let away = CustodyError::Unavailable {
                    what: "the existing server",
                };
                let upstream = self.upstream.as_ref().ok_or(away)?;
                let place = (id.as_str(), version_id.as_str());
                let content = upstream.content(type_of(resource_type)?, place, *digest);
                return Ok(Zeroizing::new(content.await?));
            }
        };
        Ok(Zeroizing::new(clear.into_vec()))
    }
}

impl PayloadWriter {
    /// Takes the next clear bytes.
    pub(crate) async fn write(&mut self, clear: &[u8]) -> Result<(), CustodyError> {
        self.digest.update(clear);
        self.bytes = self.bytes.saturating_add(clear.len() as u64);
        Ok(self.blob.write(clear).await?)
    }

    /// Clear bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Completes the blob, which is durable when this returns: its name, and SHA-256 of the content.
    pub(crate) async fn finish(self) -> Result<(String, Digest), CustodyError> {
        let id = self.blob.finish().await?;
        Ok((id.to_string(), finished(self.digest)))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.id);
    }
}

fn locked(under_way: &Mutex<BTreeSet<BlobId>>) -> MutexGuard<'_, BTreeSet<BlobId>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finished(context: digest::Context) -> Digest {
    let mut digest = Digest([0; 32]);
    let hash = context.finish();
    digest
        .0
        .iter_mut()
        .zip(hash.as_ref())
        .for_each(|(to, from)| *to = *from);
    digest
}

fn too_large() -> CustodyError {
    CustodyError::Invalid(Issue::error(
        IssueType::TooLong,
        "the content is too large for this answer: read the Binary with an Accept header of its own type",
    ))
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
            BlobError::Unavailable(_) => {
                tracing::warn!(%error, "large payloads cannot be reached");
                Self::Unavailable {
                    what: "the store of large payloads",
                }
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
