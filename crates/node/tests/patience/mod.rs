//! How tests wait for what has to come: until it is there, on a machine of any speed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long is waited for something that has to come. It bounds a test that fails, and says nothing of speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a look at something says: that it is there, or that it is not yet.
pub(crate) trait Look {
    /// What is there.
    type Found;

    /// What is there, or what was seen in its place.
    fn found(self) -> Result<Self::Found, String>;
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        self.then_some(()).found()
    }
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T, E: Debug> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// Looks again and again until it is there.
///
/// # Panics
///
/// If `what` never comes.
pub(crate) async fn until<L: Look>(what: &str, mut look: impl AsyncFnMut() -> L) -> L::Found {
    let begun = Instant::now();
    loop {
        match look().await.found() {
            Ok(found) => return found,
            Err(seen) => assert!(begun.elapsed() < PATIENCE, "never: {what} {seen}"),
        }
        tokio::time::sleep(pause(begun)).await;
    }
}

/// How long to look away: what comes soon is seen at once, and what takes long is not held up by looking.
pub(crate) fn pause(begun: Instant) -> Duration {
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(200));
    (begun.elapsed() / 10).clamp(least, most)
}
