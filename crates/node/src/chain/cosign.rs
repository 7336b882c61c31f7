//! Cosigning: this validator's signatures under each checkpoint, and those of the others.

use std::sync::Arc;
use std::time::Duration;

use contracts::rejection::Rejection;
use ledger::checkpoint::{
    Checkpoint, CheckpointError, Cosignature, CosignatureError, CosignerSigner,
};
use ledger::ids::MemberName;

use super::Inner;
use super::checkpoints::{Newest, Taken};
use super::gossip::Frame;
use crate::engine::{Gossip, GossipError};
use crate::outbox::Signer;

/// How often signatures go out again while some validator's are missing: frames may be lost.
const REPEAT: Duration = Duration::from_secs(2);

/// A key of the validator could not sign.
#[derive(Debug, thiserror::Error)]
pub enum CannotCosign {
    /// The key store says why.
    #[error("a key cannot sign: {0}")]
    Key(String),
    /// The checkpoint cannot be signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A validator's identity and keys.
#[derive(Clone)]
pub struct Cosigner {
    /// The member.
    pub member: MemberName,
    /// Signs receipts, as the member's node.
    pub node: Signer,
    /// Signs checkpoints, as its validator.
    pub validator: Arc<dyn CosignerSigner<Error = CannotCosign> + Send + Sync>,
}

impl std::fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cosigner")
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}

/// Signs checkpoints and sends the signatures to the other validators, until the engine ends.
pub(super) async fn run(chain: &Inner, cosigner: &Cosigner, gossip: Gossip) {
    let mut newest = chain.checkpoints.subscribe();
    let mut is_repeat = false;
    loop {
        let at = *newest.borrow_and_update();
        for frame in at.map_or_else(Vec::new, |at| frames(chain, cosigner, at, is_repeat)) {
            if gossip.broadcast(frame.encode()) == Err(GossipError::Stopped) {
                return;
            }
        }
        is_repeat = tokio::select! {
            biased;
            changed = newest.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
            () = (chain.timer)(REPEAT) => true,
        };
    }
}

/// This validator's signatures of the checkpoint where they may be missing, and whether it misses those of others.
fn frames(chain: &Inner, cosigner: &Cosigner, at: Newest, is_repeat: bool) -> Vec<Frame> {
    let Some(progress) = chain.checkpoints.progress(&cosigner.member, at.size) else {
        return Vec::new();
    };
    let mut frames = Vec::new();
    // Whoever does not sign it publishes it all the same.
    if is_repeat && !progress.has_quorum {
        frames.push(Frame::Wanted(at.size));
    }
    let own = match progress.own {
        Some(own) => progress.is_missed.then_some(own),
        None => sign(chain, cosigner, at).inspect(|own| take(chain, own)),
    };
    frames.extend(own.map(|own| Frame::Cosignature(Box::new(own))));
    frames
}

fn sign(chain: &Inner, cosigner: &Cosigner, at: Newest) -> Option<Cosignature> {
    let keys = chain.checkpoints.keys(&cosigner.member, at.size)?;
    let checkpoint = Checkpoint::of(chain.network, at.size, at.root);
    let node = cosigner.node.speaker();
    let sign_receipt = |bytes: &[u8]| {
        let signature = (node.sign)(bytes);
        signature.map_err(|error| CannotCosign::Key(error.to_string()))
    };
    let node = (node.of(&cosigner.member), sign_receipt);
    let seconds = (chain.clock)() / 1_000;
    let signed = Cosignature::sign(node, &keys, &checkpoint, seconds, &*cosigner.validator)
        .inspect_err(|error| tracing::error!(%error, "a checkpoint cannot be signed"))
        .ok()?;
    // A validator that has taken other keys since signs this checkpoint no more.
    verify(chain, &signed)
        .inspect_err(|error| tracing::debug!(%error, "a checkpoint is not for this node to sign"))
        .ok()?;
    Some(signed)
}

/// Checks what a validator signed, and keeps it.
pub(super) fn receive(chain: &Inner, cosignature: &Cosignature) {
    if chain.checkpoints.knows(cosignature) {
        return;
    }
    match verify(chain, cosignature) {
        Ok(()) => take(chain, cosignature),
        Err(error @ Refused::Signature(_)) => {
            tracing::warn!(%error, "a peer's signatures under a checkpoint are wrong");
        }
        Err(error) => tracing::debug!(%error, "a checkpoint is not for this peer to sign"),
    }
}

/// Why signatures under a checkpoint do not count.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("`{0}` does not validate")]
    NoValidator(MemberName),
    #[error(transparent)]
    Certificate(#[from] Rejection),
    #[error(transparent)]
    Signature(#[from] CosignatureError),
}

/// Checks signatures against the keys that their validator had when the checkpoint was due.
fn verify(chain: &Inner, cosignature: &Cosignature) -> Result<(), Refused> {
    let member = &cosignature.receipt.member;
    let keys = chain.checkpoints.keys(member, cosignature.size);
    let keys = keys.ok_or_else(|| Refused::NoValidator(member.clone()))?;
    let registry = Arc::clone(&chain.applied().registry);
    let certificate = registry.certificate(member, cosignature.receipt.certificate)?;
    // Standing and expiry are not asked for: a member validates until its epoch ends, and where all certificates have
    // expired, the log goes on by their renewals. A revoked certificate's key may be anybody's.
    let due_at = chain.checkpoints.due_at(cosignature.size);
    if let Some(revoked) = certificate.revoked
        && due_at.is_none_or(|due_at| revoked <= due_at)
    {
        return Err(Rejection::CertificateRevoked(member.clone()).into());
    }
    Ok(cosignature.verify(chain.network, &keys, &certificate.key)?)
}

/// Keeps verified signatures.
pub(super) fn take(chain: &Inner, cosignature: &Cosignature) {
    let (member, size) = (cosignature.receipt.member.clone(), cosignature.size);
    match chain.checkpoints.take(cosignature, &chain.store) {
        Ok(Taken::Kept | Taken::Known) => {}
        Ok(Taken::Contradiction) => {
            tracing::error!(%member, size, "a validator signed another log than the final one");
            if let Err(error) = chain.store.keep_contradiction(cosignature) {
                tracing::error!(%error, "the proof of a contradiction cannot be kept");
            }
        }
        Err(error) => tracing::error!(%error, "signatures under a checkpoint cannot be kept"),
    }
}
