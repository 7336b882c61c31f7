//! The key table: one small row for each record version, holding its wrapped erase key.
//!
//! The table is the one place from which erase keys come back, and it is kept out of ordinary backups. The node
//! stores the rows; here is their encoding.

use minicbor::{Decode, Encode};

/// An erase key as the table holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct WrappedEraseKey {
    /// The epoch of the wrapping key.
    #[n(0)]
    pub epoch: u32,
    /// The random nonce of the wrap.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 12],
    /// The sealed key and its tag.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub ciphertext: [u8; 48],
}

/// The bytes are no row of the key table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key table row is malformed")]
pub struct MalformedRow;

impl WrappedEraseKey {
    /// The row's bytes.
    #[expect(
        clippy::expect_used,
        reason = "encoding into memory fails only for types that refuse"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("integers and byte strings encode")
    }

    /// Reads a row; it must be exactly what [`WrappedEraseKey::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let row: Self = minicbor::decode(bytes).map_err(|_| MalformedRow)?;
        if row.to_bytes() == bytes {
            Ok(row)
        } else {
            Err(MalformedRow)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip() {
        let row = WrappedEraseKey {
            epoch: 300,
            nonce: [1; 12],
            ciphertext: [2; 48],
        };
        let bytes = row.to_bytes();
        assert_eq!(bytes.len(), 67);
        assert_eq!(WrappedEraseKey::from_bytes(&bytes), Ok(row));
    }

    #[test]
    fn a_cut_or_lengthened_row_is_malformed() {
        let row = WrappedEraseKey {
            epoch: 1,
            nonce: [1; 12],
            ciphertext: [2; 48],
        };
        let mut bytes = row.to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(
                WrappedEraseKey::from_bytes(&bytes[..length]),
                Err(MalformedRow)
            );
        }
        bytes.push(0);
        assert_eq!(WrappedEraseKey::from_bytes(&bytes), Err(MalformedRow));
    }
}
