//! Token requests and tokens, against a server with a clock of its own.

mod bench;

use std::sync::atomic::Ordering;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use interop::fhir::ResourceType;
use serde_json::{Value, json};

use super::*;
use bench::*;

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
fn a_token_that_was_used_ends_with_the_key_that_signed_it() {
    let bench = Bench::new(BASE, 9);
    let token = bench.bearer(&signed(1, &claims()));
    let verify = || bench.server.verify(&token).map(|_| ());
    assert_eq!(verify(), Ok(()));
    bench.signer.replace(vec![token_key(10), token_key(9)]);
    assert_eq!(verify(), Ok(()), "its key still counts");
    bench.signer.replace(vec![token_key(10)]);
    assert_eq!(verify(), Err(TokenProblem::SignatureInvalid));
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
