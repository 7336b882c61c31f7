//! Pauses between attempts.

use std::time::Duration;

use rand::Rng as _;

/// Doubles with each attempt that failed, up to `longest`; spread, so that those that failed together do not come back
/// together.
pub(crate) fn backoff(first: Duration, longest: Duration, attempts: u32) -> Duration {
    let doubled = 1_u32
        .checked_shl(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let pause = first.saturating_mul(doubled).min(longest);
    let half = pause / 2;
    half.saturating_add(half.mul_f64(rand::rng().random_range(0.0..=1.0)))
}
