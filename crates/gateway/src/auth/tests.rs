//! Token requests and tokens, against a server with a clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use interop::fhir::ResourceType;
use serde_json::{Value, json};

use super::authentication::Credentials;
use super::server::TokenRequest;
use super::*;

const BASE: &str = "http://127.0.0.1:9999";
const START: u64 = 1_800_000_000;

struct OneWallet;

impl WalletKeys for OneWallet {
    fn wallet_key<'a>(
        &'a self,
        patient: &'a str,
    ) -> BoxFuture<'a, Result<Option<[u8; 32]>, WalletsUnavailable>> {
        Box::pin(async move { Ok((patient == "p1").then(|| public(&ed_key(2)))) })
    }
}

struct Bench {
    server: AuthorizationServer,
    time: Arc<AtomicU64>,
}

impl Bench {
    fn new(base: &str, token_seed: u8) -> Self {
        Self::on(Memory::default(), base, token_seed)
    }

    /// A server that starts with these rows.
    fn on(rows: Memory, base: &str, token_seed: u8) -> Self {
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
        let key = ed_key(token_seed);
        let signer = TokenSigner::new(public(&key), move |bytes| {
            key.sign(bytes)
                .as_ref()
                .try_into()
                .map_err(|_| SigningFailed)
        });
        Self {
            server: AuthorizationServer::new(config, clients, signer, clock, backing(rows))
                .unwrap(),
            time,
        }
    }

