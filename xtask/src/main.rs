//! The checks that the compiler cannot make (`cargo run -p xtask -- layers` and `tidy`), and the
//! tables that are made from published definitions (`definitions`, `search-parameters`).

mod definitions;
mod layers;
mod references;
mod search_parameters;
mod text;
mod tidy;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("", [].as_slice()),
    };
    let report = match task {
        "layers" => layers::check(),
        "tidy" => tidy::check(),
        "definitions" => definitions::generate(rest),
        "search-parameters" => search_parameters::generate(rest.iter().cloned()),
        _ => Err(anyhow::anyhow!(
            "usage: xtask layers|tidy|definitions --from DIR|search-parameters --from DIR"
        )),
    };
    let mut out = std::io::stderr().lock();
    // Nothing is left to do if standard error is closed.
    let _written = match &report {
        Ok(report) => report.write(task, &mut out),
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
