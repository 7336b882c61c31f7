//! AES-256-GCM over the end of a buffer.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;

/// The bytes were not sealed under this key, nonce and associated data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// A key ready for use; callers see to it that no nonce is used twice under one key.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    #[expect(clippy::expect_used, reason = "the length of the key is in its type")]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Appends `clear`, sealed, and its tag to `out`.
    #[expect(
        clippy::expect_used,
        reason = "GCM fails only beyond 64 GiB, which no caller holds in memory"
    )]
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        associated_data: &[u8],
        clear: &[u8],
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.reserve(clear.len() + TAG_BYTES);
        out.extend_from_slice(clear);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(associated_data), &mut out[start..])
            .expect("the plaintext is within the limit of GCM");
        out.extend_from_slice(tag.as_ref());
    }

    /// Appends the opened bytes to `out`; leaves `out` as it was when they are not authentic.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        associated_data: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let start = out.len();
        let nonce = Nonce::assume_unique_for_key(nonce);
        out.extend_from_slice(sealed);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(associated_data), &mut out[start..])
            .map(|clear| clear.len());
        out.truncate(start + *opened.as_ref().unwrap_or(&0));
        opened.map(|_| ()).map_err(|_| NotAuthentic)
    }
}
