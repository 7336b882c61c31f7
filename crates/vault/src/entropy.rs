//! Randomness of the operating system, through the one cryptographic library.

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// Fills a place with fresh random bytes. A node that cannot draw them must stop before it seals anything.
#[expect(
    clippy::expect_used,
    reason = "without entropy every key and nonce would be predictable"
)]
pub(crate) fn fill_random<const N: usize>(place: &mut [u8; N]) {
    aws_lc_rs::rand::fill(place).expect("the operating system yields randomness");
}
