//! The command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ledger::genesis::Genesis;

use crate::failure::Failure;
use crate::outcome::{Facts, Outcome, Unreadable};
use crate::{access_history, checkpoint, export, fault, log, receipt};

const EXAMPLES: &str = "\
Examples:
  careledger-verify export observation.cbor --genesis genesis.cbor
  careledger-verify export observation.cbor --genesis genesis.cbor --latest --json
  careledger-verify log ledger.dump --genesis genesis.cbor
  careledger-verify access-history history.json --genesis genesis.cbor
  careledger-verify receipt statement.cose --genesis genesis.cbor
  careledger-verify policy --genesis genesis.cbor > network.policy
  careledger-verify checkpoint checkpoint.txt --policy network.policy
  careledger-verify consistency old.txt new.txt --receipt consistency.cose
  careledger-verify fault one.txt other.txt

Exit codes:
  0  verified
  1  not verified; what is wrong is named
  2  wrong usage, or a file that cannot be read";

/// Checks exports, logs and access histories offline: nothing is trusted but the genesis, and nothing is connected to.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
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
enum Task {
    #[command(flatten)]
    Check(Check),
    /// Prints the policy that follows from the genesis, to which witnesses of your own can be added.
    Policy,
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
    /// A transparent statement (RFC 9943) with receipts of a quorum, or the receipt of an item.
    Receipt {
        /// The file, as `/scitt/signed-statements/ID` answers it.
        file: PathBuf,
    },
    /// A signed checkpoint of the log (C2SP tlog-checkpoint), by who stands by it.
    Checkpoint {
        /// The signed note, as `/log/checkpoint` answers it.
        file: PathBuf,
        /// Which signatures it needs (C2SP tlog-policy); without it, a quorum of the genesis's validators.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Two checkpoints: the newer continues the older, or whoever signed two views is named.
    Consistency {
        /// The older checkpoint.
        older: PathBuf,
        /// The newer checkpoint.
        newer: PathBuf,
        /// A receipt of consistency, as `/scitt/consistency/SIZE` answers it.
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
        /// Which signatures both need (C2SP tlog-policy); without it, a quorum of the genesis's validators.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Signatures that contradict each other, and whose they are: verified means convicted.
    Fault {
        /// Signed checkpoints, transparent statements and dumps.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the check and says what came out.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.task {
        Task::Check(task) => finish(&check(task, arguments), arguments.json),
        Task::Policy => print_policy(arguments),
    }
}

fn finish(outcome: &Outcome, as_json: bool) -> ExitCode {
    match outcome.print(as_json) {
        Ok(()) => outcome.exit_code(),
        Err(_) => ExitCode::from(2),
    }
}

fn check(task: &Check, arguments: &Arguments) -> Outcome {
    let genesis = match read_genesis(&arguments.genesis) {
        Ok(genesis) => genesis,
        Err(unreadable) => return Outcome::Unreadable(unreadable),
    };
    let checked = match task {
        Check::Export { file, latest } => {
            read(file).map(|bytes| export::check(&bytes, &genesis, *latest))
        }
        Check::Log { path } => log::read(path).map(|bytes| log::check(&bytes, &genesis)),
        Check::AccessHistory { file } => {
            read(file).map(|bytes| access_history::check(&bytes, &genesis))
        }
        Check::Receipt { file } => read(file).map(|bytes| receipt::check(&bytes, &genesis)),
        Check::Checkpoint { file, policy } => check_checkpoint(file, policy.as_deref(), &genesis),
        Check::Consistency {
            older,
            newer,
            receipt,
            policy,
        } => check_consistency(
            (older, newer),
            receipt.as_deref(),
            policy.as_deref(),
            &genesis,
        ),
        Check::Fault { files } => {
            let named = |file: &PathBuf| Ok((file.display().to_string(), read(file)?));
            let evidence = files.iter().map(named).collect::<Result<Vec<_>, _>>();
            evidence.map(|evidence| fault::check(&evidence, &genesis))
        }
    };
    match checked {
        Ok(Ok(facts)) => Outcome::Verified(facts),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(unreadable) => Outcome::Unreadable(unreadable),
    }
}

type Checked = Result<Result<Facts, Failure>, Unreadable>;

fn check_checkpoint(file: &Path, policy: Option<&Path>, genesis: &Genesis) -> Checked {
    let note = read(file)?;
    let text = policy.map(read_text).transpose()?;
    let policy = checkpoint::policy(text.as_deref(), genesis);
    Ok(policy.and_then(|policy| checkpoint::check(&note, &policy)))
}

fn check_consistency(
    (older, newer): (&Path, &Path),
    receipt: Option<&Path>,
    policy: Option<&Path>,
    genesis: &Genesis,
) -> Checked {
    let (older, newer) = (read(older)?, read(newer)?);
    let receipt = receipt.map(read).transpose()?;
    let text = policy.map(read_text).transpose()?;
    let policy = checkpoint::policy(text.as_deref(), genesis);
    Ok(policy.and_then(|policy| {
        let notes = (older.as_slice(), newer.as_slice());
        checkpoint::consistency(notes, receipt.as_deref(), (&policy, genesis))
    }))
}

fn print_policy(arguments: &Arguments) -> ExitCode {
    let genesis = match read_genesis(&arguments.genesis) {
        Ok(genesis) => genesis,
        Err(unreadable) => return finish(&Outcome::Unreadable(unreadable), arguments.json),
    };
    match checkpoint::policy(None, &genesis) {
        Ok(policy) => match write!(std::io::stdout(), "{policy}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        },
        Err(failure) => finish(&Outcome::Failed(failure), arguments.json),
    }
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    String::from_utf8(read(path)?).map_err(|error| Unreadable::new(path, &error))
}

fn read_genesis(path: &Path) -> Result<Genesis, Unreadable> {
    let genesis = Genesis::decode(&read(path)?);
    genesis.map_err(|error| Unreadable::new(path, &error))
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    std::fs::read(path).map_err(|error| Unreadable::new(path, &error))
}
