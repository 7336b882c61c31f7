//! Compact JWS (RFC 7515): read with one of the keys that are acceptable, or refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header, decode_header};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// No token or assertion of ours comes near this.
const BYTES_MAX: usize = 16 << 10;

/// A key and the only algorithm it may be used with.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl VerifyingKey {
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.id.as_deref() == Some(name)
    }
}

/// A compact JWS whose signature was not looked at.
pub(super) struct Unverified<'a> {
    header: Header,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// Why a JWS is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum JwsError {
    #[error("the text is not a compact JWS")]
    Malformed,
    #[error("the header names an extension that must be understood")]
    Critical,
    #[error("the algorithm is not one that is accepted")]
    Algorithm,
    #[error("the signature is not valid under any acceptable key")]
    Signature,
    #[error("the claims are not those expected")]
    Claims,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > BYTES_MAX {
            return Err(JwsError::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (_, payload) = message.split_once('.').ok_or(JwsError::Malformed)?;
        if payload.contains('.') {
            return Err(JwsError::Malformed);
        }
        let header = decode_header(text).map_err(|_| JwsError::Malformed)?;
        if header.crit.is_some() {
            return Err(JwsError::Critical);
        }
        Ok(Self {
            header,
            message,
            payload,
            signature,
        })
    }

    /// The name of the key that is said to have signed.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The claims as they stand: good for finding the key, nothing else.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(self.payload)
            .map_err(|_| JwsError::Malformed)?;
        serde_json::from_slice(&bytes).map_err(|_| JwsError::Claims)
    }

    /// The claims, if one of the keys signed them.
    pub(super) fn verify<T: DeserializeOwned>(&self, keys: &[VerifyingKey]) -> Result<T, JwsError> {
        let fits = |key: &&VerifyingKey| key.algorithm == self.header.alg;
        let mut candidates = keys.iter().filter(fits).peekable();
        if candidates.peek().is_none() {
            return Err(JwsError::Algorithm);
        }
        let is_named = |key: &VerifyingKey| match (&self.header.kid, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let is_signer = |key: &VerifyingKey| {
            jsonwebtoken::crypto::verify(
                self.signature,
                self.message.as_bytes(),
                &key.key,
                key.algorithm,
            )
            .unwrap_or(false)
        };
        if candidates.any(|key| is_named(key) && is_signer(key)) {
            self.claims()
        } else {
            Err(JwsError::Signature)
        }
    }
}
