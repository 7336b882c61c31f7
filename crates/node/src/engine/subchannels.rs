//! The channels of consensus, divided by epoch.
//!
//! Peers pass from one epoch to the next at slightly different times. What they say about a later
//! epoch tells that there is one, and what they say about the next epoch is kept until this node
//! enters it: the first proposal would be lost otherwise, and with it a whole leader timeout.

use super::wiring::Runtime;
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    Message, Receiver, Sender,
    utils::mux::{Builder as _, Error, MuxHandle, Muxer, SubReceiver, SubSender},
};
use commonware_utils::channel::mpsc;
use std::{collections::VecDeque, num::NonZeroUsize};

/// Messages of one peer that are kept for the next epoch, on each channel.
const EARLY: usize = 32;

/// A message and the epoch that it is about.
type Tagged = (u64, Message<PublicKey>);

/// Both ends of a channel.
type Ends<S, R> = (S, R);

/// Both ends of one epoch's part of a channel.
pub(super) type Part<S, R> = (SubSender<S>, R);

/// The parts of one epoch.
pub(super) struct Parts<S: Sender<PublicKey = PublicKey>> {
    pub(super) votes: Part<S, Resumed>,
    pub(super) certificates: Part<S, Resumed>,
    pub(super) resolver: Part<S, SubReceiver<PublicKey>>,
}

/// All three channels.
pub(super) struct Subchannels<S: Sender<PublicKey = PublicKey>> {
    votes: Subchannel<S>,
    certificates: Subchannel<S>,
    resolver: MuxHandle<S>,
}

impl<S: Sender<PublicKey = PublicKey>> Subchannels<S> {
    /// Divides the channels; messages longer than `max_bytes` are not kept.
    pub(super) fn start<E, R>(
        context: &E,
        max_bytes: usize,
        (votes, certificates, (sender, receiver)): (Ends<S, R>, Ends<S, R>, Ends<S, R>),
    ) -> Self
    where
        E: Runtime,
        R: Receiver<PublicKey = PublicKey>,
    {
        let (muxer, resolver) = Muxer::new(context.child("resolver"), sender, receiver);
        muxer.start();
        Self {
            votes: Subchannel::start(context.child("votes"), max_bytes, votes),
            certificates: Subchannel::start(context.child("certificates"), max_bytes, certificates),
            resolver,
        }
    }

    /// The parts of `epoch`, with what was kept for it.
    pub(super) async fn open(&mut self, epoch: u64) -> Result<Parts<S>, Error> {
        Ok(Parts {
            votes: self.votes.open(epoch).await?,
            certificates: self.certificates.open(epoch).await?,
            resolver: self.resolver.register(epoch).await?,
        })
    }

    /// Waits for a message about an epoch after `running`: which one, and who sent it. `None` when
    /// the network has closed.
    pub(super) async fn later(&mut self, running: u64) -> Option<(u64, PublicKey)> {
        loop {
            // In a fixed order, for a random one would make simulations differ.
            let (subchannel, message) = tokio::select! {
                biased;
                message = self.votes.others.recv() => (&mut self.votes, message?),
                message = self.certificates.others.recv() => (&mut self.certificates, message?),
            };
            let (epoch, from) = (message.0, message.1.0.clone());
            if epoch > running {
                subchannel.early.keep(running + 1, message);
                return Some((epoch, from));
            }
        }
    }
}

struct Subchannel<S: Sender<PublicKey = PublicKey>> {
    mux: MuxHandle<S>,
    /// Messages about other epochs than the one that runs.
    others: mpsc::Receiver<Tagged>,
    early: Early,
}

impl<S: Sender<PublicKey = PublicKey>> Subchannel<S> {
    fn start<E, R>(context: E, max_bytes: usize, (sender, receiver): (S, R)) -> Self
    where
        E: Runtime,
        R: Receiver<PublicKey = PublicKey>,
    {
        let (muxer, mux, others) = Muxer::builder(context, sender, receiver)
            .with_backup()
            .build();
        muxer.start();
        Self {
            mux,
            others,
            early: Early {
                epoch: 0,
                max_bytes,
                messages: VecDeque::new(),
            },
        }
    }

    async fn open(&mut self, epoch: u64) -> Result<Part<S, Resumed>, Error> {
        let (sender, receiver) = self.mux.register(epoch).await?;
        while let Ok(message) = self.others.try_recv() {
            self.early.keep(epoch, message);
        }
        let early = self.early.take(epoch);
        Ok((sender, Resumed { early, receiver }))
    }
}

/// What peers said about an epoch that this node has not entered.
struct Early {
    epoch: u64,
    max_bytes: usize,
    messages: VecDeque<Message<PublicKey>>,
}

impl Early {
    /// Keeps `message` if it is about `epoch`, and only such.
    fn keep(&mut self, epoch: u64, (about, message): Tagged) {
        if about != epoch || message.1.len() > self.max_bytes {
            return;
        }
        if self.epoch != epoch {
            self.messages.clear();
            self.epoch = epoch;
        }
        let same_peer = |kept: &&Message<PublicKey>| kept.0 == message.0;
        if self.messages.iter().filter(same_peer).count() < EARLY {
            self.messages.push_back(message);
        }
    }

    fn take(&mut self, epoch: u64) -> VecDeque<Message<PublicKey>> {
        let kept = std::mem::take(&mut self.messages);
        if self.epoch == epoch {
            kept
        } else {
            VecDeque::new()
        }
    }
}

/// A receiver that gives what came early first.
#[derive(Debug)]
pub(super) struct Resumed {
    early: VecDeque<Message<PublicKey>>,
    receiver: SubReceiver<PublicKey>,
}

impl Receiver for Resumed {
    type Error = Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Error> {
        match self.early.pop_front() {
            Some(message) => Ok(message),
            None => self.receiver.recv().await,
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.receiver.capacity()
    }
}
