//! `careledger wallet`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use contracts::consent::template::DataClass;
use interop::fhir::timespan::format_instant;
use serde_json::json;

use super::recovery::{GuardiansCommand, RecoverCommand, guardians, recover};
use super::share::{self, ShareArgs};
use super::take::{Escrow, take};
use super::{Attempt, Power, View, WalletFolder, Wish};
use crate::client::{self, Client, User};
use crate::network::{Layout, Passphrase, read_json};

/// The patient's side: keys, enrolment, consents and the history of accesses.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger wallet --network net --folder w new ada\n  \
    careledger wallet --network net --folder w enroll ada --member clinic \
--credential net/clinic/clients/clerk.json\n  \
    careledger wallet --network net --folder w grant ada --through clinic --to hospital \
--data laboratory,medications --days 30\n  \
    careledger wallet --network net --folder w history ada"
)]
pub(crate) struct WalletArgs {
    /// The network's folder (`network.json` and the genesis).
    #[arg(long)]
    network: PathBuf,
    /// The folder of wallets.
    #[arg(long)]
    folder: PathBuf,
    /// A file with the passphrase; else it is taken from `CARELEDGER_PASSPHRASE`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: WalletCommand,
}

#[derive(Debug, Subcommand)]
enum WalletCommand {
    /// Makes a wallet with a fresh root.
    New { name: String },
    /// Lists the wallets.
    List,
    /// Shows where the patient is enrolled, and the consents in force.
    Show { name: String },
    /// Enrols the patient at a member.
    Enroll(EnrollArgs),
    /// Notes that a member has enrolled the patient with a link.
    Enrolled {
        name: String,
        #[arg(long)]
        member: String,
        /// The patient's id there.
        #[arg(long)]
        patient: String,
    },
    /// Takes over the root that a member has kept for the patient, into a wallet that is used nowhere yet.
    Take(TakeArgs),
    /// Gives a link away (SMART Health Links): to branch keys for a member, or to the records.
    Share(ShareArgs),
    /// Lists the links that are active.
    Shares {
        name: String,
        /// The member that keeps what is behind them.
        #[arg(long)]
        through: String,
    },
    /// Withdraws a link.
    Unshare {
        name: String,
        #[arg(long)]
        through: String,
        /// As it stands in the list.
        id: String,
    },
    /// Files a consent.
    Grant(GrantArgs),
    /// Lets somebody act in the patient's place at a member.
    Delegate(DelegateArgs),
    /// Lists who may.
    Delegates { name: String },
    /// Withdraws a consent, or a delegation.
    Revoke { name: String, consent: String },
    /// Shows who asked for what, and checks each entry against the ledger.
    History { name: String },
    /// Who gives the wallet back if it is lost.
    #[command(subcommand)]
    Guardians(GuardiansCommand),
    /// Gets a lost wallet back.
    #[command(subcommand)]
    Recover(RecoverCommand),
}

#[derive(Debug, Args)]
struct EnrollArgs {
    name: String,
    #[arg(long)]
    member: String,
    /// The credential of a system of the member that may enrol patients.
    #[arg(long)]
    credential: PathBuf,
}

#[derive(Debug, Args)]
struct TakeArgs {
    name: String,
    /// The member that is the escrow.
    #[arg(long)]
    member: String,
    /// The patient's id there.
    #[arg(long)]
    patient: String,
    /// The credential of a system of the member that may enrol patients: its desk has looked who the patient is.
    #[arg(long)]
    credential: PathBuf,
    /// Takes the place of a wallet that was offered the root and is lost.
    #[arg(long)]
    instead: bool,
}

#[derive(Debug, Args)]
struct GrantArgs {
    name: String,
    /// The member through which the consent is filed.
    #[arg(long)]
    through: String,
    /// The member that is let in.
    #[arg(long)]
    to: String,
    /// laboratory, medications, conditions, allergies, immunizations or all; sensitive records are never included.
    #[arg(long, value_delimiter = ',', required = true)]
    data: Vec<String>,
    /// Purpose of use (v3-ActReason code).
    #[arg(long, default_value = "TREAT")]
    purpose: String,
    #[arg(long, default_value_t = 30)]
    days: u64,
}

