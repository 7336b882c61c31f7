//! What commands say on standard output.

use std::io::Write as _;

/// One line, at once, also where standard output is a pipe.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
