//! Payloads: sealed contents, small ones in the row, large ones in the blob store.

use zeroize::Zeroizing;

use super::CustodyError;
use super::cipher;
use super::keys::EraseKey;
use super::rows::Payload;

/// Bound into every payload's seal. The key is of one version, so nothing else needs to be.
const BOUND: &[u8] = b"careledger/payload/v1";

pub(crate) struct Payloads {}

impl Payloads {
    pub(crate) async fn seal(
        &self,
        erase: &EraseKey,
        content: &[u8],
    ) -> Result<Payload, CustodyError> {
        Ok(Payload::Inline(cipher::seal(
            &erase.payload(),
            BOUND,
            content,
        )))
    }

    pub(crate) async fn delete(&self, locator: &str) -> Result<(), CustodyError> {
        Ok(())
    }

    /// The sealed bytes, from wherever they are.
    pub(crate) async fn sealed(&self, payload: &Payload) -> Result<Vec<u8>, CustodyError> {
        match payload {
            Payload::None => Ok(Vec::new()),
            Payload::Inline(sealed) => Ok(sealed.clone()),
            Payload::Blob(_) => Err(CustodyError::Gone),
        }
    }

    pub(crate) async fn open(
        &self,
        erase: &EraseKey,
        payload: &Payload,
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        open_with(&erase.payload(), &self.sealed(payload).await?)
    }
}

pub(crate) fn open_with(key: &[u8; 32], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    cipher::open(key, BOUND, sealed)
}