#[derive(Debug, Args)]
struct DelegateArgs {
    name: String,
    /// The member through which it is filed, and at which it counts.
    #[arg(long)]
    through: String,
    /// RelatedPerson/ID at that member.
    #[arg(long)]
    to: String,
    #[arg(long, value_enum)]
    role: Role,
    /// Resource types; all without any. Patient is needed to sign in.
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// The day it ends.
    #[arg(long, required_unless_present = "majority")]
    until: Option<String>,
    /// For a parent: the day on which the patient comes of age; it ends no later.
    #[arg(long, required_if_eq("role", "parent"))]
    majority: Option<String>,
    /// Who gives it in the patient's place: a delegate, as RelatedPerson/ID.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    Caregiver,
    Parent,
    Poa,
}

impl Role {
    /// The code of v3-RoleCode.
    fn code(self) -> &'static str {
        match self {
            Self::Caregiver => "DELEGATEE",
            Self::Parent => "PRN",
            Self::Poa => "POWATT",
        }
    }
}

pub(crate) async fn run(args: WalletArgs) -> anyhow::Result<()> {
    let view = View::read(&Layout::at(&args.network), client::http()?)?;
    let passphrase = Passphrase::find(args.passphrase_file.as_deref())?;
    let folder = WalletFolder::open(&args.folder, &passphrase)?;
    match args.command {
        WalletCommand::New { name } => {
            folder.create(std::slice::from_ref(&name))?;
            say(&format!("wallet {name} is made"))
        }
        WalletCommand::List => folder.names().iter().try_for_each(|name| say(name)),
        WalletCommand::Show { name } => {
            let wallet = folder.wallet(&name)?;
            say(&serde_json::to_string_pretty(&wallet.state)?)
        }
        WalletCommand::Enroll(args) => enroll(&view, &folder, args).await,
        WalletCommand::Enrolled {
            name,
            member,
            patient,
        } => enrolled(&view, &folder, &name, (member, patient)).await,
        WalletCommand::Take(args) => taken(&view, &folder, &args).await,
        WalletCommand::Share(args) => share::share(&view, &folder, &args).await,
        WalletCommand::Shares { name, through } => {
            share::shares(&folder.wallet(&name)?, &view, &through).await
        }
        WalletCommand::Unshare { name, through, id } => {
            share::unshare(&folder.wallet(&name)?, &view, (&through, &id)).await
        }
        WalletCommand::Grant(args) => grant(&view, &folder, args).await,
        WalletCommand::Delegate(args) => delegate(&view, &folder, args).await,
        WalletCommand::Delegates { name } => {
            let wallet = folder.wallet(&name)?;
            wallet.delegates().iter().try_for_each(|line| say(line))
        }
        WalletCommand::Revoke { name, consent } => {
            let mut wallet = folder.wallet(&name)?;
            wallet.revoke(&view, &consent).await?;
            folder.save(&wallet)?;
            say(&format!(
                "consent {consent} is withdrawn, and that is final"
            ))
        }
        WalletCommand::History { name } => history(&view, &folder, &name, args.json).await,
        WalletCommand::Guardians(command) => guardians(&view, &folder, command).await,
        WalletCommand::Recover(command) => recover(&view, &folder, command).await,
    }
}

async fn enroll(view: &View, folder: &WalletFolder, args: EnrollArgs) -> anyhow::Result<()> {
    let clerk = clerk(view, &args.credential)?;
    let mut wallet = folder.wallet(&args.name)?;
    wallet.enroll(view, &args.member, &clerk).await?;
    folder.save(&wallet)?;
    let id = wallet.patient_at(&args.member)?;
    say(&format!("enrolled at {} as Patient/{id}", args.member))
}

/// The member has to take the wallet for the patient's: it is asked for a token.
async fn enrolled(
    view: &View,
    folder: &WalletFolder,
    name: &str,
    (member, patient): (String, String),
) -> anyhow::Result<()> {
    let mut wallet = folder.wallet(name)?;
    wallet.state.patients.insert(member.clone(), patient);
    wallet.client(view, &member)?.token().await?;
    folder.save(&wallet)?;
    say(&format!("{member} knows the wallet"))
}

