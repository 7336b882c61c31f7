//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ledger::genesis::Genesis;

use crate::outcome::{Outcome, Unreadable};
use crate::{access_history, export, log};

const EXAMPLES: &str = "\
Examples:
  careledger-verify export observation.cbor --genesis genesis.cbor
  careledger-verify export observation.cbor --genesis genesis.cbor --latest --json
  careledger-verify log ledger.dump --genesis genesis.cbor
  careledger-verify access-history history.json --genesis genesis.cbor

Exit codes:
  0  verified
  1  not verified; what is wrong is named
  2  wrong usage, or a file that cannot be read";

/// Checks exports, logs and access histories offline: nothing is trusted but the genesis, and nothing is connected to.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    check: Check,
    /// The network's genesis, from a source that you trust.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "genesis.cbor"
    )]
    genesis: PathBuf,
    /// Print the outcome as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// A version of a record with its receipt: right author, right content, included, final.
    Export {
        /// The export, as `$receipt` answers it with `Accept: application/cbor`.
        file: PathBuf,
        /// Fail unless it is shown that no later version was final at the receipt's height.
        #[arg(long)]
        latest: bool,
    },
    /// A whole ledger, replayed from its genesis: every statement, root and certificate.
    Log {
        /// A dump, or a folder of `*.dump` files that make one dump in the order of their names.
        path: PathBuf,
    },
    /// A member's answer to `Patient/[id]/$access-history`: every entry recorded, in order, none left out between.
    AccessHistory {
        /// The answer, a FHIR `Parameters` in JSON.
        file: PathBuf,
    },
}

/// Runs the check and says what came out.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = check(arguments);
    match outcome.print(arguments.json) {
        Ok(()) => outcome.exit_code(),
        Err(_) => ExitCode::from(2),
    }
}

fn check(arguments: &Arguments) -> Outcome {
    let genesis = match read_genesis(&arguments.genesis) {
        Ok(genesis) => genesis,
        Err(unreadable) => return Outcome::Unreadable(unreadable),
    };
    let checked = match &arguments.check {
        Check::Export { file, latest } => {
            read(file).map(|bytes| export::check(&bytes, &genesis, *latest))
        }
        Check::Log { path } => log::read(path).map(|bytes| log::check(&bytes, &genesis)),
        Check::AccessHistory { file } => {
            read(file).map(|bytes| access_history::check(&bytes, &genesis))
        }
    };
    match checked {
        Ok(Ok(facts)) => Outcome::Verified(facts),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(unreadable) => Outcome::Unreadable(unreadable),
    }
}

fn read_genesis(path: &Path) -> Result<Genesis, Unreadable> {
    let genesis = Genesis::decode(&read(path)?);
    genesis.map_err(|error| Unreadable::new(path, &error))
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    std::fs::read(path).map_err(|error| Unreadable::new(path, &error))
}
