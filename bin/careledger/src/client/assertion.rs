//! Client assertions (RFC 7523) with the extension of HL7 UDAP for users and purposes, `hl7-b2b`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::network::Credential;

const LIFETIME_SECONDS: u64 = 120;
/// PKCS #8 around an Ed25519 seed (RFC 8410 §7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// For whom a client system asks, and why.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// v3-ActReason code.
    pub(crate) purpose: String,
    pub(crate) practitioner: Option<String>,
    pub(crate) role: Option<String>,
}

/// A client's id and key.
#[derive(Clone)]
pub(crate) struct ClientKey {
    client_id: String,
    seed: Zeroizing<[u8; 32]>,
    scope: String,
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({})", self.client_id)
    }
}

impl ClientKey {
    /// A wallet: its id follows from the patient's id at the member.
    pub(crate) fn of_wallet(patient_id: &str, seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            client_id: format!("wallet-{patient_id}"),
            seed,
            scope: "patient/*.cruds".to_owned(),
        }
    }

    /// A client system, from its credential file.
    pub(crate) fn of_system(credential: &Credential, scope: &str) -> anyhow::Result<Self> {
        let seed = credential.key.get("d").and_then(Value::as_str);
        let seed = seed.and_then(|seed| URL_SAFE_NO_PAD.decode(seed).ok());
        let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        Ok(Self {
            client_id: credential.client_id.clone(),
            seed: Zeroizing::new(seed.context("the credential has no Ed25519 key")?),
            scope: scope.to_owned(),
        })
    }

    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

    pub(super) fn assertion(&self, token_url: &str, user: &User) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut b2b = json!({ "version": "1", "purpose_of_use": [user.purpose] });
        if let Some(practitioner) = &user.practitioner {
            b2b["subject_id"] = practitioner.as_str().into();
        }
        if let Some(role) = &user.role {
            b2b["subject_role"] = role.as_str().into();
        }
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": token_url,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": uuid::Uuid::new_v4().to_string(),
            "extensions": { "hl7-b2b": b2b },
        });
        let der = Zeroizing::new([PKCS8.as_slice(), self.seed.as_slice()].concat());
        let key = EncodingKey::from_ed_der(&der);
        Ok(jsonwebtoken::encode(
            &Header::new(Algorithm::EdDSA),
            &claims,
            &key,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_zebra::{Signature, SigningKey, VerificationKey};

    use super::*;

    #[test]
    fn an_assertion_is_signed_by_the_client_and_names_user_purpose_and_audience() {
        let seed = [7; 32];
        let key = ClientKey::of_wallet("p1", Zeroizing::new(seed));
        let user = User {
            purpose: "TREAT".to_owned(),
            practitioner: Some("Practitioner/1".to_owned()),
            role: None,
        };
        let token_url = "http://127.0.0.1:1/oauth2/token";
        let assertion = key.assertion(token_url, &user).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        let public = VerificationKey::from(&SigningKey::from_bytes(&seed));
        assert!(public.verify(&signature, signed.as_bytes()).is_ok());

        let claims = URL_SAFE_NO_PAD
            .decode(signed.split('.').nth(1).unwrap())
            .unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], "wallet-p1");
        assert_eq!(claims["aud"], token_url);
        let b2b = &claims["extensions"]["hl7-b2b"];
        assert_eq!(b2b["purpose_of_use"][0], "TREAT");
        assert_eq!(b2b["subject_id"], "Practitioner/1");
        assert!(b2b.get("subject_role").is_none());
    }
}
