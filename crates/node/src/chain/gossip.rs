//! Statements between validators, several to a frame.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ledger::codec;
use minicbor::bytes::ByteVec;

use super::mempool::Pooled;
use super::{Inner, SubmitError};
use crate::engine::{Gossip, GossipError};

/// How long statements gather before a frame goes out.
const LINGER: Duration = Duration::from_millis(2);

/// Bytes of statements in a frame.
const FRAME_BYTES_MAX: usize = 192 * 1024;

/// How often what is not final yet goes out again: frames may be lost.
const REPEAT: Duration = Duration::from_secs(2);

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
            frames.push(Bytes::from(codec::encode(&std::mem::take(&mut frame))));
            bytes = 0;
        }
        bytes += statement.bytes.len();
        frame.push(statement.bytes.clone().into());
    }
    if !frame.is_empty() {
        frames.push(Bytes::from(codec::encode(&frame)));
    }
    frames
}

/// Admits the statements of a peer's frame; what breaks a rule is left out.
pub(super) fn receive(chain: &Inner, frame: &[u8]) {
    let Ok(statements) = codec::decode::<Vec<ByteVec>>("gossip frame", frame) else {
        tracing::debug!("a peer sent a frame that is no list of statements");
        return;
    };
    for bytes in statements {
        let admitted = Pooled::decode(bytes.into())
            .map_err(|error| SubmitError::Rejected(error.into()))
            .and_then(|statement| chain.admit(&Arc::new(statement)));
        if let Err(error) = admitted {
            tracing::debug!(%error, "a peer's statement was not admitted");
        }
    }
}
