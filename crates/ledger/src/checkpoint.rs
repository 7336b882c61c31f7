//! Checkpoints: the log's size and root as a signed note, for monitors and witnesses who know nothing of us.
//!
//! Text and signature lines follow C2SP `tlog-checkpoint`, `signed-note` and `tlog-cosignature`; the rule that says
//! which signatures suffice follows `tlog-policy`.
//!
//! ```text
//! careledger/<network, hexadecimal>
//! <size>
//! <root, base64>
//!
//! — <key name> <base64: key id (4 bytes), signature>
//! ```

mod cosignature;
mod key;
pub mod policy;
pub mod witness;

use signed_note::{Note, Signature};
use tlog_tiles::Hash;

use crate::block::Header;
use crate::ids::{BlockTime, Digest, NetworkId};
use crate::limits::CHECKPOINT_INTERVAL_MS;

pub use cosignature::{Cosignature, CosignatureError, CosignerKeys, CosignerSigner};
pub use key::{KeyError, KeyKind, ML_DSA_44_PUBLIC_KEY_BYTES, VerifierKey};

/// A size of a log, and its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// A checkpoint with the signatures of whoever stands by it.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    signatures: Vec<Signature>,
}

/// Why a signed checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not a signed note over a checkpoint.
    #[error("malformed checkpoint")]
    Malformed,
    /// A line names a key that is known, and its signature does not verify: such a note is refused whole.
    #[error("the signature of `{0}` does not verify")]
    SignatureInvalid(String),
}

/// Whether a final block is a checkpoint: the log has grown since the last one, and its interval has passed.
///
/// `last` is the size and time of the last one. Every validator comes to the same answer, so all sign the same sizes.
pub fn is_due(last: Option<(u64, BlockTime)>, header: &Header) -> bool {
    let (size, time) = last.unwrap_or_default();
    let interval = |time: BlockTime| time.0 / CHECKPOINT_INTERVAL_MS;
    header.log_size > size && interval(header.time) > interval(time)
}

/// The origin line of a network's log.
pub fn origin(network: NetworkId) -> String {
    format!("careledger/{}", network.0)
}

impl Checkpoint {
    /// The checkpoint of a network's log.
    pub fn of(network: NetworkId, size: u64, root: Digest) -> Self {
        Self {
            origin: origin(network),
            size,
            root,
        }
    }

    /// The note's text.
    pub fn text(&self) -> Result<Vec<u8>, CheckpointError> {
        tlog_tiles::Checkpoint::new(&self.origin, self.size, Hash(self.root.0), "")
            .map(|checkpoint| checkpoint.to_bytes())
            .map_err(|_| CheckpointError::Malformed)
    }
}

impl SignedCheckpoint {
    /// A checkpoint that nobody has signed yet.
    pub fn unsigned(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            signatures: Vec::new(),
        }
    }

    /// Reads a signed note. Extension lines are refused: a cosignature may leave them out.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::from_bytes(bytes).map_err(|_| CheckpointError::Malformed)?;
        let text = std::str::from_utf8(note.text()).map_err(|_| CheckpointError::Malformed)?;
        let [origin, size, root] = lines(text)?;
        let parsed: u64 = size.parse().map_err(|_| CheckpointError::Malformed)?;
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: parsed,
            root: Digest(
                Hash::parse_hash(root)
                    .map_err(|_| CheckpointError::Malformed)?
                    .0,
            ),
        };
        if checkpoint.text()? != note.text() {
            return Err(CheckpointError::Malformed);
        }
        let signatures = signature_lines(bytes)?;
        Ok(Self {
            checkpoint,
            signatures,
        })
    }

    /// The signed note.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        let text = self.checkpoint.text()?;
        Note::new(&text, &self.signatures)
            .map(|note| note.to_bytes())
            .map_err(|_| CheckpointError::Malformed)
    }

    /// Adds a signature of `key` over [`VerifierKey::message`] at `timestamp`, seconds since 1970.
    pub fn add(&mut self, key: &VerifierKey, timestamp: u64, signature: &[u8]) {
        if let Some(line) = key.line(timestamp, signature) {
            self.signatures
                .retain(|known| (known.name(), known.id()) != (line.name(), line.id()));
            self.signatures.push(line);
        }
    }

    /// Adds signature lines, as a witness answers them; says how many there were. Lines with which the note could not
    /// be read again are refused.
    pub fn add_lines(&mut self, lines: &str) -> Result<usize, CheckpointError> {
        let added = lines
            .lines()
            .map(|line| Signature::from_bytes(line.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CheckpointError::Malformed)?;
        let count = added.len();
        let mut note = self.clone();
        note.signatures.extend(added);
        if count > 0 && Self::decode(&note.encode()?).as_ref() != Ok(&note) {
            return Err(CheckpointError::Malformed);
        }
        *self = note;
        Ok(count)
    }

    /// The signature lines alone.
    pub fn lines(&self) -> String {
        let lines = self.signatures.iter().map(Signature::to_bytes);
        String::from_utf8(lines.flatten().collect()).unwrap_or_default()
    }

    /// Only the signatures of `keys`.
    #[must_use]
    pub fn signed_by_only(&self, keys: &[VerifierKey]) -> Self {
        let mut kept = self.clone();
        kept.signatures
            .retain(|line| keys.iter().any(|key| key.is_named_by(line)));
        kept
    }

    /// When `key` signed, seconds since 1970 (0 where its kind has no time); `None` if it did not.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Option<u64>, CheckpointError> {
        let mut signed_at = None;
        for line in self.signatures.iter().filter(|line| key.is_named_by(line)) {
            let invalid = || CheckpointError::SignatureInvalid(key.name().to_owned());
            let at = key.verify(&self.checkpoint, line.signature())?;
            signed_at = Some(at.ok_or_else(invalid)?);
        }
        Ok(signed_at)
    }
}

fn lines(text: &str) -> Result<[&str; 3], CheckpointError> {
    let lines: Vec<&str> = text.lines().collect();
    lines.try_into().map_err(|_| CheckpointError::Malformed)
}

/// The library keeps a parsed note's signatures to itself.
fn signature_lines(note: &[u8]) -> Result<Vec<Signature>, CheckpointError> {
    let text = std::str::from_utf8(note).map_err(|_| CheckpointError::Malformed)?;
    let (_, lines) = text.rsplit_once("\n\n").ok_or(CheckpointError::Malformed)?;
    lines
        .lines()
        .map(|line| Signature::from_bytes(line.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|_| CheckpointError::Malformed)
}

#[cfg(test)]
mod tests;
