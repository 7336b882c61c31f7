//! Seals and opens small values: AES-256-GCM with a random nonce before the sealed bytes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::CustodyError;
use super::keys::random;

pub(crate) fn seal(key: &[u8; 32], bound: &[u8], plain: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let nonce: [u8; 12] = random();
    let mut sealed = nonce.to_vec();
    let mut body = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(bound),
        &mut body,
    )
    .unwrap();
    sealed.extend(body);
    sealed
}

pub(crate) fn open(
    key: &[u8; 32],
    bound: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let damaged = || CustodyError::Storage("a sealed row does not open".to_owned());
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let (nonce, body) = sealed.split_first_chunk::<12>().ok_or_else(damaged)?;
    let mut body = Zeroizing::new(body.to_vec());
    let length = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(bound),
            &mut body,
        )
        .map_err(|_| damaged())?
        .len();
    body.truncate(length);
    Ok(body)
}
