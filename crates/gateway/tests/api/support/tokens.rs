//! Clients of the node and their tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::auth::{ClientConfig, SigningFailed, TokenSigner};
use serde_json::{Value, json};

use super::{Answer, BASE, Site};

const EHR_SEED: u8 = 1;
const AUDIT_SEED: u8 = 9;

/// A request for a token.
pub(crate) struct Ask {
    pub(crate) client: String,
    pub(crate) seed: [u8; 32],
    pub(crate) purpose: Option<&'static str>,
    pub(crate) role: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) audience: String,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            client: "ehr".to_owned(),
            seed: [EHR_SEED; 32],
            purpose: Some("TREAT"),
            role: "physician",
            scope: "system/*.cruds",
            audience: format!("{BASE}/oauth2/token"),
        }
    }
}

impl Site {
    pub(crate) async fn token(&self, ask: &Ask) -> String {
        let answer = self.ask_for_token(ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn ask_for_token(&self, ask: &Ask) -> Answer {
        let mut claims = json!({
            "iss": ask.client, "sub": ask.client, "aud": ask.audience,
            "exp": self.now() + 240, "jti": uuid::Uuid::new_v4().to_string(),
        });
        if let Some(purpose) = ask.purpose {
            claims["extensions"]["hl7-b2b"] = json!({
                "subject_id": "Practitioner/7", "subject_role": ask.role,
                "purpose_of_use": purpose,
            });
        }
        let assertion = jwt(&ask.seed, &claims);
        self.exchange(&assertion, ask.scope).await
    }

    /// Exchanges an assertion for a token.
    pub(crate) async fn exchange(&self, assertion: &str, scope: &str) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", assertion)
            .append_pair("scope", scope)
            .finish();
        let request = Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form));
        self.send(request.unwrap()).await
    }
}

/// Claims, signed with EdDSA.
pub(crate) fn jwt(seed: &[u8; 32], claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "EdDSA", "typ": "JWT" });
    let message = format!("{}.{}", part(&header), part(claims));
    let key = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(super) fn clients() -> Vec<ClientConfig> {
    let key = Ed25519KeyPair::from_seed_unchecked(&[EHR_SEED; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    let ehr = ClientConfig {
        client_id: "ehr".to_owned(),
        keys: vec![serde_json::from_value(jwk).unwrap()],
        roles: vec!["physician".to_owned(), "privacy-officer".to_owned()],
        purposes: ["TREAT", "HMARKT", "HOPERAT"].map(str::to_owned).to_vec(),
        scopes: "system/*.cruds careledger/clients careledger/launches careledger/import careledger/erase \
                 careledger/messages"
            .to_owned(),
        ..ClientConfig::default()
    };
    let key = Ed25519KeyPair::from_seed_unchecked(&[AUDIT_SEED; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    let auditor = ClientConfig {
        client_id: "audit-desk".to_owned(),
        keys: vec![serde_json::from_value(jwk).unwrap()],
        roles: vec!["privacy-officer".to_owned()],
        purposes: vec!["HOPERAT".to_owned()],
        scopes: "system/AuditEvent.rs system/Patient.rs".to_owned(),
        ..ClientConfig::default()
    };
    let mut clients = vec![ehr, auditor];
    clients.extend(super::people::apps());
    clients
}

pub(super) fn signer(seed: u8) -> TokenSigner {
    let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = key.public_key().as_ref().try_into().unwrap();
    TokenSigner::new(public, move |bytes| {
        let signature = key.sign(bytes);
        signature.as_ref().try_into().map_err(|_| SigningFailed)
    })
}
