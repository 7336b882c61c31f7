//! Opening what somebody else may have open still.

use std::fmt::Debug;
use std::time::Instant;

use super::patience::{PATIENCE, pause};

/// Opens what a former handle's tasks and threads may be letting go of still. From then on nothing comes from them.
///
/// # Panics
///
/// If it is never free.
pub(crate) fn when_free<T, E: Debug>(mut open: impl FnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match open() {
            Ok(opened) => return opened,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "never free: {error:?}"),
        }
        std::thread::sleep(pause(begun));
    }
}
