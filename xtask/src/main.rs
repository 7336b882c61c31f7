//! The checks that the compiler cannot make: `cargo run -p xtask -- layers` and `tidy`.

mod layers;
mod tidy;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let faults = match task.as_str() {
        "layers" => layers::check(),
        "tidy" => tidy::check(),
        _ => Err(anyhow::anyhow!("usage: xtask layers|tidy")),
    };
    let mut out = std::io::stderr().lock();
    // Nothing is left to do if standard error is closed.
    let _written = match &faults {
        Ok(faults) => faults
            .iter()
            .try_for_each(|fault| writeln!(out, "{task}: {fault}")),
        Err(error) => writeln!(out, "{error:#}"),
    };
    match faults {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
