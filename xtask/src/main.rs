//! The checks that the compiler cannot make (`cargo run -p xtask -- layers` and `tidy`), and the
//! tables that are made from published definitions (`search-parameters`).

mod layers;
mod references;
mod search_parameters;
mod text;
mod tidy;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let report = match task.as_str() {
        "layers" => layers::check(),
        "tidy" => tidy::check(),
        "search-parameters" => search_parameters::generate(std::env::args().skip(2)),
        _ => Err(anyhow::anyhow!(
            "usage: xtask layers|tidy|search-parameters --from DIR"
        )),
    };
    let mut out = std::io::stderr().lock();
    // Nothing is left to do if standard error is closed.
    let _written = match &report {
        Ok(report) => report.write(&task, &mut out),
        Err(error) => writeln!(out, "{error:#}"),
    };
    match report {
        Ok(report) if report.faults.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What a check found.
#[derive(Debug, Default)]
struct Report {
    /// What has to be mended.
    faults: Vec<String>,
    /// What may stay, and is said.
    warnings: Vec<String>,
    /// What was looked at, so that a check that saw nothing is noticed.
    seen: String,
}

impl Report {
    fn write(&self, task: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
        for fault in &self.faults {
            writeln!(out, "{task}: {fault}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "{task}: warning: {warning}")?;
        }
        writeln!(out, "{task}: {}, {} faults", self.seen, self.faults.len())
    }
}
