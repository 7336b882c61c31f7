//! Where a page of a history begins, sealed: numbers of the change feed would tell how much there is that a requester
//! may not see.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::fhir::NoCursorKey;

const NONCE_BYTES: usize = 12;

/// Seals places under a key that lives as long as the process.
pub(crate) struct Places(RandomizedNonceKey);

impl Places {
    pub(crate) fn new() -> Result<Self, NoCursorKey> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| NoCursorKey)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key)
            .map(Self)
            .map_err(|_| NoCursorKey)
    }

    /// The place for this client and history alone.
    pub(super) fn seal(&self, client: &str, history: &str, place: u64) -> Option<String> {
        let mut sealed = place.to_be_bytes().to_vec();
        let aad = Aad::from(bound_to(client, history));
        let nonce = self.0.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.extend(sealed);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` for what this process did not seal for this client and history.
    pub(super) fn open(&self, client: &str, history: &str, text: &str) -> Option<u64> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(bound_to(client, history));
        let opened = self.0.open_in_place(nonce, aad, sealed).ok()?;
        Some(u64::from_be_bytes((&*opened).try_into().ok()?))
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places(..)")
    }
}

fn bound_to(client: &str, history: &str) -> Vec<u8> {
    format!("{history} {client}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_opens_for_its_client_and_history_alone() {
        let places = Places::new().unwrap();
        let text = places.seal("ehr", "Patient", 7).unwrap();
        assert_eq!(places.open("ehr", "Patient", &text), Some(7));
        assert_eq!(places.open("other", "Patient", &text), None);
        assert_eq!(places.open("ehr", "", &text), None);
        assert_eq!(Places::new().unwrap().open("ehr", "Patient", &text), None);
        assert_eq!(places.open("ehr", "Patient", ""), None);
    }
}
