//! Blobs of any size in constant memory: sealed while written, opened while read.

use std::fmt;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use object_store::{MultipartUpload, WriteMultipart};
use zeroize::Zeroizing;

use super::{BlobError, BlobId, failed};
use crate::seal::{PayloadOpener, PayloadSealer};
use crate::secret::{ClearBytes, DataKey};

/// S3 takes no smaller parts.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts on their way; with the one being filled this bounds the memory of a writer.
const PARTS_IN_FLIGHT: usize = 2;
/// What is sealed at once: bounds the buffer however large a piece the caller brings.
const PIECE_BYTES: usize = 1024 * 1024;

/// Writes one blob. Dropped before [`BlobWriter::finish`], it leaves no blob.
pub struct BlobWriter {
    id: BlobId,
    /// `None` once it was finished or given up.
    upload: Option<WriteMultipart>,
    is_folder: bool,
    sealer: Option<PayloadSealer>,
    sealed: Vec<u8>,
}

impl BlobWriter {
    pub(super) fn new(
        id: BlobId,
        upload: Box<dyn MultipartUpload>,
        is_folder: bool,
        (data_key, associated_data): (&DataKey, &[u8]),
    ) -> Self {
        let upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        Self {
            id,
            upload: Some(upload),
            is_folder,
            sealer: Some(PayloadSealer::new(data_key, associated_data)),
            sealed: Vec::new(),
        }
    }

    /// The name that the blob will have.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Takes the next clear bytes.
    pub async fn write(&mut self, clear: &[u8]) -> Result<(), BlobError> {
        let (Some(sealer), Some(upload)) = (&mut self.sealer, &mut self.upload) else {
            return Ok(());
        };
        for piece in clear.chunks(PIECE_BYTES) {
            sealer.update(piece, &mut self.sealed);
            let capacity = upload.wait_for_capacity(PARTS_IN_FLIGHT).await;
            capacity.map_err(|error| failed(self.is_folder, error))?;
            upload.write(&self.sealed);
            self.sealed.clear();
        }
        Ok(())
    }

    /// Completes the blob; durable when it returns.
    pub async fn finish(mut self) -> Result<BlobId, BlobError> {
        if let (Some(sealer), Some(mut upload)) = (self.sealer.take(), self.upload.take()) {
            sealer.finish(&mut self.sealed);
            upload.write(&self.sealed);
            let finished = upload.finish().await;
            finished.map_err(|error| failed(self.is_folder, error))?;
        }
        Ok(self.id)
    }
}

impl Drop for BlobWriter {
    /// A store keeps the parts of an upload, and counts them, until it is told that the rest will not come.
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), runtime) {
            runtime.spawn(async move {
                // The store's own rule ends what cannot be ended here.
                let _ended = upload.abort().await;
            });
        }
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({})", self.id)
    }
}

/// Reads one blob. What it yields is authentic; only the final `None` says that nothing is missing.
pub struct BlobReader {
    id: BlobId,
    sealed: BoxStream<'static, Result<Bytes, BlobError>>,
    opener: Option<PayloadOpener>,
}

impl BlobReader {
    pub(super) fn new(
        id: BlobId,
        sealed: BoxStream<'static, Result<Bytes, BlobError>>,
        data_key: &DataKey,
        associated_data: &[u8],
    ) -> Self {
        Self {
            id,
            sealed,
            opener: Some(PayloadOpener::new(data_key, associated_data)),
        }
    }

    /// The next clear bytes; `None` after the last, once the blob is known to be whole.
    pub async fn next(&mut self) -> Result<Option<ClearBytes>, BlobError> {
        let id = self.id;
        let unsound = |source| BlobError::Unsound { id, source };
        let mut clear = Zeroizing::new(Vec::new());
        while let Some(opener) = &mut self.opener {
            match self.sealed.try_next().await? {
                Some(sealed) => opener.update(&sealed, &mut clear).map_err(unsound)?,
                None => {
                    if let Some(opener) = self.opener.take() {
                        opener.finish(&mut clear).map_err(unsound)?;
                    }
                }
            }
            if !clear.is_empty() {
                return Ok(Some(ClearBytes::new(clear)));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobReader({})", self.id)
    }
}
