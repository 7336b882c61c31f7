//! Which token holds a node's keys, and what opens it.

use std::fmt;
use std::path::PathBuf;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

/// Where a node's keys are when a token holds them.
#[derive(Debug, Clone)]
pub struct Pkcs11Config {
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// What opens the token.
    pub pin: Pin,
    /// The key file with what a token cannot hold; the token seals it.
    pub file: PathBuf,
}

/// A PIN, which is not shown and is wiped when dropped.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes a PIN.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    pub(super) fn auth(&self) -> AuthPin {
        AuthPin::new(self.0.as_str().into())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}
