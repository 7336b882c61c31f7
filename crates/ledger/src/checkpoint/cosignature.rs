//! What a validator signs of each checkpoint: a receipt of its root, and three lines of its note.

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::{
    Checkpoint, CheckpointError, KeyError, KeyKind, SignedCheckpoint, VerifierKey, origin,
};
use crate::genesis::Signatory;
use crate::ids::{Digest, MemberName, NetworkId};
use crate::node_key::{NodeKey, SigningNode};
use crate::scitt::RootSignature;

/// A validator's signatures under one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Cosignature {
    /// Size of the log.
    #[n(0)]
    pub size: u64,
    /// Its root.
    #[n(1)]
    pub root: Digest,
    /// What makes COSE Receipts, by the node's certificate.
    #[n(2)]
    pub receipt: RootSignature,
    /// When the note was signed, seconds since 1970.
    #[n(3)]
    pub timestamp: u64,
    /// As the log, by the validator's key.
    #[n(4)]
    pub log: ByteArray<64>,
    /// As a cosigner, by the validator's key.
    #[n(5)]
    pub ed25519: ByteArray<64>,
    /// As a cosigner, by the validator's ML-DSA-44 key, if it has one.
    #[n(6)]
    pub ml_dsa_44: Option<ByteVec>,
}

/// The keys under which a validator's lines stand in a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignerKeys {
    /// The log's.
    pub log: VerifierKey,
    /// The cosigner's.
    pub ed25519: VerifierKey,
    /// The cosigner's that a quantum computer does not break.
    pub ml_dsa_44: Option<VerifierKey>,
}

/// Signs with a validator's keys.
pub trait CosignerSigner {
    /// Why a key cannot sign.
    type Error;
    /// By the validator's Ed25519 key.
    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], Self::Error>;
    /// By the validator's ML-DSA-44 key.
    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// Why a cosignature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// The receipt's or a line's signature does not verify.
    #[error("a signature of `{0}` under the checkpoint does not verify")]
    SignatureInvalid(MemberName),
    /// The keys cannot name what they sign.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl CosignerKeys {
    /// The keys of a validator.
    pub fn of(network: NetworkId, signatory: &Signatory) -> Result<Self, KeyError> {
        let (origin, validator) = (origin(network), signatory.vote);
        let name = format!("{origin}/{}", signatory.member);
        let ml_dsa_44 = signatory.cosigner.as_ref();
        let ml_dsa_44 =
            ml_dsa_44.map(|key| VerifierKey::new(&name, KeyKind::MlDsa44, key.as_bytes()));
        Ok(Self {
            log: VerifierKey::new(&origin, KeyKind::Log, &validator.0)?,
            ed25519: VerifierKey::new(&name, KeyKind::Ed25519, &validator.0)?,
            ml_dsa_44: ml_dsa_44.transpose()?,
        })
    }
}

impl Cosignature {
    /// Signs a checkpoint of the log; `timestamp` is in seconds since 1970.
    ///
    /// The node signs the root for receipts, by the key of its certificate; the validator signs the checkpoint.
    pub fn sign<S>(
        (node, sign_receipt): (
            SigningNode<'_>,
            impl FnOnce(&[u8]) -> Result<[u8; 64], S::Error>,
        ),
        keys: &CosignerKeys,
        checkpoint: &Checkpoint,
        timestamp: u64,
        signer: &S,
    ) -> Result<Self, S::Error>
    where
        S: CosignerSigner + ?Sized,
        S::Error: From<CheckpointError>,
    {
        let ml_dsa_44 = keys.ml_dsa_44.as_ref().map(|key| {
            let message = key.message(checkpoint, timestamp)?;
            signer.sign_ml_dsa_44(&message).map(ByteVec::from)
        });
        Ok(Self {
            size: checkpoint.size,
            root: checkpoint.root,
            receipt: RootSignature::sign(node, (checkpoint.size, checkpoint.root), sign_receipt)?,
            timestamp,
            log: signer
                .sign_ed25519(&keys.log.message(checkpoint, 0)?)?
                .into(),
            ed25519: signer
                .sign_ed25519(&keys.ed25519.message(checkpoint, timestamp)?)?
                .into(),
            ml_dsa_44: ml_dsa_44.transpose()?,
        })
    }

    /// Checks every signature, and that there is one of each key and no other; `receipt_key` is that of the certificate that the receipt names.
    pub fn verify(
        &self,
        network: NetworkId,
        keys: &CosignerKeys,
        receipt_key: &NodeKey,
    ) -> Result<(), CosignatureError> {
        let member = &self.receipt.member;
        let invalid = || CosignatureError::SignatureInvalid(member.clone());
        self.receipt
            .verify((self.size, self.root), receipt_key)
            .map_err(|_| invalid())?;
        if self.ml_dsa_44.is_some() != keys.ml_dsa_44.is_some() {
            return Err(invalid());
        }
        let mut note = SignedCheckpoint::unsigned(Checkpoint::of(network, self.size, self.root));
        self.add_to(&mut note, keys);
        let ml_dsa_44 = keys.ml_dsa_44.iter();
        for key in [&keys.log, &keys.ed25519].into_iter().chain(ml_dsa_44) {
            match note.signed_by(key) {
                Ok(Some(_)) => {}
                Ok(None) | Err(CheckpointError::SignatureInvalid(_)) => return Err(invalid()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Adds the lines to a note over the same checkpoint.
    pub fn add_to(&self, note: &mut SignedCheckpoint, keys: &CosignerKeys) {
        note.add(&keys.log, 0, self.log.as_slice());
        note.add(&keys.ed25519, self.timestamp, self.ed25519.as_slice());
        if let (Some(key), Some(signature)) = (&keys.ml_dsa_44, &self.ml_dsa_44) {
            note.add(key, self.timestamp, signature);
        }
    }
}
