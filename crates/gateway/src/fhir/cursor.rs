//! Links to further pages, sealed: a URL in a log or a browser's history tells nothing of the query, and nothing of how
//! much there is that a requester may not see.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use node::custody::Further;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const NONCE_BYTES: usize = 12;

/// Seals cursors under a key that lives as long as the process.
pub(crate) struct Cursors(RandomizedNonceKey);

/// The next page of a search.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) is_strict: bool,
    pub(super) further: FurtherText,
}

/// Where a further page is. Its length is the same for all pages: that of a link would tell how much was passed over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct FurtherText(Further);

impl From<Further> for FurtherText {
    fn from(further: Further) -> Self {
        Self(further)
    }
}

impl From<FurtherText> for Further {
    fn from(text: FurtherText) -> Self {
        text.0
    }
}

impl From<FurtherText> for String {
    fn from(FurtherText(Further { pin, offset, total }): FurtherText) -> Self {
        let total = total.unwrap_or(usize::MAX);
        format!("{pin:016x}{offset:016x}{total:016x}")
    }
}

impl TryFrom<String> for FurtherText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = |at: usize| {
            let digits = text.get(at..at.saturating_add(16));
            let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            number.ok_or("not a place on a list")
        };
        let size = |at| usize::try_from(number(at)?).map_err(|_| "not a place on a list");
        Ok(Self(Further {
            pin: number(0)?,
            offset: size(16)?,
            total: Some(size(32)?).filter(|total| *total != usize::MAX),
        }))
    }
}

/// The key for cursors cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key for links to further pages cannot be made")]
pub struct NoCursorKey;

impl Cursors {
    pub(crate) fn new() -> Result<Self, NoCursorKey> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| NoCursorKey)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key)
            .map(Self)
            .map_err(|_| NoCursorKey)
    }

    /// A place for this client and this path alone.
    pub(super) fn seal(&self, client: &str, path: &str, place: &impl Serialize) -> Option<String> {
        let mut sealed = serde_json::to_vec(place).ok()?;
        let aad = Aad::from(bound_to(client, path));
        let nonce = self.0.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.extend(sealed);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` for what this process did not seal for this client and path.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        client: &str,
        path: &str,
        text: &str,
    ) -> Option<T> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(bound_to(client, path));
        let opened = self.0.open_in_place(nonce, aad, sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursors(..)")
    }
}

fn bound_to(client: &str, path: &str) -> Vec<u8> {
    format!("{path} {client}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_client_and_path_unchanged() {
        let cursors = Cursors::new().unwrap();
        let cursor = Cursor {
            pairs: vec![("name".to_owned(), "Smith".to_owned())],
            is_strict: true,
            further: FurtherText(Further {
                pin: 7,
                offset: 50,
                total: Some(90),
            }),
        };
        let open = |cursors: &Cursors, client, path, text: &str| -> Option<Cursor> {
            cursors.open(client, path, text)
        };
        let kind = "Patient";
        let text = cursors.seal("ehr", kind, &cursor).unwrap();
        assert!(open(&cursors, "ehr", kind, &text) == Some(cursor));
        assert!(open(&cursors, "other", kind, &text).is_none());
        assert!(open(&cursors, "ehr", "Bundle", &text).is_none());
        assert!(open(&Cursors::new().unwrap(), "ehr", kind, &text).is_none());
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        bytes[20] ^= 1;
        assert!(open(&cursors, "ehr", kind, &URL_SAFE_NO_PAD.encode(bytes)).is_none());
        assert!(open(&cursors, "ehr", kind, "").is_none());
    }
}
