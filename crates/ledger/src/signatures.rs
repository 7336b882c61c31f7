//! Signatures that are checked together: about half the work of one at a time.
//!
//! Ed25519 signatures share one equation, each multiplied by a coefficient so that wrong ones do not cancel each other
//! out; ZIP 215 makes it say the same as each by itself. P-256 signatures are checked at once, each by itself.
//!
//! Coefficients have to be unpredictable to whoever made the signatures. Here they are a hash of all keys, signatures
//! and signed bytes: a forger has to fix those before it knows the coefficients, and each other attempt gives it others.
//! One attempt succeeds with a probability of 2⁻¹²⁸, so that a forger has as much work with it as with one signature.
//! That needs no source of randomness, and the answer is the same each time.

use std::convert::Infallible;

use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use crate::node_key::NodeKey;

/// Signatures below which one at a time is as fast.
const TOGETHER_MIN: usize = 3;

/// Ed25519 signatures to be checked, and the error that each is if it does not hold.
pub(crate) struct Signatures<E> {
    waiting: Vec<(batch::Item, E)>,
    transcript: Sha256,
}

impl<E> Default for Signatures<E> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            transcript: Sha256::new(),
        }
    }
}

impl<E> Signatures<E> {
    /// Does `work`, which adds signatures, and checks them.
    ///
    /// The error is that of one check after the other: where `work` fails, a signature before that place comes first.
    pub(crate) fn check<T>(work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let mut signatures = Self::default();
        match work(&mut signatures) {
            Ok(done) => signatures.verify().map(|()| done),
            Err(error) => signatures.verify_in_turn().and(Err(error)),
        }
    }

    /// Adds the signature of `message`, or checks it at once if it is not of Ed25519.
    pub(crate) fn add(
        &mut self,
        key: &NodeKey,
        (message, signature): (&[u8], &[u8]),
        error: E,
    ) -> Result<(), E> {
        match (key, Signature::from_slice(signature)) {
            (NodeKey::Ed25519(key), Ok(signature)) => {
                self.add_ed25519((*key).into(), (message, signature), error);
                Ok(())
            }
            _ => key.verify(message, signature).map_err(|_| error),
        }
    }

    /// Adds an Ed25519 signature; a key that is none does not verify.
    pub(crate) fn add_ed25519(
        &mut self,
        key: VerificationKeyBytes,
        (message, signature): (&[u8], Signature),
        error: E,
    ) {
        let bytes = u64::try_from(message.len()).unwrap_or(u64::MAX);
        self.transcript.update(<[u8; 32]>::from(key));
        self.transcript.update(signature.to_bytes());
        self.transcript.update(bytes.to_be_bytes());
        self.transcript.update(message);
        self.waiting.push(((key, signature, message).into(), error));
    }

    fn verify(self) -> Result<(), E> {
        if self.waiting.len() >= TOGETHER_MIN {
            let mut batch = batch::Verifier::new();
            for (signature, _) in &self.waiting {
                batch.queue(signature.clone());
            }
            let seed = self.transcript.clone().finalize().into();
            if batch.verify(Coefficients { seed, next: 0 }).is_ok() {
                return Ok(());
            }
        }
        // Each by itself says which it is.
        self.verify_in_turn()
    }

    fn verify_in_turn(self) -> Result<(), E> {
        for (signature, error) in self.waiting {
            signature.verify_single().map_err(|_| error)?;
        }
        Ok(())
    }
}

/// SHA-256 of the seed and a counter: a random oracle's answers, as far as anybody can tell.
struct Coefficients {
    seed: [u8; 32],
    next: u64,
}

impl Coefficients {
    fn block(&mut self) -> [u8; 32] {
        let block = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.next.to_be_bytes());
        self.next = self.next.wrapping_add(1);
        block.finalize().into()
    }
}

impl TryRng for Coefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(32) {
            let block = self.block();
            for (byte, random) in part.iter_mut().zip(block) {
                *byte = random;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}

#[cfg(test)]
mod tests;
