//! The command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::failure::Failure;
use crate::outcome::{Facts, Outcome, Unreadable};
use crate::recent::Recent;
use crate::trust::Pinned;
use crate::{access_history, checkpoint, consent_receipt, erasure, export, fault, log, receipt};
use clap::{Args, Parser, Subcommand};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  careledger-verify export observation.cbor --genesis genesis.cbor
  careledger-verify export observation.cbor --genesis genesis.cbor --latest --json
  careledger-verify log ledger.dump --genesis genesis.cbor
  careledger-verify access-history history.json --genesis genesis.cbor
  careledger-verify erasure deletion.cbor --genesis genesis.cbor --complete
  careledger-verify receipt statement.cose --genesis genesis.cbor
  careledger-verify consent-receipt consent.jws --genesis genesis.cbor
  careledger-verify export observation.cbor --checkpoint mine.txt --policy network.policy --consistency to-mine.cose
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
    /// What changed since the genesis, as `/network/succession` answers it: validators and certificates.
    #[arg(long, global = true, value_name = "FILE")]
    succession: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    #[command(flatten)]
    Check(Check),
    /// Prints the policy that follows from the genesis and its succession, to which witnesses of your own can be added.
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
        #[command(flatten)]
        own: OwnCheckpoint,
    },
    /// A deletion certificate: what was there, that it was erased, by whom, and who has acknowledged.
    Erasure {
        /// The certificate, as `$erasure-certificate` answers it with `Accept: application/cbor`.
        file: PathBuf,
        /// Fail unless every holder has acknowledged.
        #[arg(long)]
        complete: bool,
        #[command(flatten)]
        own: OwnCheckpoint,
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
        #[command(flatten)]
        own: OwnCheckpoint,
    },
    /// A transparent statement (RFC 9943) with receipts of a quorum, or the receipt of an item.
    Receipt {
        /// The file, as `/scitt/signed-statements/ID` answers it.
        file: PathBuf,
        #[command(flatten)]
        own: OwnCheckpoint,
    },
    /// A receipt of a consent (ISO/IEC TS 27560): who signed it, and that it says what the recorded Consent says.
    ConsentReceipt {
        /// The receipt, as `Consent/[id]/$consent-receipt` answers it.
        file: PathBuf,
        /// Fail unless it is shown that no later version of the consent was final at the receipt's height.
        #[arg(long)]
        latest: bool,
        #[command(flatten)]
        own: OwnCheckpoint,
    },
    /// A signed checkpoint of the log (C2SP tlog-checkpoint), by who stands by it.
    Checkpoint {
        /// The signed note, as `/log/checkpoint` answers it.
        file: PathBuf,
        /// Which signatures it needs (C2SP tlog-policy); without it, a quorum of the network's validators.
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
        /// Which signatures both need (C2SP tlog-policy); without it, a quorum of the network's validators.
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

/// A checkpoint of the auditor's own, as recent as is wanted.
#[derive(Debug, Args)]
struct OwnCheckpoint {
    /// A signed checkpoint of your own: the log of what is checked, and of --succession, has to be its log.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Which signatures the checkpoint needs (C2SP tlog-policy); without it, a quorum of the network's validators.
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    policy: Option<PathBuf>,
    /// A receipt of consistency between both logs where their sizes differ, as `/scitt/consistency/SIZE` answers it.
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    consistency: Vec<PathBuf>,
}

impl OwnCheckpoint {
    /// Runs `check` with the checkpoint, if there is one, after the pinned succession was compared with it.
    fn and(
        &self,
        pinned: &Pinned,
        check: impl FnOnce(Option<&Recent>) -> Result<Facts, Failure>,
    ) -> Checked {
        let Some(path) = &self.checkpoint else {
            return Ok(check(None));
        };
        let note = read(path)?;
        let text = self.policy.as_deref().map(read_text).transpose()?;
        let paths = self.consistency.iter().map(|path| read(path));
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        Ok(
            compared(&note, text.as_deref(), &paths, pinned).and_then(|recent| {
                let mut facts = check(Some(&recent))?;
                facts.push(("in the log of", json!(recent.size())));
                Ok(facts)
            }),
        )
    }
}

fn compared(
    note: &[u8],
    policy: Option<&str>,
    paths: &[Vec<u8>],
    pinned: &Pinned,
) -> Result<Recent, Failure> {
    let recent = Recent::read(note, &checkpoint::policies(policy, pinned)?, paths)?;
    if let Some(view) = pinned.view() {
        let compared = recent.compare(&[view]);
        compared.map_err(|failure| failure.at("the succession"))?;
    }
    Ok(recent)
}

impl Arguments {
    fn pinned(&self) -> Result<Pinned, Unreadable> {
        Pinned::read(&self.genesis, self.succession.as_deref())
    }
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
    let pinned = match arguments.pinned() {
        Ok(pinned) => pinned,
        Err(unreadable) => return Outcome::Unreadable(unreadable),
    };
    let checked = match task {
        Check::Export { file, latest, own } => read(file).and_then(|bytes| {
            own.and(&pinned, |recent| {
                export::check(&bytes, (&pinned, recent), *latest)
            })
        }),
        Check::Erasure {
            file,
            complete,
            own,
        } => read(file).and_then(|bytes| {
            own.and(&pinned, |recent| {
                erasure::check(&bytes, (&pinned, recent), *complete)
            })
        }),
        Check::Log { path } => log::read(path).map(|bytes| log::check(&bytes, &pinned.genesis)),
        Check::AccessHistory { file, own } => read(file).and_then(|bytes| {
            own.and(&pinned, |recent| {
                access_history::check(&bytes, &pinned, recent)
            })
        }),
        Check::Receipt { file, own } => read(file)
            .and_then(|bytes| own.and(&pinned, |recent| receipt::check(&bytes, &pinned, recent))),
        Check::ConsentReceipt { file, latest, own } => read(file).and_then(|bytes| {
            own.and(&pinned, |recent| {
                consent_receipt::check(&bytes, (&pinned, recent), *latest)
            })
        }),
        Check::Checkpoint { file, policy } => check_checkpoint(file, policy.as_deref(), &pinned),
        Check::Consistency {
            older,
            newer,
            receipt,
            policy,
        } => check_consistency(
            (older, newer),
            receipt.as_deref(),
            policy.as_deref(),
            &pinned,
        ),
        Check::Fault { files } => {
            let named = |file: &PathBuf| Ok((file.display().to_string(), read(file)?));
            let evidence = files.iter().map(named).collect::<Result<Vec<_>, _>>();
            evidence.map(|evidence| fault::check(&evidence, &pinned))
        }
    };
    match checked {
        Ok(Ok(facts)) => Outcome::Verified(facts),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(unreadable) => Outcome::Unreadable(unreadable),
    }
}

type Checked = Result<Result<Facts, Failure>, Unreadable>;

fn check_checkpoint(file: &Path, policy: Option<&Path>, pinned: &Pinned) -> Checked {
    let note = read(file)?;
    let text = policy.map(read_text).transpose()?;
    let policies = checkpoint::policies(text.as_deref(), pinned);
    Ok(policies.and_then(|policies| checkpoint::check(&note, &policies)))
}

fn check_consistency(
    (older, newer): (&Path, &Path),
    receipt: Option<&Path>,
    policy: Option<&Path>,
    pinned: &Pinned,
) -> Checked {
    let (older, newer) = (read(older)?, read(newer)?);
    let receipt = receipt.map(read).transpose()?;
    let text = policy.map(read_text).transpose()?;
    let policies = checkpoint::policies(text.as_deref(), pinned);
    Ok(policies.and_then(|policies| {
        let notes = (older.as_slice(), newer.as_slice());
        checkpoint::consistency(notes, receipt.as_deref(), (&policies, pinned))
    }))
}

fn print_policy(arguments: &Arguments) -> ExitCode {
    let pinned = match arguments.pinned() {
        Ok(pinned) => pinned,
        Err(unreadable) => return finish(&Outcome::Unreadable(unreadable), arguments.json),
    };
    let newest = checkpoint::policies(None, &pinned).map(|policies| policies.into_iter().next());
    match newest {
        Ok(None) => ExitCode::from(1),
        Ok(Some(asked)) => match write!(std::io::stdout(), "{}", asked.policy) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        },
        Err(failure) => finish(&Outcome::Failed(failure), arguments.json),
    }
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    String::from_utf8(read(path)?).map_err(|error| Unreadable::new(path, &error))
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    std::fs::read(path).map_err(|error| Unreadable::new(path, &error))
}
