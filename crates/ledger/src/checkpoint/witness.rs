//! What a log asks of a witness, and how a witness decides: C2SP `tlog-witness`, without the HTTP around it.
//!
//! ```text
//! old <size of the last checkpoint that the witness cosigned>
//! <hash of the consistency proof, base64>            none to 63 of these
//!
//! <signed checkpoint>
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Checkpoint, CheckpointError, SignedCheckpoint, VerifierKey};
use crate::ids::Digest;
use crate::log::ConsistencyPath;

const PROOF_LINES_MAX: usize = 63;

/// A request to cosign a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last, as the log believes; zero if none.
    pub old_size: u64,
    /// That the log continues the one of that size.
    pub proof: Vec<Digest>,
    /// The checkpoint with the log's signatures.
    pub signed: SignedCheckpoint,
}

/// Why a witness does not cosign; each has its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: the body is none, or the old size is above the new one.
    #[error("the request is malformed")]
    Malformed,
    /// 403: no known key of the log signed, or one that is known signed wrongly.
    #[error("the checkpoint is not signed by a trusted key of the log")]
    NotSigned,
    /// 404: the witness does not know the log.
    #[error("the log is unknown here")]
    UnknownLog,
    /// 409: the log's idea of the last size is not the witness's, which is this.
    #[error("the last cosigned size is {0}")]
    OtherSize(u64),
    /// 422: the proof does not lead from the last checkpoint to this one.
    #[error("the log does not continue the checkpoint that was cosigned last")]
    NotConsistent,
}

impl Refusal {
    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::OtherSize(_) => 409,
            Self::NotConsistent => 422,
        }
    }
}

impl AddCheckpoint {
    /// The request's body.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            text += &STANDARD.encode(hash.0);
            text.push('\n');
        }
        text.push('\n');
        Ok([text.into_bytes(), self.signed.encode()?].concat())
    }

    /// Reads a request's body.
    pub fn decode(body: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.ok_or(Refusal::Malformed)?;
        let old_size: u64 = old.parse().map_err(|_| Refusal::Malformed)?;
        let proof = lines.map(hash).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or(Refusal::Malformed)?;
        if old_size.to_string() != old || proof.len() > PROOF_LINES_MAX {
            return Err(Refusal::Malformed);
        }
        let signed = SignedCheckpoint::decode(note.as_bytes()).map_err(|_| Refusal::Malformed)?;
        Ok(Self {
            old_size,
            proof,
            signed,
        })
    }

    /// Whether a witness cosigns: `logs` are the keys that it trusts, `last` is what it cosigned last of this log.
    pub fn judge(&self, logs: &[VerifierKey], last: Option<&Checkpoint>) -> Result<(), Refusal> {
        let checkpoint = &self.signed.checkpoint;
        let mut known = logs
            .iter()
            .filter(|key| key.name() == checkpoint.origin)
            .peekable();
        if known.peek().is_none() {
            return Err(Refusal::UnknownLog);
        }
        let mut is_signed = false;
        for key in known {
            let by_key = self.signed.signed_by(key).map_err(|_| Refusal::NotSigned)?;
            is_signed |= by_key.is_some();
        }
        if !is_signed {
            return Err(Refusal::NotSigned);
        }
        if self.old_size > checkpoint.size {
            return Err(Refusal::Malformed);
        }
        let last_size = last.map_or(0, |last| last.size);
        if self.old_size != last_size {
            return Err(Refusal::OtherSize(last_size));
        }
        let empty = Digest::of(b"");
        let path = ConsistencyPath {
            older: last_size,
            newer: checkpoint.size,
            hashes: self.proof.clone(),
        };
        let is_empty_log = checkpoint.size != 0 || checkpoint.root == empty;
        let consistent = path.verify(last.map_or(empty, |last| last.root), checkpoint.root);
        if consistent.is_err() || !is_empty_log {
            return Err(Refusal::NotConsistent);
        }
        Ok(())
    }
}

