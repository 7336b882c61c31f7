//! The network's one binary.

mod aside;
mod audit;
mod backup;
mod bench;
mod client;
mod clients;
mod demo;
mod dump;
mod duties;
mod emergencies;
mod erase;
mod faults;
mod governance;
mod hardening;
mod holds;
mod import;
mod keys;
mod labels;
mod logging;
mod matches;
mod messages;
mod mllp;
mod network;
mod node;
mod policies;
mod progress;
mod receipt;
mod records;
mod reindex;
mod relabel;
mod said;
mod shares;
mod status;
mod subscriptions;
mod synth;
mod terminology;
mod token;
mod users;
mod verify;
mod wallet;
mod witness;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Requests allocate much and briefly: the system's allocator took a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A network of health organisations that prove to each other, and to patients, what they keep and who sees it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Network(network::NetworkArgs),
    Node(node::NodeArgs),
    Wallet(wallet::WalletArgs),
    Import(import::ImportArgs),
    Synth(synth::SynthArgs),
    Receipt(receipt::ReceiptArgs),
    Shares(shares::SharesArgs),
    Status(status::StatusArgs),
    Subscriptions(subscriptions::SubscriptionsArgs),
    Emergencies(emergencies::EmergenciesArgs),
    Duties(duties::DutiesArgs),
    Messages(messages::MessagesArgs),
    Token(token::TokenArgs),
    Clients(clients::ClientsArgs),
    Users(users::UsersArgs),
    Witness(witness::WitnessArgs),
    Governance(governance::GovernanceArgs),
    Keys(keys::KeysArgs),
    Policies(policies::PoliciesArgs),
    Audit(audit::AuditArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Dump(dump::DumpArgs),
    Verify(verify::VerifyArgs),
    Records(records::RecordsArgs),
    Erase(erase::EraseArgs),
    Holds(holds::HoldsArgs),
    Retention(holds::RetentionArgs),
    Matches(matches::MatchesArgs),
    Labels(labels::LabelsArgs),
    Reindex(reindex::ReindexArgs),
    Relabel(relabel::RelabelArgs),
    Terminology(terminology::TerminologyArgs),
    Demo(demo::DemoArgs),
    Bench(bench::BenchArgs),
    Faults(faults::FaultsArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    logging::start();
    let outcome = match Cli::parse().command {
        Command::Network(args) => network::run(args),
        Command::Node(args) => node::run(args).await,
        Command::Wallet(args) => wallet::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Synth(args) => synth::run(&args),
        Command::Receipt(args) => receipt::run(args).await,
        Command::Shares(args) => shares::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Subscriptions(args) => subscriptions::run(args).await,
        Command::Emergencies(args) => emergencies::run(args).await,
        Command::Duties(args) => duties::run(args).await,
        Command::Messages(args) => messages::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Clients(args) => clients::run(args).await,
        Command::Users(args) => users::run(&args),
        Command::Witness(args) => witness::run(args).await,
        Command::Governance(args) => governance::run(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Policies(args) => policies::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Erase(args) => erase::run(args).await,
        Command::Holds(args) => holds::run(args).await,
        Command::Retention(args) => holds::retention(args).await,
        Command::Matches(args) => matches::run(args).await,
        Command::Labels(args) => labels::run(args).await,
        Command::Records(args) => records::run(args).await,
        Command::Reindex(args) => reindex::run(args).await,
        Command::Relabel(args) => relabel::run(args).await,
        Command::Terminology(args) => terminology::run(&args),
        Command::Verify(args) => match verify::run(args).await {
            Ok(verdict) => return verdict.into(),
            Err(error) => return fail(&error, verify::CANNOT_CHECK),
        },
        Command::Demo(args) => demo::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Faults(args) => faults::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    use std::io::Write as _;
    // Nothing is left to do if standard error is closed.
    let _written = writeln!(std::io::stderr(), "careledger: {error:#}");
    code.into()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut io = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
