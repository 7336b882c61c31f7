use ed25519_zebra::{SigningKey, VerificationKey};
use proptest::prelude::*;

use super::*;
use crate::node_key::tests::{other_form, p256_key, sign};

/// Key, message and signature; the number of a signature is its error.
type Signed = (NodeKey, Vec<u8>, Vec<u8>);

fn signed(seed: u8, message: &[u8]) -> Signed {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let signature = key.sign(message).to_bytes().to_vec();
    let key = VerificationKey::from(&key);
    (key.into(), message.to_vec(), signature)
}

fn together(all: &[Signed]) -> Result<(), usize> {
    Signatures::check(|signatures| {
        for (at, (key, message, signature)) in all.iter().enumerate() {
            signatures.add(key, (message, signature), at)?;
        }
        Ok(())
    })
}

fn one_by_one(all: &[Signed]) -> Result<(), usize> {
    let wrong = |(key, message, signature): &Signed| key.verify(message, signature).is_err();
    all.iter().position(wrong).map_or(Ok(()), Err)
}

/// Encodings of points of small order, two of them not canonical: ZIP 215 takes them as keys and in signatures.
fn of_small_order(last: u8) -> [u8; 32] {
    let mut point = [0; 32];
    match last {
        0 => point[0] = 1,
        1 => {
            point = [0xff; 32];
            point[0] = 0xee;
            point[31] = 0x7f;
        }
        2 => {
            point[0] = 1;
            point[31] = 0x80;
        }
        _ => {}
    }
    point
}

#[test]
fn signatures_that_only_zip_215_takes_verify_together() {
    let mut all: Vec<Signed> = (0..4).map(|n| signed(n, &[n])).collect();
    for key in 0..4 {
        for point in 0..4 {
            let key = NodeKey::ed25519(of_small_order(key)).unwrap();
            let signature = [of_small_order(point), [0; 32]].concat();
            all.push((key, b"any".to_vec(), signature));
        }
    }
    assert_eq!(one_by_one(&all), Ok(()));
    assert_eq!(together(&all), Ok(()));
}

#[test]
fn two_wrong_signatures_do_not_make_a_right_one() {
    // With equal coefficients, what one has too much the other has too little.
    let mut all = (0_u8..).map(|number| signed(1, &[number]));
    let (key, message, signature) = all.find(|one| (1..255).contains(&one.2[32])).unwrap();
    let (mut high, mut low) = (signature.clone(), signature);
    high[32] += 1;
    low[32] -= 1;
    let wrong = [high, low].map(|signature| (key, message.clone(), signature));
    let all = [vec![signed(2, b"a")], wrong.to_vec(), vec![signed(3, b"b")]].concat();
    assert_eq!(one_by_one(&all), Err(1));
    assert_eq!(together(&all), Err(1));
}

#[test]
fn a_failure_after_a_wrong_signature_is_not_what_is_named() {
    let (key, message, mut signature) = signed(1, b"message");
    signature[0] ^= 1;
    let outcome: Result<(), &str> = Signatures::check(|signatures| {
        signatures.add(&key, (&message, &signature), "the signature")?;
        Err("what comes after it")
    });
    assert_eq!(outcome, Err("the signature"));
}

#[test]
fn coefficients_differ_and_depend_on_the_seed() {
    let of = |seed| {
        let mut coefficients = Coefficients { seed, next: 0 };
        let mut all = [[0; 16]; 64];
        for one in &mut all {
            coefficients.try_fill_bytes(one).unwrap();
        }
        all
    };
    let (first, second) = (of([1; 32]), of([2; 32]));
    let different: std::collections::BTreeSet<_> = first.iter().chain(&second).collect();
    assert_eq!(different.len(), 128);
}

proptest! {
    #[test]
    fn together_says_what_one_by_one_says(
        seeds in prop::collection::vec((0_u8..4, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
        p256 in prop::option::of((any::<prop::sample::Index>(), any::<bool>())),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1_u8..=255), 0..3),
    ) {
        let mut all: Vec<Signed> = seeds.iter().map(|(seed, message)| signed(*seed, message)).collect();
        if let Some((at, is_high)) = p256 {
            let signature = sign(b"p256", false);
            let signature = if is_high { other_form(&signature) } else { signature.to_vec() };
            all.insert(at.index(all.len() + 1), (p256_key(), b"p256".to_vec(), signature));
        }
        prop_assert_eq!(together(&all), one_by_one(&all));
        for (which, at, flip) in changes {
            if all.is_empty() {
                break;
            }
            let which = which.index(all.len());
            let (key, message, signature) = &mut all[which];
            let at = at.index(message.len() + signature.len() + 32);
            if let Some(byte) = message.iter_mut().chain(signature.iter_mut()).nth(at) {
                *byte ^= flip;
            } else if let NodeKey::Ed25519(ed25519) = key {
                let mut bytes = <[u8; 32]>::from(*ed25519);
                bytes[at % 32] ^= flip;
                *key = NodeKey::ed25519(bytes).unwrap_or(*key);
            }
            prop_assert_eq!(together(&all), one_by_one(&all));
        }
    }
}
