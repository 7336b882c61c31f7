//! The seal around the key file of a node with a token: its passphrase, encrypted under an AES key of the token.
//!
//! What must be in the process (the validator's seed, the root of the records' keys, the exchange key) is in a key file whose
//! passphrase is 32 random bytes. Only the token yields them: without it the disk holds noise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::error::Result;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::sessions::Sessions;
use crate::entropy::random;
use crate::keystore::replace::replace;
use crate::keystore::{FileKeyStore, KdfCost, KeyStoreError};

/// The label of the sealing key; no name of a secret has a blank.
pub(super) const SEALING_KEY: &str = "careledger seal";
const MAGIC: &[u8; 8] = b"CLSEAL\n\x01";
const KEY_BYTES: u64 = 32;
const TAG_BITS: u64 = 128;

/// 32 random bytes need no stretching.
const COST: KdfCost = KdfCost {
    memory_kib: 8,
    iterations: 1,
    lanes: 1,
};

/// The seal's file beside the key file.
pub(super) fn seal_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".seal");
    name.into()
}

/// Opens the key file that the token seals.
pub(super) fn open(
    sessions: &Sessions,
    file: &Path,
) -> std::result::Result<FileKeyStore, KeyStoreError> {
    let seal = seal_of(file);
    let bytes = fs::read(&seal).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyStoreError::NoSeal(seal),
        _ => KeyStoreError::Io(error),
    })?;
    let body = bytes.strip_prefix(MAGIC.as_slice());
    let (nonce, sealed) = body
        .and_then(|body| body.split_first_chunk::<12>())
        .ok_or(KeyStoreError::SealBroken)?;
    let passphrase = sessions.run(|session| {
        let Some(key) = sealing_key(session)? else {
            return Ok(None);
        };
        let mut nonce = *nonce;
        let gcm = GcmParams::new(&mut nonce, MAGIC, TAG_BITS.into())?;
        session
            .decrypt(&Mechanism::AesGcm(gcm), key, sealed)
            .map(|clear| Some(Zeroizing::new(clear)))
    });
    // A token says in many ways that a tag does not fit.
    let passphrase = passphrase.map_err(|_| KeyStoreError::SealBroken)?;
    FileKeyStore::open(file, &passphrase.ok_or(KeyStoreError::SealBroken)?)
}

/// Makes a key file that the token seals, and the sealing key if there is none.
pub(super) fn create(
    sessions: &Sessions,
    file: &Path,
) -> std::result::Result<FileKeyStore, KeyStoreError> {
    if fs::exists(file)? {
        return Err(KeyStoreError::KeyFileExists(file.to_owned()));
    }
    let passphrase: Zeroizing<[u8; 32]> = Zeroizing::new(random());
    let nonce: [u8; 12] = random();
    let sealed = sessions.run(|session| {
        let key = match sealing_key(session)? {
            Some(key) => key,
            None => session.generate_key(&Mechanism::AesKeyGen, &template())?,
        };
        let mut nonce = nonce;
        let gcm = GcmParams::new(&mut nonce, MAGIC, TAG_BITS.into())?;
        session.encrypt(&Mechanism::AesGcm(gcm), key, &*passphrase)
    })?;
    replace(
        &seal_of(file),
        &[MAGIC.as_slice(), &nonce, &sealed].concat(),
    )?;
    FileKeyStore::create(file, &*passphrase, COST)
}

/// SHA-256 of the seal, by which a transcript names it.
pub(super) fn digest_of(file: &Path) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &fs::read(seal_of(file))?).as_ref());
    Ok(bytes)
}

fn sealing_key(session: &Session) -> Result<Option<ObjectHandle>> {
    let wanted = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(SEALING_KEY.as_bytes().to_vec()),
    ];
    Ok(session.find_objects(&wanted)?.first().copied())
}

fn template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Label(SEALING_KEY.as_bytes().to_vec()),
    ]
}
