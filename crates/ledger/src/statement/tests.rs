use std::convert::Infallible;

use ed25519_zebra::{SigningKey, VerificationKey};
use proptest::prelude::*;

use super::*;
use crate::ids::Tag;
use crate::node_key::{self, tests::p256_key};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn items(count: u16) -> Vec<Item> {
    let item = |n: u16| Item {
        tags: [
            Tag([u8::try_from(n % 251).unwrap(); 16]),
            Tag(n.to_be_bytes().repeat(8).try_into().unwrap()),
        ],
        commitment: Digest::of(&n.to_be_bytes()),
    };
    (0..count).map(item).collect()
}

pub(crate) fn statement(count: u16) -> SubmittedStatement {
    let frame = (
        NetworkId(Digest([3; 32])),
        StatementId([4; 16]),
        Height(100),
    );
    let sign = |bytes: &[u8]| Ok::<_, Infallible>(key(1).sign(bytes).to_bytes());
    let member = "clinic".parse().unwrap();
    SubmittedStatement::sign_items((&member, Digest([5; 32])), frame, items(count), sign).unwrap()
}

#[test]
fn a_statement_round_trips_and_verifies_under_its_key_alone() {
    let bytes = statement(16).encode();
    let read = SubmittedStatement::decode(&bytes).unwrap();
    assert_eq!(read.encode(), bytes);
    assert_eq!(read.items(), items(16));
    assert_eq!(read.verify(&VerificationKey::from(&key(1)).into()), Ok(()));
    let other = read.verify(&VerificationKey::from(&key(2)).into());
    assert_eq!(other, Err(StatementError::SignatureInvalid));
}

/// The statement of `statement(count)`, signed with a P-256 key under the algorithm that `named` says.
pub(crate) fn es256(count: u16, named: Algorithm, is_high: bool) -> SubmittedStatement {
    let body = Body::Items {
        root: items_tree(&items(count)).1,
        count,
    };
    let payload = Payload {
        network: NetworkId(Digest([3; 32])),
        id: StatementId([4; 16]),
        expires_at: Height(100),
        body,
    };
    let member = "clinic".parse().unwrap();
    let signer = SigningNode {
        member: &member,
        certificate: Digest([5; 32]),
        algorithm: named,
    };
    let sign = |bytes: &[u8]| Ok::<_, Infallible>(node_key::tests::sign(bytes, is_high));
    SubmittedStatement::sign(signer, payload, items(count), sign).unwrap()
}

#[test]
fn a_statement_of_a_p256_key_verifies_under_that_key_alone() {
    for is_high in [false, true] {
        // What hardware gives may be in either form; what is written down is in one.
        let statement = es256(16, Algorithm::Es256, is_high);
        let read = SubmittedStatement::decode(&statement.encode()).unwrap();
        assert_eq!(read.encode(), statement.encode());
        assert_eq!(read.algorithm(), Algorithm::Es256);
        assert_eq!(read.verify(&p256_key()), Ok(()));
        let other = read.verify(&VerificationKey::from(&key(1)).into());
        assert_eq!(other, Err(StatementError::SignatureInvalid));
    }
}

#[test]
fn p3_a_signature_has_one_form() {
    let bytes = es256(3, Algorithm::Es256, false).encode();
    let read = SubmittedStatement::decode(&bytes).unwrap();
    let mut cose = read.cose.clone();
    cose.signature = node_key::tests::other_form(&cose.signature);
    let high = SubmittedStatement::of_parts(cose_bytes(cose), read.wire.items.clone()).unwrap();
    assert_ne!(high.digest(), read.digest());
    assert_eq!(
        high.verify(&p256_key()),
        Err(StatementError::SignatureInvalid)
    );
}

#[test]
fn p9_the_algorithm_that_is_named_is_that_of_the_key() {
    // Signed with the P-256 key, over a header that says Ed25519.
    let named = es256(3, Algorithm::EdDsa, false);
    let read = SubmittedStatement::decode(&named.encode()).unwrap();
    for key in [p256_key(), VerificationKey::from(&key(1)).into()] {
        assert_eq!(read.verify(&key), Err(StatementError::SignatureInvalid));
    }
    // A good Ed25519 signature is no signature of a P-256 key.
    let signed = statement(3).verify(&p256_key());
    assert_eq!(signed, Err(StatementError::SignatureInvalid));
}

#[test]
fn the_documented_example_holds() {
    let hex_of = |bytes: &[u8]| hex::encode(bytes);
    let statement = statement(1);
    insta::assert_snapshot!(hex_of(&codec::encode(statement.payload())));
    insta::assert_snapshot!(hex_of(&statement.encode()));
}

#[test]
fn items_are_bounded() {
    let too_many = statement(1_025).encode();
    assert_eq!(
        SubmittedStatement::decode(&too_many),
        Err(StatementError::ItemsOutOfBounds)
    );
    assert!(SubmittedStatement::decode(&statement(1_024).encode()).is_ok());
    assert_eq!(
        SubmittedStatement::decode(&statement(0).encode()),
        Err(StatementError::ItemsOutOfBounds)
    );
}

#[test]
fn every_item_has_a_path_to_the_signed_root() {
    let statement = statement(37);
    let Body::Items { root, .. } = statement.payload().body else {
        panic!("items")
    };
    for (index, item) in (0..).zip(statement.items()) {
        let path = statement.item_path(index).unwrap();
        assert_eq!(path.verify(log::leaf_hash(&item.to_bytes()), root), Ok(()));
    }
}

proptest! {
    #[test]
    fn p3_a_changed_byte_of_a_statement_of_a_p256_key_never_passes(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let mut bytes = es256(3, Algorithm::Es256, false).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let accepted = SubmittedStatement::decode(&bytes).and_then(|read| read.verify(&p256_key()));
        prop_assert!(accepted.is_err());
    }

    #[test]
    fn p3_a_changed_byte_never_passes(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let mut bytes = statement(3).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let accepted = SubmittedStatement::decode(&bytes)
            .and_then(|read| read.verify(&VerificationKey::from(&key(1)).into()));
        prop_assert!(accepted.is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SubmittedStatement::decode(&bytes).is_err());
    }
}
