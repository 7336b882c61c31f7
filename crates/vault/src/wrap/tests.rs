use super::*;

fn wrapping(epoch: u32, byte: u8) -> WrappingKey {
    WrappingKey::new(epoch, SmallKey::from_bytes([byte; 32]))
}

#[test]
fn an_erase_key_comes_back_at_its_version_and_epoch_alone() {
    let key = EraseKey::from_bytes([5; 32]);
    let wrapped = wrapping(1, 1).wrap(b"version", &key);
    assert_eq!(wrapping(1, 1).unwrap(b"version", &wrapped), Ok(key));
    let moved = wrapping(1, 1).unwrap(b"other version", &wrapped);
    assert_eq!(moved, Err(UnwrapError::NotAuthentic));
    let other_key = wrapping(1, 2).unwrap(b"version", &wrapped);
    assert_eq!(other_key, Err(UnwrapError::NotAuthentic));
    let other_epoch = wrapping(2, 1).unwrap(b"version", &wrapped);
    assert_eq!(
        other_epoch,
        Err(UnwrapError::OtherEpoch {
            wrapped: 1,
            offered: 2
        })
    );
    let mut relabelled = wrapped;
    relabelled.epoch = 2;
    let relabelled = wrapping(2, 1).unwrap(b"version", &relabelled);
    assert_eq!(relabelled, Err(UnwrapError::NotAuthentic));
}

#[test]
fn one_changed_byte_of_a_wrap_does_not_unwrap() {
    let wrapped = wrapping(1, 1).wrap(b"version", &EraseKey::from_bytes([5; 32]));
    for at in 0..wrapped.ciphertext.len() {
        let mut changed = wrapped;
        changed.ciphertext[at] ^= 1;
        assert!(wrapping(1, 1).unwrap(b"version", &changed).is_err());
    }
}

#[test]
fn a_key_reaches_the_recipient_for_the_purpose_and_request_that_were_meant() {
    let (recipient, other) = (HpkeKeyPair::generate(), HpkeKeyPair::generate());
    let wrapped = wrap_for(&recipient.public_key(), b"purpose", b"request", &[5; 32]).unwrap();
    let opened = recipient.unwrap(b"purpose", b"request", &wrapped).unwrap();
    assert_eq!(*opened, [5; 32]);
    let refused = Some(HpkeError::NotAuthentic);
    assert_eq!(
        other.unwrap(b"purpose", b"request", &wrapped).err(),
        refused
    );
    assert_eq!(
        recipient.unwrap(b"other", b"request", &wrapped).err(),
        refused
    );
    assert_eq!(
        recipient.unwrap(b"purpose", b"other", &wrapped).err(),
        refused
    );
    for at in 0..wrapped.ciphertext.len() {
        let mut changed = wrapped.clone();
        changed.ciphertext[at] ^= 1;
        assert_eq!(
            recipient.unwrap(b"purpose", b"request", &changed).err(),
            refused
        );
    }
}

#[test]
fn a_key_pair_comes_back_from_its_private_key() {
    let pair = HpkeKeyPair::from_private(Zeroizing::new([9; 32]));
    let again = HpkeKeyPair::from_private(Zeroizing::new([9; 32]));
    assert_eq!(pair.public_key(), again.public_key());
}

#[test]
fn a_point_with_which_no_secret_can_be_agreed_is_refused() {
    let wrapped = wrap_for(&HpkePublicKey([0; 32]), b"", b"", &[5; 32]);
    assert_eq!(wrapped, Err(HpkeError::InvalidPublicKey));
}
