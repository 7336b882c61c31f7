//! The digest of a content that may be guessed: salted, so that it says nothing without the opening.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::secret::Opening;

/// SHA-256 over the domain `careledger/content/v1`, the opening and the clear bytes, fed piece by piece.
#[derive(Clone)]
pub struct ContentDigest(Context);

/// The same, of bytes at hand.
pub fn content_digest(opening: &Opening, clear: &[u8]) -> [u8; 32] {
    let mut digest = ContentDigest::new(opening);
    digest.update(clear);
    digest.finish()
}

impl ContentDigest {
    /// Begins with the salt.
    pub fn new(opening: &Opening) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"careledger/content/v1");
        context.update(opening.expose());
        Self(context)
    }

    /// Takes the next clear bytes.
    pub fn update(&mut self, clear: &[u8]) {
        self.0.update(clear);
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentDigest(..)")
    }
}
