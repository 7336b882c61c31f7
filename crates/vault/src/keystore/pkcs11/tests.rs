//! With a real token: `scripts/with-softhsm` names its library in `CARELEDGER_PKCS11_MODULE`.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use tempfile::TempDir;

use super::*;
use crate::keystore::Signer;

struct Site {
    folder: TempDir,
    config: Pkcs11Config,
}

/// A fresh token; `None` where there is no library to make one with.
fn make(test: &str) -> Option<Site> {
    let Some(module) = std::env::var_os("CARELEDGER_PKCS11_MODULE") else {
        eprintln!(
            "skipped: CARELEDGER_PKCS11_MODULE names no library (scripts/with-softhsm sets it)"
        );
        return None;
    };
    let folder = TempDir::new().unwrap();
    let label = format!("{test} {}", std::process::id());
    let config = Pkcs11Config {
        module: module.into(),
        token: label.chars().take(32).collect(),
        pin: pin("1234-planted"),
        file: folder.path().join("keys.bin"),
    };
    initialise(&config, &pin("so-planted")).unwrap();
    Some(Site { folder, config })
}

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

#[test]
fn keys_are_made_in_the_token_sign_there_and_do_not_leave_it() {
    let Some(site) = make("signs") else { return };
    let store = Pkcs11KeyStore::create(&site.config).unwrap();
    let later = SecretName::later_node(2);
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    store
        .generate(later.clone(), SecretKind::SigningP256)
        .unwrap();
    let again = Pkcs11KeyStore::open(&site.config).unwrap();
    for name in [SecretName::node(), later] {
        let signature = again.sign(&name, b"message").unwrap();
        let verified = match again.signing_public_key(&name).unwrap() {
            SigningPublicKey::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key.to_vec()).verify(b"message", &signature)
            }
            SigningPublicKey::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.to_vec())
                    .verify(b"message", &signature)
            }
        };
        assert!(verified.is_ok());
        let refused = again.expose(&name);
        assert!(matches!(refused, Err(KeyStoreError::StaysInToken(_))));
        let facts = again.facts(&name).unwrap();
        assert_eq!(facts.place, KeyPlace::Token { is_confined: true });
        assert!(facts.made_at.is_some());
        let twice = again.generate(name.clone(), SecretKind::Signing);
        assert!(matches!(twice, Err(KeyStoreError::SecretExists(_))));
    }
    assert_eq!(again.names(), store.names());
}

#[test]
fn the_token_itself_refuses_to_give_a_private_key() {
    let Some(site) = make("refuses") else { return };
    let store = Pkcs11KeyStore::create(&site.config).unwrap();
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    let shown = store.0.sessions.run(|session| {
        let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        let secret = [Attribute::Class(ObjectClass::SECRET_KEY)];
        let mut keys = session.find_objects(&private)?;
        keys.extend(session.find_objects(&secret)?);
        assert_eq!(keys.len(), 2);
        let mut shown = 0;
        for key in keys {
            shown += session.get_attributes(key, &[AttributeType::Value])?.len();
        }
        Ok(shown)
    });
    assert_eq!(shown.unwrap(), 0);
}

#[test]
fn what_a_token_cannot_hold_is_in_a_file_that_only_the_token_opens() {
    let Some(site) = make("seals") else { return };
    let store = Pkcs11KeyStore::create(&site.config).unwrap();
    store
        .generate(SecretName::validator(), SecretKind::Signing)
        .unwrap();
    store.generate_wrapping_key(1).unwrap();
    let root = store.expose(&SecretName::wrapping(1)).unwrap();
    let again = Pkcs11KeyStore::open(&site.config).unwrap();
    assert_eq!(again.expose(&SecretName::wrapping(1)).unwrap(), root);
    assert!(FileKeyStore::open(&site.config.file, b"1234-planted").is_err());

    let Some(other) = make("other") else { return };
    Pkcs11KeyStore::create(&other.config).unwrap();
    let mut swapped = other.config;
    swapped.file = site.config.file;
    let refused = Pkcs11KeyStore::open(&swapped);
    assert!(
        matches!(refused, Err(KeyStoreError::SealBroken)),
        "{refused:?}"
    );
}

