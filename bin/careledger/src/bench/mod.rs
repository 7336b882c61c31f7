//! `careledger bench`: what this machine does, each figure beside the limit that it is measured against.

mod anchor;
mod fhir;
mod limits;
mod load;

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
    #[command(after_help = "Example:\n  careledger bench anchor --json")]
    Anchor(anchor::AnchorArgs),
    /// The FHIR API of one member: create and read.
    Fhir(fhir::FhirArgs),
    /// One validator that makes its own load; started by `bench anchor`.
    #[command(hide = true)]
    Validator(load::ValidatorArgs),
}

pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        BenchCommand::Anchor(args) => anchor::run(args).await,
        BenchCommand::Fhir(args) => fhir::run(args).await,
        BenchCommand::Validator(args) => load::run(args).await,
    }
}
