//! An extra channel between peers for frames that consensus does not look at.

use super::{application::Application, config::EngineConfig, status::Status};
use bytes::Bytes;
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{CheckedSender as _, Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Handle, Spawner};
use futures::FutureExt as _;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Frames accepted and not yet handed to the network.
const BACKLOG: usize = 1024;

/// How often the list of connected peers is read.
const PRESENCE: Duration = Duration::from_secs(1);

/// Sends frames to all connected peers, validators and followers.
///
/// Delivery is best effort: a peer that is away or over its rate misses the frame, so what must
/// arrive is to be sent again by the caller.
#[derive(Clone, Debug)]
pub struct Gossip {
    frames: mpsc::Sender<Bytes>,
    max_frame_bytes: usize,
}

impl Gossip {
    /// Queues `frame` for all connected peers; never waits.
    pub fn broadcast(&self, frame: Bytes) -> Result<(), GossipError> {
        if frame.len() > self.max_frame_bytes {
            return Err(GossipError::FrameTooLarge);
        }
        self.frames.try_send(frame).map_err(|error| match error {
            TrySendError::Full(_) => GossipError::Busy,
            TrySendError::Closed(_) => GossipError::Stopped,
        })
    }
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GossipError {
    /// Over the configured size.
    #[error("gossip frame is too large")]
    FrameTooLarge,
    /// Too many frames wait; try again later.
    #[error("too many gossip frames are waiting")]
    Busy,
    /// The engine has ended.
    #[error("engine has stopped")]
    Stopped,
}

/// The frames that [`Gossip`] accepted, on their way out.
#[derive(Debug)]
pub struct Outbox(mpsc::Receiver<Bytes>);

/// A queue of frames: the end to put in and the end for the engine.
pub fn frames(config: &EngineConfig) -> (Gossip, Outbox) {
    let (frames, outbox) = mpsc::channel(BACKLOG);
    (
        Gossip {
            frames,
            max_frame_bytes: config.max_frame_bytes,
        },
        Outbox(outbox),
    )
}

/// Carries frames both ways until the network closes.
pub(super) fn start<E, A, S, R>(
    context: E,
    max_frame_bytes: usize,
    mut application: A,
    (mut sender, mut receiver): (S, R),
    (mut outbox, status): (Outbox, Status),
) -> Handle<()>
where
    E: Spawner + Clock,
    A: Application,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    context.spawn(move |context| async move {
        let mut presence = context.sleep(PRESENCE).boxed();
        loop {
            // In a fixed order, for a random one would make simulations differ.
            tokio::select! {
                biased;
                () = &mut presence => {
                    presence = context.sleep(PRESENCE).boxed();
                    if let Ok(checked) = sender.check(Recipients::All) {
                        let peers = checked.recipients();
                        status.connected(peers.iter().map(bytes_of).collect());
                    }
                }
                message = receiver.recv() => {
                    let Ok((peer, frame)) = message else { return };
                    if frame.len() <= max_frame_bytes {
                        application.gossip(bytes_of(&peer), Bytes::from(frame));
                    }
                }
                Some(frame) = outbox.0.recv() => {
                    sender.send(Recipients::All, frame, false);
                }
            }
        }
    })
}

fn bytes_of(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key);
    bytes
}
