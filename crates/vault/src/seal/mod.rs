//! Seals and opens payloads, descriptors and rows.
//!
//! A payload has a data key of its own and may be gigabytes ([`seal`], [`PayloadSealer`]); descriptors and rows are
//! small and many share a key ([`seal_small`]). Formats: `docs/formats/sealed-payload.md`.
//!
//! # Invariants
//! - **V1** What opens is what was sealed, whole: a change, a cut, another order, another key or other associated
//!   data is an error.
//! - **V2** No (key, nonce) pair is used twice, even if one data key seals several payloads: each gets a random salt
//!   and with it a stream key of its own.

mod payload;
mod small;

pub use payload::{
    CHUNK_BYTES, HEADER_BYTES, OpenError, PayloadOpener, PayloadSealer, SealedPayload, open, seal,
    sealed_bytes,
};
pub use small::{open_small, seal_small};

/// Binds sealed bytes to their place: the network, the member that keeps them, the document.
///
/// Parts are preceded by their length, so that no two places read the same.
pub fn associated_data(network: &[u8; 32], member: &str, locator: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48 + member.len() + locator.len());
    for part in [network.as_slice(), member.as_bytes(), locator] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
