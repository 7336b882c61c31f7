//! `careledger wallet`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use contracts::consent::template::{Answers, Template};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::life::{self, LifeCommand, in_days};
use super::recovery::{GuardiansCommand, RecoverCommand, guardians, recover};
use super::share::{self, ShareArgs};
use super::shown::{history, notices};
use super::take::{Escrow, take};
use super::{Form, Power, View, WalletFolder, rotate_root};
use crate::audit::Report;
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
    #[command(flatten)]
    Life(LifeCommand),
    /// Has branches go on under new keys, which only members get that may hold them.
    Rotate(RotateArgs),
    /// Shows who asked for what, and checks each entry against the ledger.
    History { name: String },
    /// Shows what members have told the patient, such as of an emergency.
    Notices { name: String },
    /// Asks a member for the accounting of its disclosures.
    Disclosures(DisclosuresArgs),
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
#[command(
    after_help = "Members learn of consents by the keys of `consent/...`: one that is left out of those discloses nothing of the \
    patient any more.\n\nExample:\n  careledger wallet --network net --folder w rotate ada --branch index/clinic --without payer"
)]
struct RotateArgs {
    name: String,
    #[command(flatten)]
    which: Which,
    /// A member that does not get the new keys, whatever consents say; more than once for several.
    #[arg(long)]
    without: Vec<String>,
}

/// What goes on under new keys.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A branch, such as index/clinic; more than once for several.
    #[arg(long)]
    branch: Vec<String>,
    /// All branches that this member writes.
    #[arg(long)]
    member: Option<String>,
    /// All branches of all members where the patient is enrolled.
    #[arg(long)]
    all: bool,
    /// The root itself, which was stolen: members take the key of a new one for the wallet's, and all branches go on under
    /// its keys. Goes on where it was cut off.
    #[arg(long)]
    root: bool,
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

#[derive(Debug, Args)]
struct DisclosuresArgs {
    name: String,
    /// The member that is asked.
    #[arg(long)]
    member: String,
    #[command(flatten)]
    report: Report,
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
        WalletCommand::Life(command) => life::run(&view, &folder, command).await,
        WalletCommand::Rotate(args) => rotate(&view, &folder, args).await,
        WalletCommand::History { name } => history(&view, &folder, &name, args.json).await,
        WalletCommand::Notices { name } => notices(&view, &folder, &name, args.json).await,
        WalletCommand::Disclosures(args) => disclosures(&view, &folder, args).await,
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
    if let Some(member) = &args.to
        && !wallet.state.epochs.is_empty()
        && wallet.state.patients.contains_key(member)
    {
        wallet.share(view, member).await?;
    }
    say(&format!(
        "consent {} is filed through {} and final; `wallet revoke {} {}` withdraws it",
        filed.id, filed.member, args.name, filed.id
    ))
}

async fn rotate(view: &View, folder: &WalletFolder, args: RotateArgs) -> anyhow::Result<()> {
    if args.which.root {
        return root(view, folder, &args).await;
    }
    let mut wallet = folder.wallet(&args.name)?;
    let branches = if args.which.branch.is_empty() {
        wallet.branches_of(args.which.member.as_deref())?
    } else {
        let named = args.which.branch.iter();
        named
            .map(|name| Ok(name.parse()?))
            .collect::<anyhow::Result<_>>()?
    };
    for branch in branches {
        let rotated = wallet.rotate(view, branch, &args.without).await?;
        // A key that was given is never given again for another.
        folder.save(&wallet)?;
        let holders = rotated.holders.join(", ");
        let holders = if holders.is_empty() {
            "nobody else"
        } else {
            &holders
        };
        say(&format!(
            "{} goes on under a new key, which {} and {holders} have",
            rotated.branch.name(),
            rotated.branch.writer(),
        ))?;
    }
    Ok(())
}

async fn root(view: &View, folder: &WalletFolder, args: &RotateArgs) -> anyhow::Result<()> {
    let rotated = rotate_root(view, folder, &args.name, &args.without).await?;
    let how = if rotated.is_resumed {
        "the rotation that was cut off is finished"
    } else {
        "the wallet has a new root"
    };
    let members = rotated.members.join(", ");
    say(&format!(
        "{how}: {members} know its key, and the branches go on under keys of it; the former root opens nothing from now on"
    ))?;
    for member in &rotated.guarded_at {
        say(&format!(
            "guardians at {member} have shares of a former root: set them up anew (`wallet guardians set`)"
        ))?;
    }
    for member in args
        .without
        .iter()
        .filter(|name| !members.contains(name.as_str()))
    {
        say(&format!(
            "{member} still takes the former root's key for the wallet's: do it again without leaving it out"
        ))?;
    }
    Ok(())
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

async fn disclosures(
    view: &View,
    folder: &WalletFolder,
    args: DisclosuresArgs,
) -> anyhow::Result<()> {
    let wallet = folder.wallet(&args.name)?;
    let path = args.report.path(wallet.patient_at(&args.member)?);
    let answer = wallet.client(view, &args.member)?.get(&path).await?.ok()?;
    Ok(std::io::stdout().write_all(answer.bytes())?)
}

pub(super) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
