//! Descriptors and rows: one version byte, a random nonce, the sealed bytes, the tag.

use zeroize::Zeroizing;

use super::payload::OpenError;
use crate::aead::{Aead, NONCE_BYTES, TAG_BYTES};
use crate::entropy::random;
use crate::secret::ClearBytes;

const VERSION: u8 = 0x81;

/// Seals a small value. Random nonces bear 2^32 values under one key.
pub fn seal_small(key: &[u8; 32], associated_data: &[u8], clear: &[u8]) -> Vec<u8> {
    seal_with_nonce(key, random(), associated_data, clear)
}

/// Opens what [`seal_small`] sealed under the same key and associated data.
pub fn open_small(
    key: &[u8; 32],
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<ClearBytes, OpenError> {
    let (version, rest) = sealed.split_first().ok_or(OpenError::Truncated)?;
    if *version != VERSION {
        return Err(OpenError::UnknownVersion(*version));
    }
    let (nonce, body) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .filter(|(_, body)| body.len() >= TAG_BYTES)
        .ok_or(OpenError::Truncated)?;
    let mut clear = Zeroizing::new(Vec::with_capacity(body.len()));
    Aead::new(key)
        .open(*nonce, associated_data, body, &mut clear)
        .map_err(|_| OpenError::NotAuthentic)?;
    Ok(ClearBytes::new(clear))
}

pub(super) fn seal_with_nonce(
    key: &[u8; 32],
    nonce: [u8; NONCE_BYTES],
    associated_data: &[u8],
    clear: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + clear.len() + TAG_BYTES);
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    Aead::new(key).seal(nonce, associated_data, clear, &mut sealed);
    sealed
}
