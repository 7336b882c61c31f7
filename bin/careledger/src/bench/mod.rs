//! `careledger bench`: what this machine does, each figure beside the limit that it is measured against.

mod access;
mod fhir;
mod figures;
mod interop;
mod ledger;
mod limits;
mod matching;
mod net;
mod release;
mod timed;

use clap::{Args, Subcommand};

/// Measures.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// The ledger: four validators in four processes on this machine.
    #[command(after_help = "Example:\n  careledger bench ledger --items 1000000")]
    Ledger(ledger::LedgerArgs),
    /// What the others notice of a member that floods the ledger, with a quota and without.
    #[command(after_help = "Example:\n  careledger bench flood --seconds 20")]
    Flood(ledger::FloodArgs),
    /// The FHIR API of one member as it fills: transactions, create, read, search, $everything.
    Fhir(fhir::FhirArgs),
    /// Access decisions as consents and patients become more, and their replay.
    Access(access::AccessArgs),
    /// What other systems send and ask: messages of HL7 v2, C-CDA, matching, vocabularies, large content.
    Interop(interop::InteropArgs),
    /// Opening a record with a committee's shares while its custodian does not answer, beside the time until an entry is final.
    Release(release::ReleaseArgs),
    /// How well patients are told apart and found again, on records of which it is known whose they are.
    Matching(matching::MatchingArgs),
    /// One validator that makes its own load; started by `bench ledger`.
    #[command(hide = true)]
    Validator(ledger::ValidatorArgs),
}

pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        BenchCommand::Ledger(args) => ledger::run(args).await,
        BenchCommand::Flood(args) => ledger::run_flood(args).await,
        BenchCommand::Fhir(args) => fhir::run(args).await,
        BenchCommand::Access(args) => access::run(&args),
        BenchCommand::Interop(args) => interop::run(args).await,
        BenchCommand::Release(args) => release::run(args).await,
        BenchCommand::Matching(args) => matching::run(&args),
        BenchCommand::Validator(args) => ledger::run_validator(args).await,
    }
}
