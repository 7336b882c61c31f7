//! Signatures of statements that arrive together, checked together: half the work of one at a time, and less where
//! they have the same signer. ZIP 215 makes both say the same.

use std::convert::Infallible;
use std::sync::Arc;

use contracts::machine::{self, Context, Signature};
use ed25519_zebra::batch;
use rand::RngCore as _;
use rand_core::{TryCryptoRng, TryRng};

use super::mempool::Pooled;

/// Statements below which a batch saves nothing.
const BATCH_MIN: usize = 4;

/// Checks the signatures of `statements` together, and says of each whether it holds or has to be checked by itself:
/// so have P-256 signatures, and all of them if one does not hold.
pub(super) fn check(context: &Context<'_>, statements: &[Arc<Pooled>]) -> Vec<Signature> {
    let mut batch = batch::Verifier::new();
    let mut checked = Vec::with_capacity(statements.len());
    let mut queued = 0;
    for one in statements {
        let key = machine::key_of(context, &one.statement).ok();
        let signed = key.and_then(|key| one.statement.to_verify(&key));
        checked.push(match signed {
            Some(signed) => {
                batch.queue(signed);
                queued += 1;
                Signature::Checked
            }
            None => Signature::Unchecked,
        });
    }
    if queued < BATCH_MIN || batch.verify(Coefficients(rand::rng())).is_err() {
        checked.fill(Signature::Unchecked);
    }
    checked
}

/// What a batch is multiplied by, so that two wrong signatures do not make a right one.
struct Coefficients(rand::rngs::ThreadRng);

impl TryRng for Coefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}
