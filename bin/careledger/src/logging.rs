//! Logs: lines on standard error, for people or, with `CARELEDGER_LOG=json`, for programs.

use tracing_subscriber::EnvFilter;

/// Begins to log what `RUST_LOG` names.
pub(crate) fn start() {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::from_default_env());
    if std::env::var_os("CARELEDGER_LOG").is_some_and(|format| format == "json") {
        lines.json().init();
    } else {
        lines.init();
    }
}
