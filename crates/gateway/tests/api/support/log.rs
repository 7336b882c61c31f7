//! Everything that is logged while tests run.

use std::io::{self, Write};
use std::sync::{Mutex, Once};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static CAPTURE: Once = Once::new();

struct Log;

/// Keeps the log of all levels from here on.
pub(super) fn capture() {
    CAPTURE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("trace")
            .with_writer(|| Log)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// What was logged.
pub(super) fn text() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
