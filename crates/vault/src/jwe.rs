//! JSON Web Encryption (RFC 7516) in the one form that SMART Health Links take: compact, `dir`, `A256GCM`.
//!
//! What others sealed may be compressed first (`zip`: `DEF`, RFC 1951); what is sealed here is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::aead::{Aead, NONCE_BYTES, TAG_BYTES};
use crate::entropy::random;
use crate::secret::ClearBytes;

/// What comes out of a compressed JWE at most.
const INFLATED_BYTES_MAX: usize = 16 << 20;

/// Why a JWE is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// It is something else, or sealed in another way.
    #[error("it is no JWE in compact form with `dir` and `A256GCM`")]
    OtherForm,
    /// It was changed, or sealed under another key.
    #[error("it was not sealed under this key")]
    NotAuthentic,
    /// What was compressed is damaged, or larger than 16 MiB.
    #[error("what was compressed does not come out whole, or is larger than 16 MiB")]
    NotInflated,
}

/// Seals `clear` under `key`; the header says its media type.
pub fn seal(key: &[u8; 32], content_type: &str, clear: &[u8]) -> String {
    let header = json!({ "alg": "dir", "enc": "A256GCM", "cty": content_type });
    seal_with(key, random(), &header.to_string(), clear)
}

/// The media type in the header (`cty`), of a JWE that only its key opens.
pub fn content_type(jwe: &str) -> Result<Option<String>, JweError> {
    let parts = parts(jwe)?;
    let said = parts.header.get("cty").and_then(Value::as_str);
    Ok(said.map(str::to_owned))
}

/// Opens a JWE.
pub fn open(key: &[u8; 32], jwe: &str) -> Result<ClearBytes, JweError> {
    let parts = parts(jwe)?;
    let mut clear = Zeroizing::new(Vec::new());
    let opened = Aead::new(key).open(parts.nonce, parts.bound, &parts.sealed, &mut clear);
    opened.map_err(|_| JweError::NotAuthentic)?;
    if parts.header.get("zip").is_some() {
        let inflated =
            miniz_oxide::inflate::decompress_to_vec_with_limit(&clear, INFLATED_BYTES_MAX);
        clear = Zeroizing::new(inflated.map_err(|_| JweError::NotInflated)?);
    }
    Ok(ClearBytes::new(clear))
}

/// A JWE, taken apart.
struct Parts<'a> {
    header: Value,
    /// The encoded header, which is bound.
    bound: &'a [u8],
    nonce: [u8; NONCE_BYTES],
    /// Ciphertext, then tag.
    sealed: Vec<u8>,
}

fn parts(jwe: &str) -> Result<Parts<'_>, JweError> {
    let mut texts = jwe.split('.');
    let mut next = || texts.next().ok_or(JweError::OtherForm);
    let (header, key, nonce, sealed, tag) = (next()?, next()?, next()?, next()?, next()?);
    if !key.is_empty() || texts.next().is_some() {
        return Err(JweError::OtherForm);
    }
    let decode = |text: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(text);
        decoded.map_err(|_| JweError::OtherForm)
    };
    let bound = header.as_bytes();
    let header: Value =
        serde_json::from_slice(&decode(header)?).map_err(|_| JweError::OtherForm)?;
    let says = |name: &str, value: &str| header.get(name).and_then(Value::as_str) == Some(value);
    // A critical extension would change what is meant (RFC 7516 §4.1.13).
    let is_known = says("alg", "dir")
        && says("enc", "A256GCM")
        && header.get("crit").is_none()
        && (header.get("zip").is_none() || says("zip", "DEF"));
    let tag = decode(tag)?;
    if !is_known || tag.len() != TAG_BYTES {
        return Err(JweError::OtherForm);
    }
    let nonce = decode(nonce)?.try_into().map_err(|_| JweError::OtherForm)?;
    let sealed = [decode(sealed)?, tag].concat();
    Ok(Parts {
        header,
        bound,
        nonce,
        sealed,
    })
}

fn seal_with(key: &[u8; 32], nonce: [u8; NONCE_BYTES], header: &str, clear: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    let mut sealed = Vec::new();
    Aead::new(key).seal(nonce, header.as_bytes(), clear, &mut sealed);
    let (ciphertext, tag) = sealed.split_at(sealed.len().saturating_sub(TAG_BYTES));
    let [nonce, ciphertext, tag] =
        [&nonce, ciphertext, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{nonce}.{ciphertext}.{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    /// Sealed under [`KEY`] by the library `jose` for JavaScript.
    const PLAIN: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiY3R5IjoiYXBwbGljYXRpb24vZmhpcitqc29uIn0\
        ..5fBJ1p9uw8L9shJt.2-hv3nefVfSFbA6eQ5yg9usGXRnLIpMS.pn3tnXVIe2kw-PGwiXZGeA";
    /// The same, compressed, by Python's `zlib` and `cryptography`.
    const COMPRESSED: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiY3R5IjoiYXBwbGljYXRpb24vZmhpcitqc29u\
        IiwiemlwIjoiREVGIn0..AAECAwQFBgcICQoL.s9fDOjDH9mQ9_Og1zhA5SLNO_KLWLiGbE84.FD-sLYcW2v5oU7cAd30xOw";

    #[test]
    fn what_was_sealed_opens_and_says_its_type() {
        let jwe = seal(&KEY, "application/fhir+json", b"{}");
        let said = content_type(&jwe).unwrap();
        assert_eq!(said.as_deref(), Some("application/fhir+json"));
        assert_eq!(&*open(&KEY, &jwe).unwrap(), b"{}");
        assert_ne!(jwe, seal(&KEY, "application/fhir+json", b"{}"), "a nonce");
        assert_eq!(open(&[8; 32], &jwe), Err(JweError::NotAuthentic));
    }

    #[test]
    fn what_another_library_sealed_opens() {
        assert_eq!(&*open(&KEY, PLAIN).unwrap(), br#"{"resourceType":"Basic"}"#);
        let compressed = open(&KEY, COMPRESSED).unwrap();
        assert_eq!(&*compressed, br#"{"resourceType":"Basic"}"#);
    }

    #[test]
    fn a_changed_byte_another_form_and_a_critical_extension_are_refused() {
        let jwe = seal(&KEY, "text/plain", b"clear");
        let header = |text: &str| {
            let rest = jwe.split_once('.').unwrap().1;
            format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text))
        };
        let bound = header(r#"{"alg":"dir","enc":"A256GCM","cty":"text/html"}"#);
        assert_eq!(open(&KEY, &bound), Err(JweError::NotAuthentic));
        for other in [
            header(r#"{"alg":"none","enc":"A256GCM"}"#),
            header(r#"{"alg":"dir","enc":"A128GCM"}"#),
            header(r#"{"alg":"dir","enc":"A256GCM","crit":["exp"]}"#),
            header(r#"{"alg":"dir","enc":"A256GCM","zip":"GZIP"}"#),
            jwe.replacen("..", ".AAAA.", 1),
            format!("{jwe}.AAAA"),
            jwe.rsplit_once('.').unwrap().0.to_owned(),
            "clear".to_owned(),
            String::new(),
        ] {
            assert_eq!(open(&KEY, &other), Err(JweError::OtherForm), "{other}");
        }
    }

    #[test]
    fn what_would_fill_the_memory_is_not_inflated() {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; INFLATED_BYTES_MAX + 1], 6);
        let header = r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#;
        let jwe = seal_with(&KEY, [1; NONCE_BYTES], header, &bomb);
        assert!(jwe.len() < 100_000);
        assert_eq!(open(&KEY, &jwe), Err(JweError::NotInflated));
    }
}
