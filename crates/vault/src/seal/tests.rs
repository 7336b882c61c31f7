use proptest::prelude::*;

use super::*;
use crate::secret::DataKey;

const PLACE: &[u8] = b"place";

fn key(byte: u8) -> DataKey {
    DataKey::from_bytes([byte; 32])
}

fn opened(sealed: Vec<u8>) -> Option<Vec<u8>> {
    let sealed = SealedPayload::from_bytes(sealed).ok()?;
    open(&key(1), PLACE, &sealed)
        .ok()
        .map(|clear| clear.to_vec())
}

#[test]
fn sizes_around_the_chunks_come_back() {
    for size in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
    ] {
        let clear = vec![7; size];
        let sealed = seal(&key(1), PLACE, &clear).into_bytes();
        assert_eq!(sealed_bytes(size as u64), sealed.len() as u64);
        assert!(opened(sealed) == Some(clear));
    }
}

#[test]
fn one_changed_byte_anywhere_does_not_open() {
    let sealed = seal(&key(1), PLACE, b"patient data").into_bytes();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(opened(changed), None, "byte {at}");
    }
}

#[test]
fn a_cut_does_not_open_wherever_it_is() {
    let sealed = seal(&key(1), PLACE, &vec![7; CHUNK_BYTES + 10]).into_bytes();
    let borders = [HEADER_BYTES + CHUNK_BYTES + 16, sealed.len() - 1];
    for length in (0..200).chain(borders) {
        assert_eq!(opened(sealed[..length].to_vec()), None, "{length} bytes");
    }
}

#[test]
fn chunks_in_another_order_do_not_open() {
    let sealed = seal(&key(1), PLACE, &vec![7; 3 * CHUNK_BYTES]).into_bytes();
    let chunk = CHUNK_BYTES + 16;
    let mut swapped = sealed.clone();
    let (first, second) = (HEADER_BYTES, HEADER_BYTES + chunk);
    swapped[first..first + chunk].copy_from_slice(&sealed[second..second + chunk]);
    swapped[second..second + chunk].copy_from_slice(&sealed[first..first + chunk]);
    assert_eq!(opened(swapped), None);
}

#[test]
fn another_key_or_another_place_does_not_open() {
    let sealed = seal(&key(1), PLACE, b"patient data");
    assert_eq!(
        open(&key(2), PLACE, &sealed).err(),
        Some(OpenError::NotAuthentic)
    );
    assert_eq!(
        open(&key(1), b"other", &sealed).err(),
        Some(OpenError::NotAuthentic)
    );
}

#[test]
fn the_same_content_is_sealed_differently_each_time() {
    let (one, other) = (seal(&key(1), PLACE, b"same"), seal(&key(1), PLACE, b"same"));
    assert!(one != other);
}

#[test]
fn one_changed_byte_of_a_small_value_does_not_open() {
    let sealed = seal_small(&[1; 32], PLACE, b"row");
    assert!(open_small(&[1; 32], PLACE, &sealed).is_ok_and(|clear| *clear == *b"row"));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open_small(&[1; 32], PLACE, &changed).is_err(), "byte {at}");
        assert!(
            open_small(&[1; 32], PLACE, &sealed[..at]).is_err(),
            "{at} bytes"
        );
    }
    assert!(open_small(&[2; 32], PLACE, &sealed).is_err());
    assert!(open_small(&[1; 32], b"other", &sealed).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pieces_of_any_size_make_the_same_payload(
        clear in prop::collection::vec(any::<u8>(), 0..3 * CHUNK_BYTES),
        cuts in prop::collection::vec(1_usize..CHUNK_BYTES, 1..20),
    ) {
        let mut sealer = PayloadSealer::new(&key(1), PLACE);
        let (mut sealed, mut rest) = (Vec::new(), clear.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            sealer.update(head, &mut sealed);
            rest = tail;
        }
        sealer.finish(&mut sealed);
        prop_assert!(opened(sealed) == Some(clear));
    }

    #[test]
    fn rubbish_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(opened(bytes.clone()).is_none());
        prop_assert!(open_small(&[1; 32], PLACE, &bytes).is_err());
    }
}
