//! The key file's bytes: magic, CBOR, checksum. See `docs/formats/key-file.md`.

use std::collections::BTreeMap;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KeyStoreError, Secret, SecretKind, SecretName};
use crate::aead::Aead;
use crate::entropy::random;

const MAGIC: &[u8; 7] = b"CLKEYS\n";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 32;
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const ITERATIONS_MAX: u32 = 64;
const LANES_MAX: u32 = 16;
/// Name, kind, key and CBOR heads of one secret.
const ROW_BYTES_MAX: usize = 176;

/// What deriving the file's key from the passphrase costs (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct KdfCost {
    /// Memory in KiB.
    #[n(0)]
    pub memory_kib: u32,
    /// Passes over the memory.
    #[n(1)]
    pub iterations: u32,
    /// Lanes.
    #[n(2)]
    pub lanes: u32,
}

/// RFC 9106's second recommendation on one lane: 64 MiB, three passes.
impl Default for KdfCost {
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            iterations: 3,
            lanes: 1,
        }
    }
}

/// How the key was derived, in clear; bound to the secrets as associated data.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Header {
    #[n(0)]
    cost: KdfCost,
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 16],
    /// Tells a wrong passphrase from a damaged file.
    #[cbor(n(2), with = "minicbor::bytes")]
    check: [u8; 32],
}

#[derive(Encode, Decode)]
struct Body {
    #[n(0)]
    header: Header,
    #[cbor(n(1), with = "minicbor::bytes")]
    nonce: [u8; 12],
    #[cbor(n(2), with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
struct Row {
    #[n(0)]
    name: String,
    #[n(1)]
    kind: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    bytes: [u8; 32],
    /// Seconds since 1970; files from before this was written down have none.
    #[n(3)]
    made_at: Option<u64>,
}

/// The key of one key file, derived once when it is opened.
#[derive(Clone)]
pub(super) struct FileKey {
    header: Header,
    key: Zeroizing<[u8; 32]>,
}

pub(super) type Secrets = BTreeMap<SecretName, Secret>;

impl FileKey {
    /// A key for a new file or a new passphrase.
    pub(super) fn create(passphrase: &[u8], cost: KdfCost) -> Result<Self, KeyStoreError> {
        let salt = random();
        let (key, check) = stretch(passphrase, cost, &salt)?;
        let header = Header { cost, salt, check };
        Ok(Self { header, key })
    }

    fn of(header: Header, passphrase: &[u8]) -> Result<Self, KeyStoreError> {
        let (key, check) = stretch(passphrase, header.cost, &header.salt)?;
        verify_slices_are_equal(&check, &header.check)
            .map_err(|_| KeyStoreError::WrongPassphrase)?;
        Ok(Self { header, key })
    }

    /// The bytes of a file that holds `secrets`.
    #[expect(
        clippy::expect_used,
        reason = "encoding into memory fails only for types that refuse"
    )]
    pub(super) fn encode(&self, secrets: &Secrets) -> Vec<u8> {
        let rows: Vec<Row> = secrets.iter().map(Row::of).collect();
        // Room for all of it: growing would leave copies of the secrets in freed memory.
        let mut clear = Zeroizing::new(Vec::with_capacity(16 + rows.len() * ROW_BYTES_MAX));
        minicbor::encode(&rows, &mut *clear).expect("rows encode");
        let nonce = random();
        let mut sealed = Vec::new();
        Aead::new(&self.key).seal(nonce, &self.bound(), &clear, &mut sealed);
        let body = Body {
            header: self.header.clone(),
            nonce,
            sealed,
        };
        let mut file = [MAGIC.as_slice(), &[VERSION]].concat();
        minicbor::encode(&body, &mut file).expect("the body encodes");
        let checksum = digest(&SHA256, &file);
        file.extend_from_slice(checksum.as_ref());
        file
    }

    /// The secrets in a file that was written under this very key.
    pub(super) fn decode(&self, file: &[u8]) -> Result<Secrets, KeyStoreError> {
        let body = body_of(file)?;
        if body.header != self.header {
            return Err(KeyStoreError::PassphraseChanged);
        }
        self.secrets(&body)
    }

    fn secrets(&self, body: &Body) -> Result<Secrets, KeyStoreError> {
        let mut clear = Zeroizing::new(Vec::with_capacity(body.sealed.len()));
        Aead::new(&self.key)
            .open(body.nonce, &self.bound(), &body.sealed, &mut clear)
            .map_err(|_| KeyStoreError::Corrupted)?;
        let rows: Vec<Row> = minicbor::decode(&clear).map_err(|_| KeyStoreError::Corrupted)?;
        rows.iter().map(Row::secret).collect()
    }

    #[expect(
        clippy::expect_used,
        reason = "encoding into memory fails only for types that refuse"
    )]
    fn bound(&self) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &[VERSION]].concat();
        minicbor::encode(&self.header, &mut bytes).expect("the header encodes");
        bytes
    }
}

