use ed25519_zebra::SigningKey;
use p256::ecdsa::signature::Signer as _;
use proptest::prelude::*;

use super::*;

fn p256_signing() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[6; 32]).unwrap()
}

pub(crate) fn p256_key() -> NodeKey {
    NodeKey::P256(*p256_signing().verifying_key())
}

fn ed25519_key() -> NodeKey {
    VerificationKey::from(&SigningKey::from_bytes(&[6; 32])).into()
}

/// Signs in the lower or in the higher form.
pub(crate) fn sign(message: &[u8], is_high: bool) -> [u8; 64] {
    let signature: Signature = p256_signing().sign(message);
    let low: [u8; 64] = signature.normalize_s().to_bytes().into();
    if is_high {
        other_form(&low).try_into().unwrap()
    } else {
        low
    }
}

/// The other value of `s` that verifies.
pub(crate) fn other_form(signature: &[u8]) -> Vec<u8> {
    let signature = Signature::from_slice(signature).unwrap();
    let (r, s) = signature.split_scalars();
    let other = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    other.to_bytes().to_vec()
}

#[test]
fn keys_read_from_the_bytes_that_certificates_hold() {
    let Ok(point) = p256_key().to_bytes().try_into() else {
        panic!("65 bytes")
    };
    assert_eq!(NodeKey::p256(&point), Some(p256_key()));
    assert_eq!(NodeKey::p256(&[4; 65]), None, "not on the curve");
    let Ok(bytes) = ed25519_key().to_bytes().try_into() else {
        panic!("32 bytes")
    };
    assert_eq!(NodeKey::ed25519(bytes), Some(ed25519_key()));
}

#[test]
fn the_default_algorithm_leaves_no_trace_at_the_end_of_an_array() {
    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Last(#[n(0)] u8, #[n(1)] Algorithm);
    let bytes = |algorithm| crate::codec::encode(&Last(7, algorithm));
    assert_eq!(bytes(Algorithm::EdDsa), [0x81, 7]);
    assert_eq!(bytes(Algorithm::Es256), [0x82, 7, 0x26]);
    for (refused, why) in [
        (
            [0x82, 7, 0x27].as_slice(),
            "named although it is the default",
        ),
        (&[0x82, 7, 0xf6], "null"),
        (&[0x82, 7, 0x20], "unknown"),
    ] {
        assert!(
            crate::codec::decode::<Last>("test", refused).is_err(),
            "{why}"
        );
    }
}

proptest! {
    #[test]
    fn a_signature_is_of_one_message_one_key_and_one_form(
        message in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let signature = sign(&message, false);
        prop_assert_eq!(p256_key().verify(&message, &signature), Ok(()));
        let high = other_form(&signature);
        prop_assert_eq!(p256_key().verify(&message, &high), Err(SignatureInvalid));
        let high = high.try_into().unwrap();
        prop_assert_eq!(Algorithm::Es256.in_one_form(high), signature);
        prop_assert_eq!(ed25519_key().verify(&message, &signature), Err(SignatureInvalid));
        let mut changed = signature;
        changed[at.index(64)] ^= flip;
        prop_assert_eq!(p256_key().verify(&message, &changed), Err(SignatureInvalid));
        let other = [message.as_slice(), &[0]].concat();
        prop_assert_eq!(p256_key().verify(&other, &signature), Err(SignatureInvalid));
    }
}
