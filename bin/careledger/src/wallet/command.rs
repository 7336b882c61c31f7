//! `careledger wallet`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use contracts::consent::template::{Answers, Template};
use interop::fhir::timespan::format_instant;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::life::{self, LifeCommand, in_days};
use super::recovery::{GuardiansCommand, RecoverCommand, guardians, recover};
use super::{Attempt, Form, Power, View, WalletFolder};
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
    /// Lists the forms in which a patient consents, in plain words.
    Templates,
    /// Files a consent.
    Grant(GrantArgs),
    /// Lets somebody act in the patient's place at a member.
    Delegate(DelegateArgs),
    /// Lists who may.
    Delegates { name: String },
    #[command(flatten)]
    Life(LifeCommand),
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
struct GrantArgs {
    name: String,
    /// The member through which the consent is filed.
    #[arg(long)]
    through: String,
    /// The form: see `wallet templates`.
    #[arg(long, default_value = "share")]
    template: String,
    /// The member that is let in; for `caregiver` RelatedPerson/ID.
    #[arg(long)]
    to: Option<String>,
    /// laboratory, medications, conditions, allergies, immunizations or all; sensitive records are never included.
    #[arg(long, value_delimiter = ',')]
    data: Vec<String>,
    /// Purpose of use (v3-ActReason code); TREAT without one.
    #[arg(long)]
    purpose: Option<String>,
    /// The patient's full name, for a form under 42 CFR part 2.
    #[arg(long)]
    full_name: Option<String>,
    /// Days until it ends; 30 for a form that has to end.
    #[arg(long)]
    days: Option<u64>,
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
        WalletCommand::Templates => templates(),
        WalletCommand::Grant(args) => grant(&view, &folder, args).await,
        WalletCommand::Delegate(args) => delegate(&view, &folder, args).await,
        WalletCommand::Delegates { name } => {
            let wallet = folder.wallet(&name)?;
            wallet.delegates().iter().try_for_each(|line| say(line))
        }
        WalletCommand::Life(command) => life::run(&view, &folder, command).await,
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

fn templates() -> anyhow::Result<()> {
    for template in Template::all() {
        say(&format!("{}: {}", template.name, template.title))?;
        for sentence in template.blank() {
            say(&format!("  {sentence}"))?;
        }
        for (name, text, must) in template.questions() {
            let may = if must { "" } else { ", if you want" };
            say(&format!("  {name}{may}: {text}"))?;
        }
    }
    Ok(())
}

async fn grant(view: &View, folder: &WalletFolder, args: GrantArgs) -> anyhow::Result<()> {
    let template = Template::named(&args.template);
    let template = template
        .with_context(|| format!("there is no template `{}`: see templates", args.template))?;
    let form = Form {
        template,
        through: &args.through,
        grantee: args.to.as_deref().unwrap_or(&args.through),
        answers: answers(&args, template)?,
    };
    let mut wallet = folder.wallet(&args.name)?;
    let filed = wallet.agree(view, &form).await?;
    folder.save(&wallet)?;
    say(&format!(
        "consent {} is filed through {} and final; `wallet revoke {} {}` withdraws it",
        filed.id, filed.member, args.name, filed.id
    ))
}

fn answers(args: &GrantArgs, template: &Template) -> anyhow::Result<Answers> {
    let mut ends = template.questions();
    let must_end = ends.any(|(name, _, must)| must && name == "end");
    let days = args.days.or(must_end.then_some(30));
    let end = days.map(|days| (OffsetDateTime::now_utc() + in_days(days)).format(&Rfc3339));
    let given = [
        ("to", args.to.clone()),
        ("who", args.to.clone()),
        ("purpose", args.purpose.clone()),
        ("name", args.full_name.clone()),
        ("end", end.transpose()?),
    ];
    let given = given
        .into_iter()
        .map(|(name, one)| (name.to_owned(), one.into_iter().collect()));
    let data = ("data".to_owned(), args.data.clone());
    Ok(given.chain([data]).collect())
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
