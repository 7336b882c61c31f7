//! Access tokens: JWTs (RFC 9068) that this node signs and that only this node accepts.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::emergency::EmergencyId;
use ledger::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::client::ed25519_key;
use super::jws::{JwsError, Unverified, VerifyingKey};
use super::scope::Scopes;

/// The key store could not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key store did not sign")]
pub struct SigningFailed;

type Sign = dyn Fn(&[u8]) -> Result<[u8; 64], SigningFailed> + Send + Sync;

/// The node's Ed25519 token keys, wherever they are kept: the newest signs, and what older ones signed is good until it
/// expires. Clones share them.
#[derive(Clone)]
pub struct TokenSigner(Arc<RwLock<TokenKeys>>);

/// The keys, and how often they were replaced.
#[derive(Clone)]
struct TokenKeys {
    keys: Vec<TokenKey>,
    replaced: u64,
}

/// One of a node's token keys.
#[derive(Clone)]
pub struct TokenKey {
    public_key: [u8; 32],
    key_id: String,
    verifying_key: Option<VerifyingKey>,
    sign: Arc<Sign>,
}

/// What a valid token says of its bearer.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The client.
    pub client: String,
    /// The practitioner for whom it asks, as `Practitioner/ID`.
    pub practitioner: Option<String>,
    /// The practitioner's role.
    pub role: Option<String>,
    /// The one patient (local id) whose records the bearer may touch; a wallet's.
    pub patient: Option<String>,
    /// Purpose of use.
    pub purpose: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The patient (local id) in context, to whom scopes of a patient are confined.
    pub context: Option<String>,
    /// The grant that it came from, by which it is revoked.
    pub grant: Option<String>,
    /// Its own name, by which it is revoked.
    pub jti: String,
    /// When the person signed in, seconds since 1970.
    pub signed_in_at: Option<u64>,
    /// Who acts in the place of the patient in context, as `RelatedPerson/ID`.
    pub related: Option<String>,
    /// The emergency that it was issued for.
    pub emergency: Option<EmergencyId>,
}

impl AccessToken {
    /// The patient to whom scopes of a patient are confined.
    pub(crate) fn patient_in_context(&self) -> Option<&str> {
        self.patient.as_deref().or(self.context.as_deref())
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TokenProblem {
    #[error("an access token is needed")]
    Missing,
    #[error("the Authorization header is not `Bearer` and a token")]
    NotBearer,
    #[error("the access token is malformed")]
    Malformed,
    #[error("the access token was issued by another server")]
    OtherIssuer,
    #[error("the access token is for another server")]
    OtherAudience,
    #[error("the access token's signature is not valid")]
    SignatureInvalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token was revoked")]
    Revoked,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    careledger: Bearer,
}

#[derive(Serialize, Deserialize)]
struct Bearer {
    member: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    practitioner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<String>,
    purpose: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emergency: Option<String>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// Where and how long a token is valid.
pub(super) struct Validity<'a> {
    pub(super) issuer: &'a str,
    pub(super) member: &'a str,
    pub(super) issued_at: u64,
    pub(super) expires_at: u64,
}

impl TokenSigner {
    /// A signer with one key.
    pub fn new(
        public_key: [u8; 32],
        sign: impl Fn(&[u8]) -> Result<[u8; 64], SigningFailed> + Send + Sync + 'static,
    ) -> Self {
        Self::of(vec![TokenKey::new(public_key, sign)])
    }

    /// A signer with these keys, the newest first.
    pub fn of(keys: Vec<TokenKey>) -> Self {
        Self(Arc::new(RwLock::new(TokenKeys { keys, replaced: 0 })))
    }

    /// Signs from now on with the first of these keys; tokens of a key that is not among them are refused.
    pub fn replace(&self, keys: Vec<TokenKey>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        held.keys = keys;
        held.replaced = held.replaced.wrapping_add(1);
    }

    /// How often the keys were replaced: what was verified before the last time has to be verified again.
    pub(super) fn replaced(&self) -> u64 {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.replaced
    }

    fn keys(&self) -> Vec<TokenKey> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.keys.clone()
    }

    /// The public keys as a JWK set.
    pub(super) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.keys().iter().map(TokenKey::jwk).collect();
        json!({ "keys": keys })
    }

    /// A signed token that says this.
    pub(super) fn issue(
        &self,
        token: &AccessToken,
        validity: &Validity<'_>,
    ) -> Result<String, SigningFailed> {
        let claims = Claims {
            iss: validity.issuer.to_owned(),
            aud: validity.issuer.to_owned(),
            sub: token.client.clone(),
            iat: validity.issued_at,
            exp: validity.expires_at,
            jti: token.jti.clone(),
            scope: token.scopes.to_string(),
            auth_time: token.signed_in_at,
            careledger: Bearer {
                member: validity.member.to_owned(),
                practitioner: token.practitioner.clone(),
                role: token.role.clone(),
                patient: token.patient.clone(),
                purpose: token.purpose.clone(),
                context: token.context.clone(),
                grant: token.grant.clone(),
                related: token.related.clone(),
                emergency: token.emergency.map(named),
            },
        };
        self.signed("at+jwt", &claims)
    }

