//! `careledger shares`: for whoever was given a SMART Health Link.

mod fetch;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use contracts::share::BranchGrant;
use interop::shl::Link;
use serde_json::Value;

use crate::client;
use crate::network::Layout;
use crate::wallet::{View, clerk, enroll_with};
use fetch::{Opened, Reader};

/// Opens a link that a patient gave away, or enrols the patient with it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger shares open 'shlink:/eyJ1cmwi…' --recipient 'Dr. Jones' --passcode 7777\n  \
    careledger shares enroll 'shlink:/eyJ1cmwi…' --network net --member payer \
--credential net/payer/clients/clerk.json"
)]
pub(crate) struct SharesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints what is behind a link.
    Open(OpenArgs),
    /// Enrols a patient at a member with the branch keys behind a link.
    Enroll(EnrollArgs),
}

#[derive(Debug, Args)]
struct OpenArgs {
    #[command(flatten)]
    given: Given,
}

#[derive(Debug, Args)]
struct EnrollArgs {
    #[command(flatten)]
    given: Given,
    /// The network's folder.
    #[arg(long)]
    network: PathBuf,
    /// The member at which the patient is enrolled.
    #[arg(long)]
    member: String,
    /// The credential of a system of the member that may enrol patients.
    #[arg(long)]
    credential: PathBuf,
}

/// A link, and what its sharer asks for.
#[derive(Debug, Args)]
struct Given {
    /// `shlink:/…`, or a viewer's address that ends in it.
    link: String,
    /// Who opens it: the patient reads this in the access history.
    #[arg(long)]
    recipient: String,
    /// What the patient told you besides.
    #[arg(long)]
    passcode: Option<String>,
}

pub(crate) async fn run(args: SharesArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Open(args) => {
            let opened = open(&args.given).await?;
            let mut out = std::io::stdout().lock();
            for file in &opened {
                out.write_all(&file.bytes)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        }
        Command::Enroll(args) => enroll(&args).await,
    }
}

async fn open(given: &Given) -> anyhow::Result<Vec<Opened>> {
    let link = Link::parse(&given.link)?;
    let reader = Reader::new(&given.recipient, given.passcode.as_deref())?;
    reader.open(&link).await
}

async fn enroll(args: &EnrollArgs) -> anyhow::Result<()> {
    let view = View::read(&Layout::at(&args.network), client::http()?)?;
    let through = clerk(&view, &args.credential)?;
    let opened = open(&args.given).await?;
    let mut grants = opened.iter().filter_map(|file| {
        let resource: Value = serde_json::from_slice(&file.bytes).ok()?;
        (resource["resourceType"] == "Parameters").then_some(resource)
    });
    let grant = grants
        .next()
        .context("there are no branch keys behind the link")?;
    let grant = BranchGrant::from_resource(&grant)?;
    anyhow::ensure!(
        grant.network == view.network_id() && grant.member.as_str() == args.member,
        "the branch keys behind the link are for {}, or for another network",
        grant.member
    );
    let granted = (grant.wallet, grant.branches);
    let id = enroll_with(&view, &args.member, &through, &granted).await?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "enrolled at {member} as Patient/{id}; the patient's wallet notes it by `wallet enrolled NAME --member {member} --patient {id}`",
        member = args.member
    )?;
    Ok(())
}
