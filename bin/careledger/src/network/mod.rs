//! `careledger network`: founding a network whose members all start on this machine.

mod found;
mod layout;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ledger::ids::MemberName;

pub(crate) use found::{Founding, found};
pub(crate) use layout::{
    AddressEntry, Credential, Layout, NetworkFile, NodeFile, Passphrase, WitnessEntry,
    read_genesis, read_json, write_secret,
};

/// Founds a network.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Makes the keys, certificates, configuration and genesis of a new network.
    #[command(after_help = "Example:\n  careledger network init --dir net \
        --members hospital,clinic,laboratory,payer\n  \
        careledger node --config net/hospital/node.toml")]
    Init(InitArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// The folder to make; it must be empty or not there.
    #[arg(long)]
    dir: PathBuf,
    /// The members' names: lower-case letters, digits and hyphens.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "hospital,clinic,laboratory,payer"
    )]
    members: Vec<MemberName>,
    /// The network's name, for people.
    #[arg(long, default_value = "careledger")]
    name: String,
    /// The first of the ports: gateways from here, exchanges 100 above, validators 200 above.
    #[arg(long, default_value_t = 8_101)]
    port_base: u16,
    /// Prints what was made as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: NetworkArgs) -> anyhow::Result<()> {
    let NetworkCommand::Init(args) = args.command;
    let layout = Layout::at(&args.dir);
    let network = found(
        &layout,
        &Founding {
            name: args.name,
            members: args.members,
            port_base: args.port_base,
        },
    )
    .with_context(|| format!("the network cannot be made in {}", args.dir.display()))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&network)?)?;
        return Ok(());
    }
    writeln!(out, "Network {} ({})", network.name, network.network)?;
    for member in &network.members {
        let config = layout.member(&member.member).config();
        writeln!(
            out,
            "  {:<12} {}   careledger node --config {}",
            member.member,
            member.base_url,
            config.display()
        )?;
    }
    Ok(())
}
