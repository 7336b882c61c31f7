use std::fs;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use tempfile::TempDir;

use super::*;

const CHEAP: KdfCost = KdfCost {
    memory_kib: 8,
    iterations: 1,
    lanes: 1,
};

struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.bin")
    }

    fn create(&self) -> FileKeyStore {
        FileKeyStore::create(&self.path(), b"words", CHEAP).unwrap()
    }

    fn open(&self, passphrase: &[u8]) -> Result<FileKeyStore, KeyStoreError> {
        FileKeyStore::open(&self.path(), passphrase)
    }
}

#[test]
fn secrets_are_there_when_the_file_is_opened_again() {
    let site = Site::new();
    let store = site.create();
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    store.generate_wrapping_key(1).unwrap();
    store.generate_wrapping_key(2).unwrap();
    let public_key = store.public_key(&SecretName::node()).unwrap();
    let again = site.open(b"words").unwrap();
    assert_eq!(again.names(), store.names());
    assert_eq!(again.public_key(&SecretName::node()).unwrap(), public_key);
    let latest = again.latest_wrapping_key().unwrap().unwrap();
    assert_eq!(latest.epoch(), 2);
}

#[test]
fn a_signature_is_of_the_key_whose_name_was_given() {
    let site = Site::new();
    let store = site.create();
    store
        .generate(SecretName::node(), SecretKind::Signing)
        .unwrap();
    let signature = store.sign(&SecretName::node(), b"message").unwrap();
    let public_key = store.public_key(&SecretName::node()).unwrap();
    let public_key = UnparsedPublicKey::new(&ED25519, public_key);
    assert!(public_key.verify(b"message", &signature).is_ok());
    assert!(public_key.verify(b"other", &signature).is_err());
    let seed = store.expose(&SecretName::node()).unwrap();
    let secret = Secret::new(SecretKind::Signing, *seed);
    assert_eq!(
        secret.ed25519().unwrap().1,
        store.public_key(&SecretName::node()).unwrap()
    );
}

#[test]
fn a_p256_key_signs_and_is_there_when_the_file_is_opened_again() {
    let site = Site::new();
    let name = SecretName::node();
    site.create()
        .generate(name.clone(), SecretKind::SigningP256)
        .unwrap();
    let store = site.open(b"words").unwrap();
    let Ok(SigningPublicKey::P256(point)) = store.signing_public_key(&name) else {
        panic!("a P-256 key")
    };
    let signature = store.sign(&name, b"message").unwrap();
    let public_key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    assert!(public_key.verify(b"message", &signature).is_ok());
    assert!(public_key.verify(b"other", &signature).is_err());
    // Who needs an Ed25519 key is not given another one.
    let refused = store.public_key(&name);
    assert!(matches!(refused, Err(KeyStoreError::WrongKind(_))));
}

#[test]
fn bytes_that_are_no_p256_key_are_not_kept() {
    let site = Site::new();
    let store = site.create();
    for bytes in [[0; 32], [0xff; 32]] {
        let refused = store.insert(
            SecretName::node(),
            Secret::new(SecretKind::SigningP256, bytes),
        );
        assert!(matches!(refused, Err(KeyStoreError::NotAKey(_))));
    }
    assert!(site.open(b"words").unwrap().names().is_empty());
}

#[test]
fn what_was_wrapped_to_an_agreement_key_unwraps_and_a_key_serves_one_use() {
    let site = Site::new();
    let store = site.create();
    store
        .generate(SecretName::exchange(), SecretKind::Agreement)
        .unwrap();
    let public_key = store.hpke_public_key(&SecretName::exchange()).unwrap();
    let wrapped = crate::wrap::wrap_for(&public_key, b"info", b"data", &[5; 32]).unwrap();
    let name = SecretName::exchange();
    let opened = store.unwrap_for(&name, b"info", b"data", &wrapped).unwrap();
    assert_eq!(*opened, [5; 32]);
    let misused = store.sign(&name, b"message");
    assert!(matches!(misused, Err(KeyStoreError::WrongKind(_))));
    let missing = store.sign(&SecretName::node(), b"message");
    assert!(matches!(missing, Err(KeyStoreError::NoSecret(_))));
}

