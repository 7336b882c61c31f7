//! Whether a store can be worked with: asked once, when a node starts.

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode, PutPayload};

use super::{BlobError, BlobStore};
use crate::entropy::random;

/// Says whose payloads these are. Two nodes must not share a place: each would sweep the other's payloads.
const OWNER: &str = "owner";

impl BlobStore {
    /// Makes sure that the store answers, that it can be written to and deleted from, and that it is `owner`'s.
    pub async fn claim(&self, owner: &str) -> Result<(), BlobError> {
        if self.folder.is_some() {
            return Ok(());
        }
        let found = match self.owner().await? {
            Some(found) => found,
            None => {
                let payload = PutPayload::from(owner.as_bytes().to_vec());
                let mark = Path::from(OWNER);
                let put = self
                    .objects
                    .put_opts(&mark, payload, PutMode::Create.into());
                match put.await {
                    Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                    Err(error) => return Err(self.failed(error)),
                }
                self.owner().await?.unwrap_or_default()
            }
        };
        if found != owner.as_bytes() {
            return Err(BlobError::OwnedByAnother);
        }
        let probe = Path::from(format!("probe-{}", hex::encode(random::<16>())));
        let put = self.objects.put(&probe, PutPayload::from_static(b"probe"));
        put.await.map_err(|error| self.failed(error))?;
        let deleted = self.objects.delete(&probe).await;
        deleted.map_err(|error| self.failed(error))
    }

    async fn owner(&self) -> Result<Option<Vec<u8>>, BlobError> {
        match self.objects.get(&Path::from(OWNER)).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(|error| self.failed(error))?;
                Ok(Some(bytes.into()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }
}
