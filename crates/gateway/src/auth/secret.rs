//! Secrets that this server hands out: random, kept as digests, compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger::ids::Digest;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// There is no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub(super) struct NoRandomness;

/// 256 random bits as text.
pub(super) fn fresh() -> Result<String, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    OsRng
        .try_fill_bytes(&mut *bytes)
        .map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes))
}

/// What is kept instead of a secret: SHA-256, hex. The secrets have 256 bits, so that no slow hash is needed.
pub(super) fn digest(secret: &str) -> String {
    hex::encode(Digest::of(secret.as_bytes()).0)
}

/// Whether a secret is the one with this digest.
pub(super) fn is_of(secret: &str, expected: &str) -> bool {
    is_same(&digest(secret), expected)
}

/// Compares without telling by the time taken where the texts differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// RFC 7636 §4.2, S256.
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).0)
}