    fn ask(&self, assertion: &str, scope: &str) -> Result<Value, TokenError> {
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

    fn bearer(&self, assertion: &str) -> String {
        let answer = self
            .ask(assertion, "system/*.cruds patient/*.cruds")
            .unwrap();
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    }
}

fn backing(rows: Memory) -> Backing {
    Backing {
        rows: Box::new(rows),
        patients: Box::new(Nobody),
        sign_in: SignIn::default(),
    }
}

/// Rows for the time of a test.
#[derive(Clone, Default)]
struct Memory(Arc<std::sync::Mutex<std::collections::BTreeMap<String, Vec<u8>>>>);

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

struct Nobody;

impl Patients for Nobody {
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

fn ed_key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

fn ed_jwk(seed: u8) -> jsonwebtoken::jwk::Jwk {
    let x = URL_SAFE_NO_PAD.encode(public(&ed_key(seed)));
    serde_json::from_value(json!({ "kty": "OKP", "crv": "Ed25519", "x": x })).unwrap()
}

fn ec_pkcs8() -> Vec<u8> {
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

fn ec_point() -> Vec<u8> {
    let mut point = vec![4];
    for coordinate in [EC_X, EC_Y] {
        point.extend(URL_SAFE_NO_PAD.decode(coordinate).unwrap());
    }
    point
}

const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

fn ec_jwk() -> jsonwebtoken::jwk::Jwk {
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "ec" });
    serde_json::from_value(jwk).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "ehr", "sub": "ehr", "aud": format!("{BASE}/oauth2/token"),
        "exp": START + 240, "jti": uuid::Uuid::new_v4().to_string(),
        "extensions": { "hl7-b2b": {
            "version": "1", "subject_id": "Practitioner/7", "subject_role": "physician",
            "organization_id": "clinic", "purpose_of_use": "TREAT",
        } },
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    for (name, value) in changes {
        claims[name] = value;
    }
    claims
}

fn b2b(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims["extensions"]["hl7-b2b"][name] = value;
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn signed(seed: u8, claims: &Value) -> String {
    let message = unsigned(&json!({ "alg": "EdDSA", "typ": "JWT" }), claims);
    let signature = ed_key(seed).sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_carries_client_user_purpose_and_scopes() {
    let bench = Bench::new(BASE, 9);
    let answer = bench
        .ask(&signed(1, &claims()), "system/Observation.rs openid")
        .unwrap();
    assert_eq!(answer["scope"], "system/Observation.rs");
    assert_eq!(answer["expires_in"], 600);
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let token = bench.server.verify(&bearer).unwrap();
    assert_eq!(token.client, "ehr");
    assert_eq!(token.practitioner.as_deref(), Some("Practitioner/7"));
    assert_eq!(token.role.as_deref(), Some("physician"));
    assert_eq!(token.patient, None);
    assert_eq!(token.purpose, "TREAT");
    let observation = ResourceType::parse("Observation").unwrap();
    assert!(token.scopes.permit(observation, Permission::Read));
    assert!(!token.scopes.permit(ResourceType::PATIENT, Permission::Read));
}

#[test]
fn es256_is_accepted_with_the_right_key() {
    let bench = Bench::new(BASE, 9);
    let message = unsigned(&json!({ "alg": "ES256", "kid": "ec" }), &claims());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ec_pkcs8()).unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = key.sign(&random, message.as_bytes()).unwrap();
    let assertion = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    bench.ask(&assertion, "system/*.r").unwrap();
    let other_kid = unsigned(&json!({ "alg": "ES256", "kid": "other" }), &claims());
    let signature = key.sign(&random, other_kid.as_bytes()).unwrap();
    let assertion = format!("{other_kid}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(
        bench.ask(&assertion, "system/*.r"),
        Err(AssertionError::SignatureInvalid.into())
    );
}

#[test]
fn a_wallets_tokens_are_bound_to_its_patient() {
    let bench = Bench::new(BASE, 9);
    let claims = |id: &str| {
        let mut claims = with(json!({ "iss": id, "sub": id }));
        claims.as_object_mut().unwrap().remove("extensions");
        claims
    };
    let token = bench.bearer(&signed(2, &claims("wallet-p1")));
    let token = bench.server.verify(&token).unwrap();
    assert_eq!(token.patient.as_deref(), Some("p1"));
    assert_eq!(token.purpose, "PATRQT");
    assert_eq!(token.scopes.to_string(), "patient/*.cruds");
    assert_eq!(
        bench.ask(&signed(2, &claims("wallet-p2")), "patient/*.r"),
        Err(AssertionError::ClientUnknown.into())
    );
    assert_eq!(
        bench.ask(&signed(1, &claims("wallet-p1")), "patient/*.r"),
        Err(AssertionError::SignatureInvalid.into())
    );
}

#[test]
fn an_assertion_with_a_fault_is_refused_with_its_name() {
    let refused = |claims: &Value| {
        let bench = Bench::new(BASE, 9);
        bench.ask(&signed(1, claims), "system/*.r").unwrap_err()
    };
    let table = [
        (
            with(json!({ "sub": "other" })),
            AssertionError::NotOneClient,
        ),
        (
            with(json!({ "iss": "x", "sub": "x" })),
            AssertionError::ClientUnknown,
        ),
        (
            with(json!({ "aud": "http://elsewhere/oauth2/token" })),
            AssertionError::WrongAudience,
        ),
        (with(json!({ "aud": BASE })), AssertionError::WrongAudience),
        (with(json!({ "exp": START - 31 })), AssertionError::Expired),
        (
            with(json!({ "exp": START + 331 })),
            AssertionError::LivesTooLong,
        ),
        (
            with(json!({ "iat": START + 31 })),
            AssertionError::NotYetValid,
        ),
        (
            with(json!({ "nbf": START + 31 })),
            AssertionError::NotYetValid,
        ),
        (with(json!({ "jti": "" })), AssertionError::JtiUnusable),
        (with(json!({ "jti": null })), AssertionError::JtiUnusable),
        (with(json!({ "exp": "soon" })), AssertionError::Malformed),
        (
            b2b("purpose_of_use", json!(["TREAT", "ETREAT"])),
            AssertionError::Malformed,
        ),
    ];
    for (claims, error) in table {
        assert_eq!(refused(&claims), error.into());
    }
    let table = [
        (
            b2b("subject_role", json!("janitor")),
            TokenError::RoleRefused,
        ),
        (
            b2b("purpose_of_use", json!("HMARKT")),
            TokenError::PurposeRefused,
        ),
        (
            b2b("purpose_of_use", Value::Null),
            TokenError::PurposeMissing,
        ),
        (
            b2b("organization_id", json!("payer")),
            TokenError::OtherOrganization,
        ),
        (
            b2b("subject_id", json!("Patient/1")),
            TokenError::PractitionerMalformed,
        ),
    ];
    for (claims, error) in table {
        assert_eq!(refused(&claims), error);
    }
    let bench = Bench::new(BASE, 9);
    assert_eq!(
        bench.ask(&signed(3, &claims()), "system/*.r"),
        Err(AssertionError::SignatureInvalid.into())
    );
    assert_eq!(
        bench.ask(&signed(1, &claims()), "patient/*.r nonsense"),
        Err(TokenError::ScopeRefused)
    );
    assert_eq!(
        bench.ask("not.a.jwt", "system/*.r"),
        Err(AssertionError::Malformed.into())
    );
}

#[test]
fn no_weaker_algorithm_is_accepted() {
    let bench = Bench::new(BASE, 9);
    for alg in ["HS256", "RS256", "none"] {
        let assertion = format!("{}.AAAA", unsigned(&json!({ "alg": alg }), &claims()));
        let expected = match alg {
            "none" => AssertionError::Malformed,
            _ => AssertionError::AlgorithmRefused,
        };
        assert_eq!(
            bench.ask(&assertion, "system/*.r"),
            Err(expected.into()),
            "{alg}"
        );
    }
    let critical = unsigned(&json!({ "alg": "EdDSA", "crit": ["exp"] }), &claims());
    let signature = ed_key(1).sign(critical.as_bytes());
    let critical = format!("{critical}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(
        bench.ask(&critical, "system/*.r"),
        Err(AssertionError::Malformed.into())
    );
}

#[test]
fn an_assertion_is_used_once() {
    let bench = Bench::new(BASE, 9);
    let assertion = signed(1, &claims());
    bench.ask(&assertion, "system/*.r").unwrap();
    assert_eq!(
        bench.ask(&assertion, "system/*.r"),
        Err(AssertionError::Replayed.into())
    );
    bench.time.fetch_add(269, Ordering::Relaxed);
    assert_eq!(
        bench.ask(&assertion, "system/*.r"),
        Err(AssertionError::Replayed.into())
    );
    bench.time.fetch_add(1, Ordering::Relaxed);
    assert_eq!(
        bench.ask(&assertion, "system/*.r"),
        Err(AssertionError::Expired.into())
    );
}

#[test]
fn a_token_is_good_here_unchanged_and_for_its_time() {
    let bench = Bench::new(BASE, 9);
    let token = bench.bearer(&signed(1, &claims()));
    let verify = |text: &str| bench.server.verify(text).map(|_| ());
    assert_eq!(verify(&token), Ok(()));
    assert_eq!(
        verify(&token.replace("Bearer", "Basic")),
        Err(TokenProblem::NotBearer)
    );
    assert_eq!(verify("Bearer rubbish"), Err(TokenProblem::Malformed));

    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["scope"] = json!("system/*.cruds patient/*.cruds");
    let changed = URL_SAFE_NO_PAD.encode(claims.to_string());
    assert_eq!(
        verify(&format!("{header}.{changed}.{signature}")),
        Err(TokenProblem::SignatureInvalid)
    );

    bench.time.fetch_add(600, Ordering::Relaxed);
    assert_eq!(verify(&token), Err(TokenProblem::Expired));
}

#[test]
fn a_token_of_another_member_is_refused() {
    let (here, elsewhere) = (Bench::new(BASE, 9), Bench::new("http://127.0.0.1:1", 10));
    let claims = with(json!({ "aud": "http://127.0.0.1:1/oauth2/token" }));
    let foreign = elsewhere.bearer(&signed(1, &claims));
    assert_eq!(here.server.verify(&foreign), Err(TokenProblem::OtherIssuer));
    // The same name, another key: a server that pretends to be this one.
    let pretender = Bench::new(BASE, 10);
    let foreign = pretender.bearer(&signed(1, &self::claims()));
    assert_eq!(
        here.server.verify(&foreign),
        Err(TokenProblem::SignatureInvalid)
    );
}

#[test]
fn a_client_that_cannot_work_is_refused_at_the_start() {
    let client = || ClientConfig {
        client_id: "ehr".to_owned(),
        keys: vec![ed_jwk(1)],
        roles: Vec::new(),
        purposes: vec!["TREAT".to_owned()],
        scopes: "system/*.r".to_owned(),
        ..ClientConfig::default()
    };
    let refused = |clients| ClientRegistry::new(clients, OneWallet).unwrap_err();
    let id = "ehr".to_owned();
    let wallet = ClientConfig {
        client_id: "wallet-1".to_owned(),
        ..client()
    };
    assert_eq!(
        refused(vec![wallet]),
        ClientConfigError::IdNotUsable("wallet-1".to_owned())
    );
    assert_eq!(
        refused(vec![client(), client()]),
        ClientConfigError::Repeated(id.clone())
    );
    let keyless = ClientConfig {
        keys: Vec::new(),
        ..client()
    };
    assert_eq!(
        refused(vec![keyless]),
        ClientConfigError::KeyMissing(id.clone())
    );
    let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let symmetric = ClientConfig {
        keys: vec![serde_json::from_value(symmetric).unwrap()],
        ..client()
    };
    assert_eq!(
        refused(vec![symmetric]),
        ClientConfigError::KeyUnsupported(id.clone())
    );
    let purposeless = ClientConfig {
        purposes: Vec::new(),
        ..client()
    };
    assert_eq!(
        refused(vec![purposeless]),
        ClientConfigError::PurposeMissing(id.clone())
    );
    let scopeless = ClientConfig {
        scopes: String::new(),
        ..client()
    };
    assert_eq!(
        refused(vec![scopeless]),
        ClientConfigError::Scopes {
            client: id,
            error: ScopeError
        }
    );
}

#[test]
fn t8_what_was_revoked_is_refused_after_a_restart_and_forgotten_when_it_has_expired() {
    let rows = Memory::default();
    let before = Bench::on(rows.clone(), BASE, 9);
    let bearer = before.bearer(&signed(1, &claims()));
    let token = before.server.verify(&bearer).unwrap();
    let times = (START, START + 600);
    let revoked = before
        .server
        .revoked
        .add(&before.server.kept, &token.jti, times);
    futures::executor::block_on(revoked).unwrap();
    assert_eq!(before.server.verify(&bearer), Err(TokenProblem::Revoked));
    let after = Bench::on(rows.clone(), BASE, 9);
    assert_eq!(after.server.verify(&bearer), Err(TokenProblem::Revoked));
    assert_eq!(rows.0.lock().unwrap().len(), 1);
    futures::executor::block_on(after.server.kept.sweep(START + 600)).unwrap();
    assert!(rows.0.lock().unwrap().is_empty());
}
