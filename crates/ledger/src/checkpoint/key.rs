//! Keys that sign checkpoints, and the bytes that each kind of key signs.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ML_DSA_44, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_zebra::VerificationKey;
use signed_note::Signature;

use super::{Checkpoint, CheckpointError};

/// Bytes of an ML-DSA-44 public key (FIPS 204).
const ML_DSA_44_PUBLIC_KEY_BYTES: usize = 1_312;
const TIMESTAMP_BYTES: usize = 8;

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// The note's text, by a log's Ed25519 key (C2SP `signed-note`).
    Log,
    /// A cosignature with Ed25519 (C2SP `tlog-cosignature`).
    Ed25519,
    /// A cosignature with ML-DSA-44 (C2SP `tlog-cosignature`).
    MlDsa44,
}

/// A named public key, in the form of a `vkey`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: Vec<u8>,
}

/// Why a `vkey` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not `<name>+<id>+<base64>`.
    #[error("a key is written <name>+<id>+<base64>")]
    Malformed,
    /// The id is not that of name and key.
    #[error("the key's id does not follow from its name and bytes")]
    OtherId,
    /// The kind of signature is unknown, or the key is not as long as that kind's.
    #[error("the key is of no kind that can be verified here")]
    UnknownKind,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Ed25519 => 0x04,
            Self::MlDsa44 => 0x06,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        let all = [Self::Log, Self::Ed25519, Self::MlDsa44];
        all.into_iter().find(|kind| kind.byte() == byte)
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Log | Self::Ed25519 => 32,
            Self::MlDsa44 => ML_DSA_44_PUBLIC_KEY_BYTES,
        }
    }
}

impl VerifierKey {
    /// A key under a name.
    pub fn new(name: &str, kind: KeyKind, key: &[u8]) -> Result<Self, KeyError> {
        if !signed_note::is_key_name_valid(name) {
            return Err(KeyError::Malformed);
        }
        if key.len() != kind.key_bytes() {
            return Err(KeyError::UnknownKind);
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            key: key.to_vec(),
        })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key's bytes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The four bytes that signature lines name the key by.
    pub fn id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.typed_key())
    }

    /// What the key signs to stand by `checkpoint` at `timestamp`, seconds since 1970.
    pub fn message(
        &self,
        checkpoint: &Checkpoint,
        timestamp: u64,
    ) -> Result<Vec<u8>, CheckpointError> {
        let text = checkpoint.text()?;
        Ok(match self.kind {
            KeyKind::Log => text,
            KeyKind::Ed25519 => {
                let heading = format!("cosignature/v1\ntime {timestamp}\n");
                [heading.as_bytes(), &text].concat()
            }
            KeyKind::MlDsa44 => self.subtree_message(checkpoint, timestamp)?,
        })
    }

    /// The structure `cosigned_message` of a whole tree.
    fn subtree_message(
        &self,
        checkpoint: &Checkpoint,
        timestamp: u64,
    ) -> Result<Vec<u8>, CheckpointError> {
        let short = |text: &str| {
            let length = u8::try_from(text.len()).map_err(|_| CheckpointError::Malformed)?;
            Ok([&[length], text.as_bytes()].concat())
        };
        Ok([
            b"subtree/v1\n\0".as_slice(),
            &short(&self.name)?,
            &timestamp.to_be_bytes(),
            &short(&checkpoint.origin)?,
            &0_u64.to_be_bytes(),
            &checkpoint.size.to_be_bytes(),
            &checkpoint.root.0,
        ]
        .concat())
    }

    /// When the key signed, seconds since 1970 (0 for a log's signature); `None` if the signature does not verify.
    pub(super) fn verify(
        &self,
        checkpoint: &Checkpoint,
        line: &[u8],
    ) -> Result<Option<u64>, CheckpointError> {
        let (timestamp, signature) = match self.kind {
            KeyKind::Log => (0, line),
            KeyKind::Ed25519 | KeyKind::MlDsa44 => {
                let Some((timestamp, signature)) = line.split_first_chunk::<TIMESTAMP_BYTES>()
                else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*timestamp), signature)
            }
        };
        let message = self.message(checkpoint, timestamp)?;
        Ok(self.is_signed(&message, signature).then_some(timestamp))
    }

    fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            KeyKind::Log | KeyKind::Ed25519 => {
                let signature = ed25519_zebra::Signature::from_slice(signature);
                let key = VerificationKey::try_from(self.key.as_slice());
                key.is_ok_and(|key| {
                    signature.is_ok_and(|signature| key.verify(&signature, message).is_ok())
                })
            }
            KeyKind::MlDsa44 => UnparsedPublicKey::new(&ML_DSA_44, &self.key)
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// The signature line; `None` if the library refuses the name.
    pub(super) fn line(&self, timestamp: u64, signature: &[u8]) -> Option<Signature> {
        let bytes = match self.kind {
            KeyKind::Log => signature.to_vec(),
            KeyKind::Ed25519 | KeyKind::MlDsa44 => {
                [timestamp.to_be_bytes().as_slice(), signature].concat()
            }
        };
        Signature::new(self.name.clone(), self.id(), bytes).ok()
    }

    pub(super) fn is_named_by(&self, line: &Signature) -> bool {
        line.name() == self.name && line.id() == self.id()
    }

    fn typed_key(&self) -> Vec<u8> {
        [&[self.kind.byte()], self.key.as_slice()].concat()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(self.typed_key());
        write!(f, "{}+{:08x}+{key}", self.name, self.id())
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Malformed)?;
        let (id, key) = rest.split_once('+').ok_or(KeyError::Malformed)?;
        let key = STANDARD.decode(key).map_err(|_| KeyError::Malformed)?;
        let (kind, key) = key.split_first().ok_or(KeyError::Malformed)?;
        let kind = KeyKind::of(*kind).ok_or(KeyError::UnknownKind)?;
        let read = Self::new(name, kind, key)?;
        if format!("{:08x}", read.id()) != id {
            return Err(KeyError::OtherId);
        }
        Ok(read)
    }
}
