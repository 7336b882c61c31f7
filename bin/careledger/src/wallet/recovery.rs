//! `careledger wallet guardians` and `careledger wallet recover`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::command::clerk;
use super::guardians::{Circle, Standing};
use super::{View, Wallet, WalletFolder};
use crate::said::say;

/// The delay in which a wallet can object: 72 hours.
const DELAY_SECONDS: u64 = 72 * 3_600;

#[derive(Debug, Subcommand)]
pub(super) enum GuardiansCommand {
    /// Prints what a guardian gives to the patient whose wallet it shall guard.
    Card { name: String },
    /// Puts the wallet under guard, or under that of others: earlier guardians' shares open nothing any more.
    Set {
        name: String,
        /// The member that keeps what the guardians' shares open.
        #[arg(long)]
        member: String,
        /// How many of them it takes: 2 to 7, and more than half.
        #[arg(long)]
        k: u32,
        /// A guardian's card; once for each.
        #[arg(long = "card", required = true)]
        cards: Vec<PathBuf>,
        /// How long the wallet can object to a recovery.
        #[arg(long, default_value_t = DELAY_SECONDS)]
        delay_seconds: u64,
    },
    /// Shows how things stand.
    Show {
        name: String,
        #[arg(long)]
        member: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RecoverCommand {
    /// Asks for a patient's wallet, for this new one.
    Request(Through),
    /// Approves, as a guardian. Make sure by other means of who asks.
    Approve(Through),
    /// Ends a recovery: the wallet is not lost.
    Object {
        name: String,
        #[arg(long)]
        member: String,
    },
    /// Takes the root over once the delay has passed and enough guardians have approved.
    Finish(Finish),
    /// Has another member where the patient is enrolled take the recovered wallet.
    Elsewhere {
        name: String,
        #[arg(long)]
        member: String,
        /// The patient's id there.
        #[arg(long)]
        patient: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Finish {
    #[command(flatten)]
    through: Through,
    /// How long to wait for that.
    #[arg(long, default_value_t = 0)]
    wait_seconds: u64,
    /// Another member where the patient is enrolled, and the patient's id there; once for each.
    #[arg(long, value_name = "MEMBER=PATIENT", value_parser = enrolled_at)]
    also: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct Through {
    name: String,
    /// The member that keeps what the guardians' shares open.
    #[arg(long)]
    member: String,
    /// The patient's id there.
    #[arg(long)]
    patient: String,
    /// The credential of a system of the member that may enrol patients.
    #[arg(long)]
    credential: PathBuf,
}

pub(super) async fn guardians(
    view: &View,
    folder: &WalletFolder,
    command: GuardiansCommand,
) -> anyhow::Result<()> {
    match command {
        GuardiansCommand::Card { name } => {
            let card = folder.wallet(&name)?.card();
            say(&serde_json::to_string_pretty(&card)?)
        }
        GuardiansCommand::Set {
            name,
            member,
            k,
            cards,
            delay_seconds,
        } => {
            let circle = Circle {
                member: &member,
                k,
                cards: &cards,
                delay: Duration::from_secs(delay_seconds),
            };
            let mut wallet = folder.wallet(&name)?;
            wallet.set_guardians(view, &circle).await?;
            folder.save(&wallet)?;
            say(&format!(
                "{k} of {} guardians can give the wallet back, at {member}",
                cards.len()
            ))
        }
        GuardiansCommand::Show { name, member } => {
            let wallet = folder.wallet(&name)?;
            let through = wallet.client(view, &member)?;
            let standing = Standing::read(&through, wallet.patient_at(&member)?).await?;
            say(&standing.said())
        }
    }
}

pub(super) async fn recover(
    view: &View,
    folder: &WalletFolder,
    command: RecoverCommand,
) -> anyhow::Result<()> {
    match command {
        RecoverCommand::Request(args) => {
            let through = clerk(view, &args.credential)?;
            let wallet = folder.wallet(&args.name)?;
            wallet.ask_recovery(view, (&through, &args.patient)).await?;
            let standing = Standing::read(&through, &args.patient).await?;
            say(&standing.said())
        }
        RecoverCommand::Approve(args) => {
            let through = clerk(view, &args.credential)?;
            let wallet = folder.wallet(&args.name)?;
            wallet
                .approve_recovery(view, (&through, &args.patient))
                .await?;
            let standing = Standing::read(&through, &args.patient).await?;
            say(&standing.said())
        }
        RecoverCommand::Object { name, member } => {
            folder.wallet(&name)?.object(view, &member).await?;
            say("the recovery is ended")
        }
        RecoverCommand::Finish(args) => finish(view, folder, args).await,
        RecoverCommand::Elsewhere {
            name,
            member,
            patient,
        } => {
            let mut wallet = folder.wallet(&name)?;
            elsewhere(view, folder, &mut wallet, (&member, &patient)).await
        }
    }
}

async fn finish(view: &View, folder: &WalletFolder, finish: Finish) -> anyhow::Result<()> {
    let args = finish.through;
    let through = clerk(view, &args.credential)?;
    let at = (&through, args.patient.as_str());
    let wallet = folder.wallet(&args.name)?;
    let patience = Duration::from_secs(finish.wait_seconds);
    let lineage = wallet.recover(at, patience).await?;
    // Here before the member forgets the lost wallet.
    folder.take_over(&args.name, &lineage)?;
    wallet.finish_recovery(view, at, &lineage).await?;
    let mut wallet = folder.wallet(&args.name)?;
    let patients = &mut wallet.state.patients;
    patients.insert(args.member.clone(), args.patient);
    folder.save(&wallet)?;
    wallet.learn_epochs(view, &args.member).await?;
    folder.save(&wallet)?;
    wallet.learn_consents(view, &args.member).await?;
    folder.save(&wallet)?;
    for (member, patient) in finish.also {
        elsewhere(view, folder, &mut wallet, (&member, &patient)).await?;
    }
    say("the wallet is recovered: set up guardians anew")
}

async fn elsewhere(
    view: &View,
    folder: &WalletFolder,
    wallet: &mut Wallet,
    (member, patient): (&str, &str),
) -> anyhow::Result<()> {
    let taken = wallet.take_place(view, member, patient).await;
    taken.with_context(|| format!("{member} does not take the wallet: try `recover elsewhere`"))?;
    folder.save(wallet)?;
    say(&format!("{member} takes the wallet for the patient's"))
}

fn enrolled_at(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.ok_or_else(|| "give the member's name, `=` and the patient's id".to_owned())?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