#[test]
fn a_token_that_was_lost_is_used_again_once_it_is_back() {
    let Some(site) = make("lost") else { return };
    let store = Pkcs11KeyStore::create(&site.config).unwrap();
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    let before = store.sign(&SecretName::node(), b"message").unwrap();
    for _ in 0..3 {
        let logged_out = store.0.sessions.run(Session::logout);
        logged_out.unwrap();
        assert_eq!(store.sign(&SecretName::node(), b"message").unwrap(), before);
    }
    // Where a test has a process of its own, the library forgets everything.
    if std::env::var_os("NEXTEST").is_some() {
        let library = sessions::module(&site.config.module).unwrap();
        library.finalize().unwrap();
        assert_eq!(store.sign(&SecretName::node(), b"message").unwrap(), before);
    }
    assert!(store.contains(&SecretName::node()));
}

#[test]
fn many_threads_sign_at_once() {
    let Some(site) = make("threads") else { return };
    let store = Pkcs11KeyStore::create(&site.config).unwrap();
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    let expected = store.sign(&SecretName::node(), b"message").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let signature = store.sign(&SecretName::node(), b"message");
                    assert_eq!(signature.unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn a_certificate_is_signed_by_an_authority_in_the_token() {
    let Some(site) = make("certifies") else {
        return;
    };
    let store: Arc<dyn KeyStore> = Arc::new(Pkcs11KeyStore::create(&site.config).unwrap());
    for (name, kind) in [
        (SecretName::member_ca(), SecretKind::SigningP256),
        (SecretName::node(), SecretKind::Signing),
    ] {
        store.generate(name, kind).unwrap();
    }
    let signer = Signer::new(Arc::clone(&store), SecretName::member_ca()).unwrap();
    let ca = crate::certificate::MemberCa::new("clinic", signer);
    let authority = ca.certify_itself(1_780_272_000).unwrap();
    let node_key = store.signing_public_key(&SecretName::node()).unwrap();
    let node = ca.certify_node(&node_key, "clinic", 1_780_272_000).unwrap();
    let (_, authority) = x509_parser::parse_x509_certificate(authority.der()).unwrap();
    let (_, node) = x509_parser::parse_x509_certificate(node.der()).unwrap();
    let spki = authority.public_key().subject_public_key.data.to_vec();
    let signed = UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1, spki)
        .verify(node.tbs_certificate.as_ref(), &node.signature_value.data);
    assert!(signed.is_ok());
}

#[test]
fn mistakes_are_said_and_the_pin_is_not() {
    let Some(site) = make("mistakes") else { return };
    Pkcs11KeyStore::create(&site.config).unwrap();
    let mut wrong = site.config.clone();
    wrong.pin = pin("4321-planted");
    let refused = Pkcs11KeyStore::open(&wrong);
    assert!(
        matches!(refused, Err(KeyStoreError::WrongPin)),
        "{refused:?}"
    );
    let mut missing = site.config.clone();
    missing.token = "no such token".to_owned();
    assert!(matches!(
        Pkcs11KeyStore::open(&missing),
        Err(KeyStoreError::NoToken(_))
    ));
    let mut no_library = site.config.clone();
    no_library.module = site.folder.path().join("missing.so");
    assert!(matches!(
        Pkcs11KeyStore::open(&no_library),
        Err(KeyStoreError::Module { .. })
    ));
    assert!(matches!(
        initialise(&site.config, &pin("so-planted")),
        Err(KeyStoreError::TokenExists(_))
    ));
    let store = Pkcs11KeyStore::open(&site.config).unwrap();
    let shown = format!("{store:?} {:?} {refused:?}", site.config);
    assert!(!shown.contains("planted"), "{shown}");
    let facts = token_facts(&site.config.module, &site.config.token).unwrap();
    assert_eq!(facts.label, site.config.token);
    assert!(Path::new(&site.config.module).exists());
}
