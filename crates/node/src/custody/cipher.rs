//! Seals and opens rows and other small values, by the vault.

use vault::seal::{open_small, seal_small};
use vault::secret::ClearBytes;

use super::CustodyError;

pub(crate) fn seal(key: &[u8; 32], bound: &[u8], plain: &[u8]) -> Vec<u8> {
    seal_small(key, bound, plain)
}

pub(crate) fn open(
    key: &[u8; 32],
    bound: &[u8],
    sealed: &[u8],
) -> Result<ClearBytes, CustodyError> {
    open_small(key, bound, sealed)
        .map_err(|error| CustodyError::Storage(format!("a sealed row does not open: {error}")))
}
