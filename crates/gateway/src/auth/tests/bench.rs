//! A server with one client, keys and claims for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::super::authentication::Credentials;
use super::super::server::TokenRequest;
use super::super::*;

pub(super) const BASE: &str = "http://127.0.0.1:9999";
pub(super) const START: u64 = 1_800_000_000;

pub(super) struct OneWallet;

impl WalletKeys for OneWallet {
    fn wallet_key<'a>(
        &'a self,
        patient: &'a str,
    ) -> BoxFuture<'a, Result<Option<[u8; 32]>, WalletsUnavailable>> {
        Box::pin(async move { Ok((patient == "p1").then(|| public(&ed_key(2)))) })
    }
}

pub(super) struct Bench {
    pub(super) server: AuthorizationServer,
    pub(super) signer: TokenSigner,
    pub(super) time: Arc<AtomicU64>,
}

impl Bench {
    pub(super) fn new(base: &str, token_seed: u8) -> Self {
        Self::on(Memory::default(), base, token_seed)
    }

    /// A server that starts with these rows.
    pub(super) fn on(rows: Memory, base: &str, token_seed: u8) -> Self {
        let time = Arc::new(AtomicU64::new(START));
        let clock = Clock::from_fn({
            let time = Arc::clone(&time);
            move || time.load(Ordering::Relaxed)
        });
        let ehr = ClientConfig {
            client_id: "ehr".to_owned(),
            keys: vec![ed_jwk(1), ec_jwk()],
            roles: vec!["physician".to_owned()],
            purposes: vec!["TREAT".to_owned(), "ETREAT".to_owned()],
            scopes: "system/*.cruds".to_owned(),
            ..ClientConfig::default()
        };
        let config = AuthConfig {
            base_url: base.to_owned(),
            member: "clinic".parse().unwrap(),
            token_seconds: 600,
        };
        let clients = ClientRegistry::new(vec![ehr], OneWallet).unwrap();
        let signer = TokenSigner::of(vec![token_key(token_seed)]);
        let server =
            AuthorizationServer::new(config, clients, signer.clone(), clock, backing(rows));
        Self {
            server: server.unwrap(),
            signer,
            time,
        }
    }

    pub(super) fn ask(&self, assertion: &str, scope: &str) -> Result<Value, TokenError> {
        let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        futures::executor::block_on(self.server.issue(&TokenRequest {
            grant_type: Some("client_credentials".to_owned()),
            credentials: Credentials {
                assertion_type: Some(assertion_type.to_owned()),
                assertion: Some(assertion.to_owned()),
                ..Credentials::default()
            },
            scope: Some(scope.to_owned()),
            ..TokenRequest::default()
        }))
    }

    pub(super) fn bearer(&self, assertion: &str) -> String {
        let answer = self
            .ask(assertion, "system/*.cruds patient/*.cruds")
            .unwrap();
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    }
}

/// One of a node's token keys.
pub(super) fn token_key(seed: u8) -> TokenKey {
    let key = ed_key(seed);
    TokenKey::new(public(&key), move |bytes| {
        key.sign(bytes)
            .as_ref()
            .try_into()
            .map_err(|_| SigningFailed)
    })
}

pub(super) fn backing(rows: Memory) -> Backing {
    Backing {
        rows: Box::new(rows),
        patients: Box::new(Nobody),
        sign_in: SignIn::default(),
    }
}

/// Rows for the time of a test.
#[derive(Clone, Default)]
pub(super) struct Memory(
    pub(super) Arc<std::sync::Mutex<std::collections::BTreeMap<String, Vec<u8>>>>,
);

impl Rows for Memory {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RowsUnavailable> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    fn all(
        &self,
        prefix: &str,
    ) -> Result<std::collections::BTreeMap<String, Vec<u8>>, RowsUnavailable> {
        let rows = self.0.lock().unwrap();
        let found = rows.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(found
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expected: Option<Vec<u8>>,
        next: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<bool, RowsUnavailable>> {
        let mut rows = self.0.lock().unwrap();
        let stands = rows.get(name).cloned() == expected;
        if stands {
            rows.remove(name);
            rows.extend(next.map(|next| (name.to_owned(), next)));
        }
        Box::pin(async move { Ok(stands) })
    }
}

pub(super) struct Nobody;

impl Patients for Nobody {
    fn principal_of(&self, _: &str) -> Result<Option<String>, PatientsUnavailable> {
        Ok(None)
    }

    fn find<'a>(
        &'a self,
        _: &'a node::custody::Requester,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Choice>, PatientsUnavailable>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn one<'a>(
        &'a self,
        by: &'a node::custody::Requester,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Choice>, PatientsUnavailable>> {
        self.find(by, id)
    }
}

pub(super) fn ed_key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(super) fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

pub(super) fn ed_jwk(seed: u8) -> jsonwebtoken::jwk::Jwk {
    let x = URL_SAFE_NO_PAD.encode(public(&ed_key(seed)));
    serde_json::from_value(json!({ "kty": "OKP", "crv": "Ed25519", "x": x })).unwrap()
}

pub(super) fn ec_pkcs8() -> Vec<u8> {
    // RFC 7515 appendix A.3 has this P-256 key.
    let d = URL_SAFE_NO_PAD
        .decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")
        .unwrap();
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &d,
        &ec_point(),
    )
    .unwrap();
    key.to_pkcs8v1().unwrap().as_ref().to_vec()
}

pub(super) fn ec_point() -> Vec<u8> {
    let mut point = vec![4];
    for coordinate in [EC_X, EC_Y] {
        point.extend(URL_SAFE_NO_PAD.decode(coordinate).unwrap());
    }
    point
}

pub(super) const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(super) const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

pub(super) fn ec_jwk() -> jsonwebtoken::jwk::Jwk {
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "ec" });
    serde_json::from_value(jwk).unwrap()
}

pub(super) fn claims() -> Value {
    json!({
        "iss": "ehr", "sub": "ehr", "aud": format!("{BASE}/oauth2/token"),
        "exp": START + 240, "jti": uuid::Uuid::new_v4().to_string(),
        "extensions": { "hl7-b2b": {
            "version": "1", "subject_id": "Practitioner/7", "subject_role": "physician",
            "organization_id": "clinic", "purpose_of_use": "TREAT",
        } },
    })
}

pub(super) fn with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    for (name, value) in changes {
        claims[name] = value;
    }
    claims
}

pub(super) fn b2b(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims["extensions"]["hl7-b2b"][name] = value;
    claims
}

pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

pub(super) fn signed(seed: u8, claims: &Value) -> String {
    let message = unsigned(&json!({ "alg": "EdDSA", "typ": "JWT" }), claims);
    let signature = ed_key(seed).sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