/// Reads a file with its passphrase.
pub(super) fn unlock(file: &[u8], passphrase: &[u8]) -> Result<(FileKey, Secrets), KeyStoreError> {
    let body = body_of(file)?;
    let key = FileKey::of(body.header.clone(), passphrase)?;
    let secrets = key.secrets(&body)?;
    Ok((key, secrets))
}

fn body_of(file: &[u8]) -> Result<Body, KeyStoreError> {
    let rest = file
        .strip_prefix(MAGIC.as_slice())
        .ok_or(KeyStoreError::NotAKeyFile)?;
    match rest.first() {
        Some(&VERSION) => {}
        Some(&version) => return Err(KeyStoreError::UnknownVersion(version)),
        None => return Err(KeyStoreError::Corrupted),
    }
    let (covered, checksum) = file
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(KeyStoreError::Corrupted)?;
    if digest(&SHA256, covered).as_ref() != checksum {
        return Err(KeyStoreError::Corrupted);
    }
    covered
        .get(MAGIC.len() + 1..)
        .and_then(|body| minicbor::decode(body).ok())
        .ok_or(KeyStoreError::Corrupted)
}

type KeyAndCheck = (Zeroizing<[u8; 32]>, [u8; 32]);

/// 64 bytes of argon2id: the file's key, and what the passphrase is checked against.
fn stretch(passphrase: &[u8], cost: KdfCost, salt: &[u8]) -> Result<KeyAndCheck, KeyStoreError> {
    if cost.memory_kib > MEMORY_KIB_MAX
        || cost.iterations > ITERATIONS_MAX
        || cost.lanes > LANES_MAX
    {
        return Err(KeyStoreError::ExcessiveCost);
    }
    let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(64))
        .map_err(|_| KeyStoreError::Corrupted)?;
    let mut output = Zeroizing::new([0; 64]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *output)
        .map_err(|_| KeyStoreError::Corrupted)?;
    let mut key = Zeroizing::new([0; 32]);
    let mut check = [0; 32];
    key.copy_from_slice(&output[..32]);
    check.copy_from_slice(&output[32..]);
    Ok((key, check))
}

impl Row {
    fn of((name, secret): (&SecretName, &Secret)) -> Self {
        let kind = match secret.kind() {
            SecretKind::Signing => 0,
            SecretKind::Agreement => 1,
            SecretKind::Symmetric => 2,
            SecretKind::Cosigning => 3,
            SecretKind::SigningP256 => 4,
        };
        Self {
            name: name.as_str().to_owned(),
            kind,
            bytes: **secret.bytes(),
            made_at: secret.made_at(),
        }
    }

    fn secret(&self) -> Result<(SecretName, Secret), KeyStoreError> {
        let kind = match self.kind {
            0 => SecretKind::Signing,
            1 => SecretKind::Agreement,
            2 => SecretKind::Symmetric,
            3 => SecretKind::Cosigning,
            4 => SecretKind::SigningP256,
            _ => return Err(KeyStoreError::Corrupted),
        };
        let name = self.name.parse().map_err(|_| KeyStoreError::Corrupted)?;
        Ok((name, Secret::new(kind, self.bytes).made(self.made_at)))
    }
}
