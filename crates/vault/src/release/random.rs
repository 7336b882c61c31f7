//! Randomness for the library: a stream that follows from a seed, so that a dealer can deal the same again.

use commonware_cryptography::transcript::{Transcript, Version};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::entropy;

/// The stream of a seed.
pub(super) fn from_seed(seed: &[u8; 32]) -> impl CryptoRng + use<> {
    let mut transcript = Transcript::new(b"careledger/release", Version::V1);
    transcript.commit(seed.as_slice());
    transcript.noise(b"stream")
}

/// A stream of its own.
pub(super) fn fresh() -> impl CryptoRng {
    from_seed(&Zeroizing::new(entropy::random()))
}
