//! What validators send each other beside consensus: statements, several to a frame, and signed checkpoints.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use contracts::rejection::Rejection;
use ledger::checkpoint::Cosignature;
use ledger::codec;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::mempool::Pooled;
use super::{Inner, SubmitError, cosign, locked, quota};
use crate::engine::{Gossip, GossipError};

/// How long statements gather before a frame goes out.
const LINGER: Duration = Duration::from_millis(2);

/// Bytes of statements in a frame.
const FRAME_BYTES_MAX: usize = 192 * 1024;

/// How often what is not final yet goes out again: frames may be lost.
const REPEAT: Duration = Duration::from_secs(2);

/// A frame between two validators.
#[derive(Encode, Decode)]
pub(super) enum Frame {
    /// Statements that wait to be ordered, as they were submitted.
    #[n(0)]
    Statements(#[n(0)] Vec<ByteVec>),
    /// The sender's signatures under a checkpoint.
    #[n(1)]
    Cosignature(#[n(0)] Box<Cosignature>),
    /// The sender lacks a quorum's signatures under the newest checkpoint, of this size.
    #[n(2)]
    Wanted(#[n(0)] u64),
}

impl Frame {
    pub(super) fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }
}

/// Sends what was admitted here, and from time to time all that waits, until the engine ends.
pub(super) async fn run(chain: &Inner, gossip: Gossip) {
    loop {
        // In a fixed order, for a random one would make simulations differ.
        let statements = tokio::select! {
            biased;
            () = chain.gossip.notified() => {
                (chain.timer)(LINGER).await;
                std::mem::take(&mut *chain.fresh.lock().unwrap_or_else(PoisonError::into_inner))
            }
            () = (chain.timer)(REPEAT) => {
                chain.mempool().first(FRAME_BYTES_MAX, &std::collections::BTreeSet::new())
            }
        };
        for frame in frames(&statements) {
            match gossip.broadcast(frame) {
                Ok(()) | Err(GossipError::Busy | GossipError::FrameTooLarge) => {}
                Err(GossipError::Stopped) => return,
            }
        }
    }
}

fn frames(statements: &[Arc<Pooled>]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut frame: Vec<ByteVec> = Vec::new();
    let mut bytes = 0;
    for statement in statements {
        if bytes + statement.bytes.len() > FRAME_BYTES_MAX && !frame.is_empty() {
            frames.push(Frame::Statements(std::mem::take(&mut frame)).encode());
            bytes = 0;
        }
        bytes += statement.bytes.len();
        frame.push(statement.bytes.clone().into());
    }
    if !frame.is_empty() {
        frames.push(Frame::Statements(frame).encode());
    }
    frames
}

/// Takes a peer's frame; what breaks a rule is left out, and a peer that sends much of that is not listened to.
pub(super) fn receive(chain: &Inner, peer: [u8; 32], frame: &[u8]) {
    match codec::decode("gossip frame", frame) {
        Ok(Frame::Statements(statements)) => {
            for bytes in statements {
                let now_ms = (chain.clock)();
                if locked(&chain.worthless).wait_ms(&peer, 1, quota::WORTHLESS, now_ms) > 0 {
                    return;
                }
                if !admit(chain, bytes.into()) {
                    locked(&chain.worthless).charge(&peer, 1, quota::WORTHLESS, now_ms);
                }
            }
        }
        Ok(Frame::Cosignature(cosignature)) => cosign::receive(chain, &cosignature),
        Ok(Frame::Wanted(size)) => chain.checkpoints.want(size),
        Err(error) => {
            tracing::debug!(%error, "a peer sent a frame that is none");
        }
    }
}

/// Reads a frame as [`receive`] does and writes it again, for the targets in `fuzz/`.
#[doc(hidden)]
pub fn reread_frame(frame: &[u8]) -> Option<Vec<u8>> {
    let frame: Frame = codec::decode("gossip frame", frame).ok()?;
    Some(frame.encode().into())
}

/// Says whether a peer that follows the rules may have passed it on.
fn admit(chain: &Inner, bytes: Vec<u8>) -> bool {
    let quota = chain.quota().map(quota::of_gossip);
    let admitted = Pooled::decode(bytes)
        .map_err(|error| SubmitError::Rejected(error.into()))
        .and_then(|statement| chain.admit(&Arc::new(statement), quota));
    let Err(error) = admitted else {
        return true;
    };
    tracing::debug!(%error, "a peer's statement was not admitted");
    let rejected = match &error {
        SubmitError::Rejected(rejection) => Some(rejection),
        SubmitError::Full | SubmitError::OverQuota { .. } | SubmitError::Store(_) => None,
    };
    !matches!(
        rejected,
        Some(Rejection::Statement(_) | Rejection::OtherNetwork)
    )
}
