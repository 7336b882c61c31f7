//! What a quorum of validators signed to make a block final, in a form free of the engine.

use commonware_codec::{Copying, DecodeExt as _, types::lazy::Lazy};
use commonware_consensus::{
    simplex::{
        scheme::ed25519::Scheme,
        types::{Finalization, Proposal},
    },
    types::{Epoch, Participant, Round, View},
};
use commonware_cryptography::{
    certificate::Signers,
    ed25519::{self, Signature},
    sha256::Digest as Sha256Digest,
};

/// Appended to the network's namespace in finalize votes.
const FINALIZE: &[u8] = b"_FINALIZE";

/// More than two thirds of the validators signed that the block `payload` is final.
///
/// Validators are numbered from zero in ascending bytewise order of their 32-byte public keys.
/// `signers` lists the numbers of those who signed, ascending, and `signatures` holds one Ed25519
/// signature for each, in the same order. All signed the same bytes:
/// see [`FinalityCertificate::signed_bytes`]. A certificate of `n` validators is valid with
/// `n - (n - 1) / 3` signatures or more, each of a different validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalityCertificate {
    /// Epoch whose validators voted.
    pub epoch: u64,
    /// View of consensus in which the block was proposed.
    pub view: u64,
    /// View of the parent's proposal, zero for the first block of an epoch.
    pub parent_view: u64,
    /// Digest of the block: SHA-256 of its header.
    pub payload: [u8; 32],
    /// Numbers of the signers, ascending.
    pub signers: Vec<u16>,
    /// Signatures in the order of `signers`.
    pub signatures: Vec<[u8; 64]>,
}

impl FinalityCertificate {
    /// The bytes that each signer signed, for a network whose namespace is `namespace`.
    ///
    /// With `varint` for the LEB128 of an unsigned number in its shortest form:
    ///
    /// ```text
    /// varint(length of namespace + 9) ‖ namespace ‖ "_FINALIZE"
    ///     ‖ varint(epoch) ‖ varint(view) ‖ varint(parent_view) ‖ payload (32 bytes)
    /// ```
    ///
    /// The namespace `careledger-test`, epoch 0, view 300, parent view 299 and a payload of 32
    /// bytes `ab` give (test `the_documented_example_holds`):
    ///
    /// ```text
    /// 18 636172656c65646765722d74657374 5f46494e414c495a45
    ///     00 ac02 ab02 abababababababababababababababababababababababababababababababab
    /// ```
    pub fn signed_bytes(&self, namespace: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(namespace.len() + FINALIZE.len() + 72);
        put_varint(&mut bytes, (namespace.len() + FINALIZE.len()) as u64);
        bytes.extend_from_slice(namespace);
        bytes.extend_from_slice(FINALIZE);
        put_varint(&mut bytes, self.epoch);
        put_varint(&mut bytes, self.view);
        put_varint(&mut bytes, self.parent_view);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The same for the library, of an epoch with so many validators; `None` if it is of no such epoch.
    pub(super) fn finalization(
        &self,
        validators: usize,
    ) -> Option<Finalization<Scheme, Sha256Digest>> {
        let round = Round::new(Epoch::new(self.epoch), View::new(self.view));
        let signers = self.signers.iter();
        let signers = signers.map(|signer| Participant::new(u32::from(*signer)));
        let signatures = self.signatures.iter().map(|bytes| {
            let signature = Signature::decode(Copying(bytes)).ok()?;
            Some(Lazy::from(signature))
        });
        Some(Finalization {
            proposal: Proposal::new(
                round,
                View::new(self.parent_view),
                Sha256Digest(self.payload),
            ),
            certificate: ed25519::certificate::Certificate {
                signers: Signers::new(u32::try_from(validators).ok()?, signers).ok()?,
                signatures: signatures.collect::<Option<_>>()?,
            },
        })
    }
}

impl From<&Finalization<Scheme, Sha256Digest>> for FinalityCertificate {
    fn from(finalization: &Finalization<Scheme, Sha256Digest>) -> Self {
        let Finalization {
            proposal,
            certificate,
        } = finalization;
        let (signers, signatures) = certificate
            .signers
            .iter()
            .zip(&certificate.signatures)
            .filter_map(|(signer, signature)| {
                let signature: [u8; 64] = signature.get()?.as_ref().try_into().ok()?;
                Some((u16::try_from(signer.get()).ok()?, signature))
            })
            .unzip();
        Self {
            epoch: proposal.round.epoch().get(),
            view: proposal.round.view().get(),
            parent_view: proposal.parent.get(),
            payload: proposal.payload.0,
            signers,
            signatures,
        }
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
