//! The provider's keys, fetched when they are needed and again when it has new ones.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{ProviderError, fetch};
use crate::auth::jws::VerifyingKey;

/// Keys that were taken away are known for no longer.
const FRESH_SECONDS: u64 = 600;
/// Tokens with unknown keys make this node ask no more often.
const AGAIN_SECONDS: u64 = 10;

/// The keys as they were last seen.
#[derive(Default)]
pub(super) struct Keys(Mutex<Option<Seen>>);

struct Seen {
    keys: Vec<VerifyingKey>,
    at: u64,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// The keys, fetched if they are old or none of them has this name.
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        url: &str,
        id: Option<&str>,
        now: u64,
    ) -> Result<Vec<VerifyingKey>, ProviderError> {
        let mut seen = self.0.lock().await;
        if let Some(seen) = &*seen {
            let age = now.saturating_sub(seen.at);
            let has_key = id.is_none_or(|id| seen.keys.iter().any(|key| key.is_named(id)));
            if age < AGAIN_SECONDS || (has_key && age < FRESH_SECONDS) {
                return Ok(seen.keys.clone());
            }
        }
        let set: Set = fetch(http, url).await?;
        // Keys of kinds that are not known here are passed over.
        let known = set.keys.into_iter();
        let known = known.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<VerifyingKey> = known.flat_map(|key| verifying_keys(&key)).collect();
        *seen = Some(Seen {
            keys: keys.clone(),
            at: now,
        });
        Ok(keys)
    }
}

/// A key with each algorithm that it may be used with: never a symmetric one.
fn verifying_keys(jwk: &Jwk) -> Vec<VerifyingKey> {
    if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
        return Vec::new();
    }
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => match jwk.common.key_algorithm {
            Some(KeyAlgorithm::PS256) => &[Algorithm::PS256],
            Some(KeyAlgorithm::RS256) => &[Algorithm::RS256],
            None => &[Algorithm::RS256, Algorithm::PS256],
            Some(_) => &[],
        },
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => &[],
    };
    let Ok(key) = DecodingKey::from_jwk(jwk) else {
        return Vec::new();
    };
    let keys = fitting.iter().map(|algorithm| VerifyingKey {
        id: jwk.common.key_id.clone(),
        algorithm: *algorithm,
        key: key.clone(),
    });
    keys.collect()
}
