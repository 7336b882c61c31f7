//! `careledger network`: founding a network whose members all start on this machine.

mod found;
mod join;
mod layout;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use ledger::genesis::{Quota, Rules};
use ledger::ids::MemberName;
use vault::keystore::SecretKind;

pub(crate) use found::{Founding, found};
pub(crate) use layout::{
    AddressEntry, Credential, Layout, MemberLayout, NetworkFile, NodeFile, Passphrase,
    WitnessEntry, read_genesis, read_json, write_secret,
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
    /// Makes the folder of a member that joins, and the file by which the others admit it.
    #[command(
        after_help = "Example:\n  careledger network add-member --dir net --member regulator\n  \
        careledger governance propose --config net/hospital/node.toml admit net/regulator/admission.cbor\n  \
        careledger governance vote --config net/clinic/node.toml 1 approve\n  \
        careledger node --config net/regulator/node.toml"
    )]
    AddMember(AddMemberArgs),
}

/// The kind of the keys in a member's certificates.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum KeyType {
    /// Ed25519.
    #[default]
    Ed25519,
    /// P-256, signed with SHA-256.
    #[value(name = "p256")]
    P256,
}

impl KeyType {
    /// How the key store keeps such keys.
    pub(crate) fn secret(self) -> SecretKind {
        match self {
            Self::Ed25519 => SecretKind::Signing,
            Self::P256 => SecretKind::SigningP256,
        }
    }
}

#[derive(Debug, Args)]
struct AddMemberArgs {
    /// The network's folder.
    #[arg(long)]
    dir: PathBuf,
    /// The new member's name.
    #[arg(long)]
    member: MemberName,
    /// The kind of the keys in the member's certificates.
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyType,
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
    /// Blocks of an epoch: changes of the validators wait for its end. Stays for the network's life.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..))]
    epoch_blocks: u64,
    /// The kind of the keys in the members' certificates.
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyType,
    /// Items that each member may submit a second, and ten times as many at once; 0 for no bound.
    #[arg(long, default_value_t = 5_000)]
    items_per_second: u32,
    /// Prints what was made as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: NetworkArgs) -> anyhow::Result<()> {
    match args.command {
        NetworkCommand::Init(args) => init(args),
        NetworkCommand::AddMember(args) => add_member(&args),
    }
}

fn add_member(args: &AddMemberArgs) -> anyhow::Result<()> {
    let joining = join::join(&Layout::at(&args.dir), &args.member, args.key_type)?;
    let mut out = std::io::stdout().lock();
    let (admission, config) = (joining.admission.display(), joining.config.display());
    writeln!(out, "Member {} ({})", args.member, joining.base_url)?;
    writeln!(
        out,
        "  for the others   careledger governance propose --config … admit {admission}"
    )?;
    writeln!(out, "  once admitted    careledger node --config {config}")?;
    Ok(())
}

/// No quota if `items_per_second` is 0; ten seconds' worth at once if nothing is said of that.
pub(crate) fn quota(items_per_second: u32, burst_items: Option<u32>) -> Option<Quota> {
    (items_per_second > 0).then(|| Quota {
        items_per_second,
        burst_items: burst_items.unwrap_or_else(|| items_per_second.saturating_mul(10)),
    })
}

fn init(args: InitArgs) -> anyhow::Result<()> {
    let layout = Layout::at(&args.dir);
    let network = found(
        &layout,
        &Founding {
            name: args.name,
            members: args.members,
            port_base: args.port_base,
            rules: Rules {
                epoch_blocks: args.epoch_blocks,
                quota: quota(args.items_per_second, None),
                ..Rules::default()
            },
            key_type: args.key_type,
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