fn hash(line: &str) -> Option<Digest> {
    Some(Digest(STANDARD.decode(line).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use ed25519_zebra::{SigningKey, VerificationKey};
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::KeyKind;
    use crate::log::{Empty, LogAppend, leaf_hash, prove_consistency};

    fn log_of(size: u64) -> LogAppend {
        let mut log = LogAppend::after(0);
        for n in 0..size {
            log.push(leaf_hash(&n.to_be_bytes()), &Empty).unwrap();
        }
        log
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "example.org/log".to_owned(),
            size,
            root: log_of(size).root(&Empty).unwrap(),
        }
    }

    fn log_key() -> VerifierKey {
        let key: [u8; 32] = VerificationKey::from(&SigningKey::from_bytes(&[1; 32])).into();
        VerifierKey::new("example.org/log", KeyKind::Log, &key).unwrap()
    }

    fn request(old_size: u64, size: u64) -> AddCheckpoint {
        let mut signed = SignedCheckpoint::unsigned(checkpoint(size));
        let message = log_key().message(&signed.checkpoint, 0).unwrap();
        let signature = SigningKey::from_bytes(&[1; 32]).sign(&message).to_bytes();
        signed.add(&log_key(), 0, &signature);
        let proof = prove_consistency(old_size.min(size), size, &log_of(size)).unwrap();
        AddCheckpoint {
            old_size,
            proof: proof.hashes,
            signed,
        }
    }

    #[test]
    fn a_request_reads_as_it_was_written() {
        for asked in [request(0, 5), request(3, 9), request(9, 9)] {
            let bytes = asked.encode().unwrap();
            assert_eq!(AddCheckpoint::decode(&bytes), Ok(asked));
        }
        let mut long = request(3, 9);
        long.proof = vec![Digest([0; 32]); 64];
        let long = long.encode().unwrap();
        assert_eq!(AddCheckpoint::decode(&long), Err(Refusal::Malformed));
        for wrong in [
            "",
            "old 0\n",
            "old 00\n\nx",
            "new 0\n\nx",
            "old 0\n\nnote\n",
        ] {
            assert_eq!(
                AddCheckpoint::decode(wrong.as_bytes()),
                Err(Refusal::Malformed)
            );
        }
    }

    #[test]
    fn p3_a_witness_cosigns_what_continues_and_nothing_else() {
        let keys = [log_key()];
        let last = checkpoint(3);
        assert_eq!(request(0, 3).judge(&keys, None), Ok(()));
        assert_eq!(request(3, 9).judge(&keys, Some(&last)), Ok(()));
        assert_eq!(request(3, 3).judge(&keys, Some(&last)), Ok(()));
        assert_eq!(
            request(0, 9).judge(&keys, Some(&last)),
            Err(Refusal::OtherSize(3))
        );
        assert_eq!(request(2, 9).judge(&keys, None), Err(Refusal::OtherSize(0)));
        let rolled_back = request(3, 2).judge(&keys, Some(&last));
        assert_eq!(rolled_back, Err(Refusal::Malformed));
        let other_past = Checkpoint {
            root: Digest([9; 32]),
            ..last.clone()
        };
        assert_eq!(
            request(3, 9).judge(&keys, Some(&other_past)),
            Err(Refusal::NotConsistent)
        );
        assert_eq!(
            request(3, 3).judge(&keys, Some(&other_past)),
            Err(Refusal::NotConsistent)
        );
        let with_needless_proof = AddCheckpoint {
            proof: vec![Digest([1; 32])],
            ..request(0, 3)
        };
        assert_eq!(
            with_needless_proof.judge(&keys, None),
            Err(Refusal::NotConsistent)
        );
    }

    #[test]
    fn a_witness_answers_known_logs_that_signed() {
        let asked = request(0, 3);
        assert_eq!(asked.judge(&[], None), Err(Refusal::UnknownLog));
        let other = VerifierKey::new("example.org/log", KeyKind::Log, &[7; 32]).unwrap();
        assert_eq!(asked.judge(&[other], None), Err(Refusal::NotSigned));
        let mut forged = asked;
        forged.signed.checkpoint.size = 4;
        assert_eq!(forged.judge(&[log_key()], None), Err(Refusal::NotSigned));
    }

    proptest! {
        #[test]
        fn arbitrary_requests_are_refused_without_a_panic(text in "(old [0-9]{1,3}\\n)?[a-zA-Z0-9=+/\\n —]{0,200}") {
            prop_assert_eq!(AddCheckpoint::decode(text.as_bytes()), Err(Refusal::Malformed));
        }
    }
}
