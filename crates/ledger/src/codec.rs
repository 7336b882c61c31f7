//! Deterministic CBOR: what encodes has one encoding, and only that one decodes.

use minicbor::{Decode, Encode};

/// Why bytes are not one of our structures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not CBOR of the expected shape.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The bytes decode, but a different encoding of the same value exists.
    #[error("{0} is not in its deterministic encoding")]
    NotDeterministic(&'static str),
    /// The bytes are longer than the bound for this structure.
    #[error("{0} is larger than its bound")]
    TooLarge(&'static str),
}

/// Encodes `value`.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    match minicbor::encode(value, &mut bytes) {
        Ok(()) => bytes,
        // INVARIANT: writing to a Vec cannot fail, and our types' encoders report no error.
        Err(_) => unreachable!("encoding to memory is infallible"),
    }
}

/// Decodes a `what`, refusing trailing bytes and any encoding other than [`encode`]'s.
pub fn decode<T>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let value: T = minicbor::decode(bytes).map_err(|_| DecodeError::Malformed(what))?;
    if encode(&value) != bytes {
        return Err(DecodeError::NotDeterministic(what));
    }
    Ok(value)
}
