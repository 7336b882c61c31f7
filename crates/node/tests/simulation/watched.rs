//! The runtime of one validator: a panic in any of its tasks ends it, as one ends the process in production.
//!
//! The deterministic runtime knows only whether a panic ends all validators or none.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use commonware_runtime::deterministic::Context;
use commonware_runtime::telemetry::metrics::{Metric, Registered};
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Spawner, Storage, Supervisor, signal,
};
use futures::FutureExt as _;
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};

/// Why a validator ended on its own, if it did; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<Mutex<Option<String>>>);

impl Ending {
    /// Notes the first reason.
    pub(crate) fn tell(&self, why: String) {
        self.0.lock().unwrap().get_or_insert(why);
    }

    pub(crate) fn told(&self) -> Option<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) struct Watched {
    context: Context,
    ending: Ending,
    /// The number of the start if votes from before it are forgotten.
    forgets: Option<u64>,
}

impl Watched {
    pub(crate) fn new(context: Context, ending: Ending, forgets: Option<u64>) -> Self {
        Self {
            context,
            ending,
            forgets,
        }
    }

    fn with(&self, context: Context) -> Self {
        Self::new(context, self.ending.clone(), self.forgets)
    }

    /// Where `partition` is on the disk.
    fn place(&self, partition: &str) -> String {
        match self.forgets {
            Some(start) if partition.contains("-consensus-") => format!("{partition}-{start}"),
            _ => partition.to_owned(),
        }
    }
}

impl Supervisor for Watched {
    fn name(&self) -> Name {
        self.context.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.with(self.context.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl Display) -> Self {
        Self {
            context: self.context.with_attribute(key, value),
            ..self
        }
    }
}

impl Spawner for Watched {
    fn shared(self, blocking: bool) -> Self {
        Self {
            context: self.context.shared(blocking),
            ..self
        }
    }

    fn dedicated(self) -> Self {
        Self {
            context: self.context.dedicated(),
            ..self
        }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (ending, forgets) = (self.ending, self.forgets);
        self.context.spawn(move |context| {
            let task = f(Self::new(context, ending.clone(), forgets));
            async move {
                match AssertUnwindSafe(task).catch_unwind().await {
                    Ok(value) => value,
                    Err(panic) => {
                        ending.tell(format!("it panicked: {}", message(&*panic)));
                        resume_unwind(panic)
                    }
                }
            }
        })
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.context.stop(value, timeout).await
    }

    fn stopped(&self) -> signal::Signal {
        self.context.stopped()
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

impl Metrics for Watched {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.context.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.context.encode()
    }
}

impl GovernorClock for Watched {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.context.current()
    }
}

impl Clone for Watched {
    fn clone(&self) -> Self {
        self.child("clock")
    }
}

impl ReasonablyRealtime for Watched {}

impl Clock for Watched {
    fn current(&self) -> SystemTime {
        self.context.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.context.sleep(duration)
    }

    fn sleep_until(&self, at: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.context.sleep_until(at)
    }
}

impl Storage for Watched {
    type Blob = <Context as Storage>::Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Self::Blob, u64, BlobVersion), Error> {
        let partition = self.place(partition);
        let opened = self.context.open_versioned(&partition, name, versions);
        opened.await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.context.remove(&self.place(partition), name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.context.scan(&self.place(partition)).await
    }
}

impl TryRng for Watched {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.context.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.context.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.context.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Watched {}
