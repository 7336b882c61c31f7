use std::sync::Arc;

use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::*;
use crate::keystore::{FileKeyStore, KdfCost, KeyStore, SecretKind, SecretName};

const JUNE: u64 = 1_780_000_000;

fn authority(folder: &TempDir) -> MemberCa {
    let cost = KdfCost {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };
    let store = FileKeyStore::create(&folder.path().join("keys.bin"), b"words", cost).unwrap();
    store
        .generate(SecretName::member_ca(), SecretKind::Signing)
        .unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(store);
    MemberCa::new(
        "hospital",
        Signer::new(store, SecretName::member_ca()).unwrap(),
    )
}

#[test]
fn a_node_certificate_is_signed_by_its_authority_and_names_the_member() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let root = authority.certify_itself(JUNE).unwrap();
    let node = authority
        .certify_node(&[9; 32], "hospital.example", JUNE)
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
    let node = authority.certify_node(&[9; 32], "h", JUNE).unwrap();
    assert!((393..=397).contains(&days(&node)));
    let root = authority.certify_itself(JUNE).unwrap();
    assert!((3_651..=3_653).contains(&days(&root)));
}

#[test]
fn serial_numbers_differ_and_impossible_requests_are_refused() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let one = authority.certify_node(&[9; 32], "h", JUNE).unwrap();
    let other = authority.certify_node(&[9; 32], "h", JUNE).unwrap();
    assert!(one != other);
    let name = authority.certify_node(&[9; 32], "hôpital", JUNE);
    assert!(matches!(name, Err(CertificateError::DnsNameNotAscii)));
    let late = authority.certify_itself(u64::MAX);
    assert!(matches!(late, Err(CertificateError::ValidityOutOfRange)));
}
