//! HKDF-SHA-256 (RFC 5869).

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// 32 bytes of key material for one purpose; `info` names the purpose.
pub(crate) fn derive(key: &[u8; 32], salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    let mut output = Zeroizing::new([0; 32]);
    derive_into(key, salt, info, &mut output);
    output
}

/// The same, written where it stays.
#[expect(clippy::expect_used, reason = "32 bytes are one block of HKDF-SHA-256")]
pub(crate) fn derive_into(key: &[u8; 32], salt: &[u8], info: &str, output: &mut [u8; 32]) {
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(&[info.as_bytes()], HKDF_SHA256)
        .and_then(|okm| okm.fill(output))
        .expect("HKDF yields up to 255 blocks");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_salt_or_purpose_yields_another_key() {
        let key = derive(&[1; 32], b"salt", "purpose");
        assert_eq!(key, derive(&[1; 32], b"salt", "purpose"));
        assert_ne!(key, derive(&[2; 32], b"salt", "purpose"));
        assert_ne!(key, derive(&[1; 32], b"tlas", "purpose"));
        assert_ne!(key, derive(&[1; 32], b"salt", "another"));
    }
}
