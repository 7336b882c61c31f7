use std::sync::Arc;

use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::*;
use crate::keystore::{FileKeyStore, KdfCost, KeyStore, SecretKind, SecretName, SigningPublicKey};

const JUNE: u64 = 1_780_000_000;
const NODE: SigningPublicKey = SigningPublicKey::Ed25519([9; 32]);

fn authority(folder: &TempDir) -> MemberCa {
    authority_with(folder, SecretKind::Signing).0
}

fn authority_with(folder: &TempDir, kind: SecretKind) -> (MemberCa, Arc<dyn KeyStore>) {
    let cost = KdfCost {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };
    let store = FileKeyStore::create(&folder.path().join("keys.bin"), b"words", cost).unwrap();
    store.generate(SecretName::member_ca(), kind).unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let signer = Signer::new(Arc::clone(&store), SecretName::member_ca()).unwrap();
    (MemberCa::new("hospital", signer), store)
}

#[test]
fn a_p256_authority_certifies_keys_of_both_kinds() {
    let folder = TempDir::new().unwrap();
    let (authority, store) = authority_with(&folder, SecretKind::SigningP256);
    let node = SecretName::node();
    store
        .generate(node.clone(), SecretKind::SigningP256)
        .unwrap();
    let key = store.signing_public_key(&node).unwrap();
    let root = authority.certify_itself(JUNE).unwrap();
    let (_, root) = X509Certificate::from_der(root.der()).unwrap();
    let curve = root.public_key().algorithm.parameters.as_ref().unwrap();
    assert_eq!(
        curve.as_oid().unwrap().to_id_string(),
        "1.2.840.10045.3.1.7"
    );
    for key in [key, NODE] {
        let certified = authority.certify_node(&key, "h", JUNE).unwrap();
        let (_, parsed) = X509Certificate::from_der(certified.der()).unwrap();
        let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
        assert_eq!(algorithm, "1.2.840.10045.4.3.2", "ECDSA with SHA-256");
        let held = parsed.public_key().subject_public_key.data.as_ref();
        assert_eq!(held, key.as_bytes());
    }
}

#[test]
fn a_node_certificate_is_signed_by_its_authority_and_names_the_member() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let root = authority.certify_itself(JUNE).unwrap();
    let node = authority
        .certify_node(&NODE, "hospital.example", JUNE)
        .unwrap();
    let (_, root) = X509Certificate::from_der(root.der()).unwrap();
    let (_, parsed) = X509Certificate::from_der(node.der()).unwrap();
    assert_eq!(parsed.issuer(), root.subject());
    assert!(root.is_ca() && !parsed.is_ca());
    let organisation = parsed.subject().iter_organization().next().unwrap();
    assert_eq!(organisation.as_str().unwrap(), "hospital");
    assert_eq!(
        parsed.public_key().subject_public_key.data.as_ref(),
        [9; 32]
    );
    assert!(node.pem().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn validity_lasts_thirteen_months_for_a_node_and_ten_years_for_an_authority() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let days = |certificate: &Certificate| {
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let validity = parsed.validity();
        let start = u64::try_from(validity.not_before.timestamp()).unwrap();
        assert_eq!(start, JUNE);
        (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400
    };
    let node = authority.certify_node(&NODE, "h", JUNE).unwrap();
    assert!((393..=397).contains(&days(&node)));
    let root = authority.certify_itself(JUNE).unwrap();
    assert!((3_651..=3_653).contains(&days(&root)));
}

#[test]
fn serial_numbers_differ_and_impossible_requests_are_refused() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let one = authority.certify_node(&NODE, "h", JUNE).unwrap();
    let other = authority.certify_node(&NODE, "h", JUNE).unwrap();
    assert!(one != other);
    let name = authority.certify_node(&NODE, "hôpital", JUNE);
    assert!(matches!(name, Err(CertificateError::DnsNameNotAscii)));
    let late = authority.certify_itself(u64::MAX);
    assert!(matches!(late, Err(CertificateError::ValidityOutOfRange)));
}