#[test]
fn a_wrong_passphrase_and_a_new_one_are_told_apart() {
    let site = Site::new();
    let store = site.create();
    store.generate_wrapping_key(1).unwrap();
    assert!(matches!(
        site.open(b"other"),
        Err(KeyStoreError::WrongPassphrase)
    ));
    store.change_passphrase(b"new words", CHEAP).unwrap();
    assert!(matches!(
        site.open(b"words"),
        Err(KeyStoreError::WrongPassphrase)
    ));
    assert_eq!(site.open(b"new words").unwrap().names(), store.names());
}

#[test]
fn one_changed_byte_or_a_cut_of_the_file_is_found() {
    let site = Site::new();
    site.create().generate_wrapping_key(1).unwrap();
    let sound = fs::read(site.path()).unwrap();
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(site.path(), changed).unwrap();
        assert!(site.open(b"words").is_err(), "byte {at}");
        fs::write(site.path(), &sound[..at]).unwrap();
        assert!(site.open(b"words").is_err(), "{at} bytes");
    }
    fs::write(site.path(), sound).unwrap();
    assert!(site.open(b"words").is_ok());
}

#[test]
fn a_key_file_is_never_overwritten_and_its_absence_is_said() {
    let site = Site::new();
    assert!(matches!(
        site.open(b"words"),
        Err(KeyStoreError::NoKeyFile(_))
    ));
    let store = site.create();
    store.generate_wrapping_key(1).unwrap();
    let second = FileKeyStore::create(&site.path(), b"words", CHEAP);
    assert!(matches!(second, Err(KeyStoreError::KeyFileExists(_))));
    assert_eq!(site.open(b"words").unwrap().names(), store.names());
}

#[test]
fn secrets_are_added_all_or_none_and_destroyed_for_good() {
    let site = Site::new();
    let store = site.create();
    store.generate_wrapping_key(1).unwrap();
    let secret = |byte| Secret::new(SecretKind::Symmetric, [byte; 32]);
    let both = vec![
        (SecretName::wrapping(2), secret(2)),
        (SecretName::wrapping(1), secret(1)),
    ];
    assert!(matches!(
        store.insert_all(both),
        Err(KeyStoreError::SecretExists(_))
    ));
    assert!(!store.contains(&SecretName::wrapping(2)));
    let before = store.expose(&SecretName::wrapping(1)).unwrap();
    store.destroy(&SecretName::wrapping(1)).unwrap();
    assert!(site.open(b"words").unwrap().names().is_empty());
    let file = fs::read(site.path()).unwrap();
    assert!(!file.windows(32).any(|window| window == *before));
}

#[test]
fn two_handles_change_one_file_without_losing_what_the_other_did() {
    let site = Site::new();
    let one = site.create();
    let other = site.open(b"words").unwrap();
    one.generate_wrapping_key(1).unwrap();
    other.generate_wrapping_key(2).unwrap();
    assert_eq!(site.open(b"words").unwrap().names().len(), 2);
}

#[test]
fn nothing_that_holds_a_secret_shows_it() {
    let bytes = [0xab; 32];
    let site = Site::new();
    let store = site.create();
    store
        .insert(SecretName::node(), Secret::new(SecretKind::Signing, bytes))
        .unwrap();
    store
        .insert(
            SecretName::exchange(),
            Secret::new(SecretKind::Agreement, bytes),
        )
        .unwrap();
    let handle: std::sync::Arc<dyn KeyStore> = std::sync::Arc::new(store.clone());
    let pin = Pin::new(Zeroizing::new("171171".to_owned()));
    let shown = [
        format!("{:?}", Secret::new(SecretKind::Symmetric, bytes)),
        format!("{store:?}"),
        format!("{:?}", Signer::new(handle, SecretName::node()).unwrap()),
        format!("{:?}", WrappingKey::new(1, SmallKey::from_bytes(bytes))),
        format!("{:?}", crate::wrap::HpkeKeyPair::from_private(bytes.into())),
        format!("{:?}", crate::secret::EraseKey::from_bytes(bytes)),
        format!("{:?}", crate::secret::DataKey::from_bytes(bytes)),
        format!("{:?}", SmallKey::from_bytes(bytes)),
        format!("{:?}", crate::secret::Opening::from_bytes(bytes)),
        format!("{pin:?}"),
        format!(
            "{:?}",
            Pkcs11Config {
                module: "module".into(),
                token: "token".to_owned(),
                pin,
                file: "file".into(),
            }
        ),
        format!("{:?}", site.open(b"171 abab").unwrap_err()),
    ];
    for one in shown {
        let lower = one.to_lowercase();
        assert!(!lower.contains("171") && !lower.contains("abab"), "{one}");
    }
}