async fn taken(view: &View, folder: &WalletFolder, args: &TakeArgs) -> anyhow::Result<()> {
    let clerk = clerk(view, &args.credential)?;
    let escrow = Escrow {
        member: &args.member,
        patient: &args.patient,
        through: &clerk,
        instead: args.instead,
    };
    take(view, folder, &args.name, &escrow).await?;
    say(&format!(
        "the wallet has the root of Patient/{}, and {} has destroyed its copy; set up guardians for it",
        args.patient, args.member
    ))
}

/// A client that enrols patients at a member.
pub(crate) fn clerk(view: &View, credential: &Path) -> anyhow::Result<Client> {
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: None,
        role: Some("clerk".to_owned()),
    };
    Client::of_system(
        &view.http,
        &read_json(credential)?,
        user,
        "system/Patient.cruds",
    )
}

async fn grant(view: &View, folder: &WalletFolder, args: GrantArgs) -> anyhow::Result<()> {
    let parse = |word: &String| {
        DataClass::parse(word).with_context(|| format!("`{word}` is no class of data: see --help"))
    };
    let data = args.data.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let wish = Wish {
        through: &args.through,
        grantee: &args.to,
        data: &data,
        purpose: &args.purpose,
        lasts: Duration::from_secs(args.days.saturating_mul(86_400)),
    };
    let mut wallet = folder.wallet(&args.name)?;
    let filed = wallet.grant(view, &wish).await?;
    folder.save(&wallet)?;
    say(&format!(
        "consent {} is filed through {} and final; `wallet revoke {} {}` withdraws it",
        filed.id, filed.member, args.name, filed.id
    ))
}

async fn delegate(view: &View, folder: &WalletFolder, args: DelegateArgs) -> anyhow::Result<()> {
    // Days in one form are in the order of their texts.
    let end = args.until.iter().chain(&args.majority).min();
    let power = Power {
        through: &args.through,
        to: &args.to,
        role: args.role.code(),
        types: &args.types,
        until: end.context("a delegation ends: see --help")?,
        by: args.by.as_deref(),
    };
    let mut wallet = folder.wallet(&args.name)?;
    let filed = wallet.delegate(view, &power).await?;
    folder.save(&wallet)?;
    say(&format!(
        "delegation {} is filed through {} and final; `wallet revoke {} {}` withdraws it",
        filed.id, filed.member, args.name, filed.id
    ))
}

async fn history(view: &View, folder: &WalletFolder, name: &str, json: bool) -> anyhow::Result<()> {
    let history = folder.wallet(name)?.history(view).await?;
    if json {
        let attempts: Vec<_> = history.attempts.iter().map(as_json).collect();
        return say(&serde_json::to_string_pretty(&attempts)?);
    }
    for attempt in &history.attempts {
        say(&line(attempt))?;
    }
    say(&format!(
        "{} accesses; {} of them are not final yet; all others verify against the ledger",
        history.attempts.len(),
        history.pending
    ))
}

fn at(attempt: &Attempt) -> String {
    format_instant(i64::try_from(attempt.access.at).unwrap_or(i64::MAX))
}

fn line(attempt: &Attempt) -> String {
    let access = &attempt.access;
    let outcome = match attempt.outcome() {
        None => "asked".to_owned(),
        Some((0, _)) => "denied".to_owned(),
        Some((opened, 0)) => format!("opened {opened}"),
        Some((opened, withheld)) => format!("opened {opened}, withheld {withheld}"),
    };
    format!(
        "{}  {:<10} {:<24} {:<8} {:<11} {outcome} at {}",
        at(attempt),
        access.requester,
        access.principal,
        access.purpose,
        access.interaction,
        access.custodian,
    )
}

fn as_json(attempt: &Attempt) -> serde_json::Value {
    let access = &attempt.access;
    json!({
        "at": at(attempt),
        "recordedBy": attempt.recorded_by,
        "position": attempt.position,
        "requester": access.requester.as_str(),
        "principal": access.principal,
        "purpose": access.purpose,
        "interaction": access.interaction,
        "target": access.target,
        "custodian": access.custodian.as_str(),
        "opened": access.decision.as_ref().map(|decision| &decision.permitted),
        "withheld": access.decision.as_ref().map(|decision| decision.withheld),
        "final": attempt.receipt.is_some(),
    })
}

pub(super) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
