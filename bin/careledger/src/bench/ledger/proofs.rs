//! Receipts: how fast one core makes and verifies them, and how large they are.

use std::time::{Duration, Instant};

use ::node::chain::{Chain, Position};
use anyhow::Context as _;
use ledger::receipt::Receipt;

use super::task::Proven;
use crate::bench::figures::float;

const FOR: Duration = Duration::from_secs(1);
/// Receipts that are kept to be verified.
const KEPT: usize = 512;

pub(super) fn measure(chain: &Chain) -> anyhow::Result<Proven> {
    let log_size = chain.tip().log_size;
    let (mut made, mut kept, mut bytes) = (0_u64, Vec::new(), 0_u64);
    let start = Instant::now();
    while start.elapsed() < FOR {
        let position = Position {
            // Spread over the log.
            statement: made.wrapping_mul(0x9e37_79b9_7f4a_7c15) % log_size.max(1),
            item: 0,
        };
        let Some(receipt) = chain.receipt(position, &[])? else {
            continue;
        };
        made += 1;
        let encoded = receipt.encode();
        bytes += u64::try_from(encoded.len())?;
        if kept.len() < KEPT {
            kept.push(encoded);
        }
    }
    let made_per_s = float(made) / start.elapsed().as_secs_f64();
    let trust = contracts::trust::trust(chain.genesis(), None)?;
    let mut verified = 0_u64;
    let start = Instant::now();
    while start.elapsed() < FOR {
        let at = usize::try_from(verified)? % kept.len().max(1);
        let encoded = kept.get(at).context("no receipt could be made")?;
        Receipt::decode(encoded)?.verify(&trust)?;
        verified += 1;
    }
    Ok(Proven {
        made_per_s,
        verified_per_s: float(verified) / start.elapsed().as_secs_f64(),
        bytes: float(bytes) / float(made),
        log_size,
    })
}
