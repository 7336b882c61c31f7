//! Links on which messages are lost, and overtake each other.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Message, Receiver};
use commonware_runtime::{Clock as _, Supervisor as _};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand_core::Rng as _;
use sim::network::plan::Link;

use crate::acquaintances::Acquaintances;
use crate::validator::Seat;
use crate::watched::Watched;

/// How long a message may be overtaken by those sent after it.
const HELD_MS_MAX: u64 = 120;

/// What links do to messages, and what they did so far; clones share the latter.
#[derive(Clone)]
pub(crate) struct Weather {
    link: Link,
    lost: Arc<AtomicU64>,
    overtaken: Arc<AtomicU64>,
}

impl Weather {
    pub(crate) fn of(link: Link) -> Self {
        Self {
            link,
            lost: Arc::default(),
            overtaken: Arc::default(),
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn overtaken(&self) -> u64 {
        self.overtaken.load(Ordering::Relaxed)
    }
}

/// The end of a channel at which messages of connected peers arrive, as the weather lets them.
pub(crate) struct Exposed<R> {
    receiver: R,
    own: PublicKey,
    acquaintances: Acquaintances,
    context: Watched,
    weather: Weather,
    held: Option<Held>,
}

struct Held {
    message: Message<PublicKey>,
    until: BoxFuture<'static, ()>,
    is_overtaken: bool,
}

impl<R> Exposed<R> {
    pub(crate) fn new(receiver: R, context: &Watched, seat: &Seat) -> Self {
        Self {
            receiver,
            own: seat.own().public.clone(),
            acquaintances: seat.acquaintances.clone(),
            context: context.child("weather"),
            weather: seat.weather.clone(),
            held: None,
        }
    }

    /// Whether something happens that does in `percent` of all cases.
    fn happens(&mut self, percent: u64) -> bool {
        percent > 0 && self.context.next_u64() % 100 < percent
    }
}

impl<R: Receiver<PublicKey = PublicKey>> Receiver for Exposed<R> {
    type Error = R::Error;
    type PublicKey = PublicKey;

    /// Loses nothing when it is dropped at an await.
    async fn recv(&mut self) -> Result<Message<PublicKey>, R::Error> {
        loop {
            let message = match &mut self.held {
                None => self.receiver.recv().await?,
                Some(held) => tokio::select! {
                    biased;
                    message = self.receiver.recv() => message?,
                    () = &mut held.until => {
                        if let Some(held) = self.held.take() {
                            let count = u64::from(held.is_overtaken);
                            self.weather.overtaken.fetch_add(count, Ordering::Relaxed);
                            return Ok(held.message);
                        }
                        continue;
                    }
                },
            };
            if !self.acquaintances.connect(&message.0, &self.own) {
                continue;
            }
            if self.happens(self.weather.link.loss_percent) {
                self.weather.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if let Some(held) = &mut self.held {
                held.is_overtaken = true;
                return Ok(message);
            }
            if !self.happens(self.weather.link.overtaken_percent) {
                return Ok(message);
            }
            let time = Duration::from_millis(1 + self.context.next_u64() % HELD_MS_MAX);
            self.held = Some(Held {
                message,
                until: self.context.sleep(time).boxed(),
                is_overtaken: false,
            });
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.receiver.capacity()
    }
}

impl<R> std::fmt::Debug for Exposed<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposed").finish_non_exhaustive()
    }
}