    /// Claims as a JWT of this type.
    pub(super) fn signed(
        &self,
        kind: &str,
        claims: &impl Serialize,
    ) -> Result<String, SigningFailed> {
        let keys = self.keys();
        let newest = keys.first().ok_or(SigningFailed)?;
        let header = json!({ "alg": "EdDSA", "typ": kind, "kid": newest.key_id });
        let claims = serde_json::to_vec(claims).map_err(|_| SigningFailed)?;
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = (newest.sign)(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Reads a token that this node issued for itself; says when it expires.
    pub(super) fn verify(
        &self,
        text: &str,
        issuer: &str,
        member: &str,
        now: u64,
    ) -> Result<(AccessToken, u64), TokenProblem> {
        let jws = Unverified::parse(text).map_err(|_| TokenProblem::Malformed)?;
        let claimed: Issuer = jws.claims().map_err(|_| TokenProblem::Malformed)?;
        // Said before the signature is looked at, so that the bearer learns which mistake it is;
        // nothing is accepted on the strength of it.
        if claimed.iss != issuer {
            return Err(TokenProblem::OtherIssuer);
        }
        let keys = self.keys();
        let keys: Vec<_> = keys
            .into_iter()
            .filter_map(|key| key.verifying_key)
            .collect();
        let claims: Claims = match jws.verify(&keys) {
            Ok(claims) => claims,
            Err(JwsError::Algorithm | JwsError::Signature) => {
                return Err(TokenProblem::SignatureInvalid);
            }
            Err(_) => return Err(TokenProblem::Malformed),
        };
        if claims.aud != issuer || claims.careledger.member != member {
            return Err(TokenProblem::OtherAudience);
        }
        if claims.exp <= now {
            return Err(TokenProblem::Expired);
        }
        let emergency = claims.careledger.emergency.as_deref().map(emergency_named);
        let token = AccessToken {
            client: claims.sub,
            practitioner: claims.careledger.practitioner,
            role: claims.careledger.role,
            patient: claims.careledger.patient,
            purpose: claims.careledger.purpose,
            scopes: claims.scope.parse().map_err(|_| TokenProblem::Malformed)?,
            context: claims.careledger.context,
            grant: claims.careledger.grant,
            jti: claims.jti,
            signed_in_at: claims.auth_time,
            related: claims.careledger.related,
            emergency: emergency.transpose()?,
        };
        Ok((token, claims.exp))
    }
}

impl TokenKey {
    /// A key with this public part, which `sign` uses.
    pub fn new(
        public_key: [u8; 32],
        sign: impl Fn(&[u8]) -> Result<[u8; 64], SigningFailed> + Send + Sync + 'static,
    ) -> Self {
        let key_id = thumbprint(&public_key);
        let mut verifying_key = ed25519_key(&public_key);
        if let Some(key) = &mut verifying_key {
            key.id = Some(key_id.clone());
        }
        Self {
            key_id,
            verifying_key,
            public_key,
            sign: Arc::new(sign),
        }
    }

    fn jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.public_key),
            "use": "sig",
            "alg": "EdDSA",
            "kid": self.key_id,
        })
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenSigner").field(&self.keys()).finish()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.key_id)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

fn named(id: EmergencyId) -> String {
    Uuid::from_bytes(id.0).to_string()
}

fn emergency_named(text: &str) -> Result<EmergencyId, TokenProblem> {
    let id = Uuid::parse_str(text).map_err(|_| TokenProblem::Malformed)?;
    Ok(EmergencyId(id.into_bytes()))
}

/// RFC 7638, with the members of RFC 8037.
fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Digest::of(canonical.as_bytes()).0)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn key(seed: u8) -> TokenKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        TokenKey::new(public, move |bytes| {
            let signature = pair.sign(bytes);
            signature.as_ref().try_into().map_err(|_| SigningFailed)
        })
    }

    fn issued(signer: &TokenSigner) -> String {
        let token = AccessToken {
            client: "ehr".to_owned(),
            practitioner: None,
            role: None,
            patient: None,
            purpose: "TREAT".to_owned(),
            scopes: "system/*.rs".parse().unwrap(),
            context: None,
            grant: None,
            jti: "one".to_owned(),
            signed_in_at: None,
            related: None,
            emergency: None,
        };
        let validity = Validity {
            issuer: "http://clinic",
            member: "clinic",
            issued_at: 1,
            expires_at: 100,
        };
        signer.issue(&token, &validity).unwrap()
    }

    fn verified(signer: &TokenSigner, token: &str, now: u64) -> Result<(), TokenProblem> {
        let verified = signer.verify(token, "http://clinic", "clinic", now);
        verified.map(drop)
    }

    #[test]
    fn after_a_rotation_old_tokens_are_good_until_they_expire_or_their_key_goes() {
        let signer = TokenSigner::of(vec![key(1)]);
        let shared = signer.clone();
        let old = issued(&signer);
        signer.replace(vec![key(2), key(1)]);
        let new = issued(&shared);
        assert_eq!(shared.jwks()["keys"].as_array().unwrap().len(), 2);
        assert_eq!(verified(&shared, &old, 99), Ok(()));
        assert_eq!(verified(&shared, &old, 100), Err(TokenProblem::Expired));
        assert_eq!(verified(&shared, &new, 99), Ok(()));
        signer.replace(vec![key(2)]);
        let refused = verified(&shared, &old, 99);
        assert_eq!(refused, Err(TokenProblem::SignatureInvalid));
        assert_eq!(verified(&shared, &new, 99), Ok(()));
        assert_eq!(shared.jwks()["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let signer = TokenSigner::of(Vec::new());
        assert_eq!(signer.signed("JWT", &json!({})), Err(SigningFailed));
    }

    /// The key and thumbprint of RFC 8037, appendix A.3.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let key = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            thumbprint(&key.try_into().unwrap()),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
