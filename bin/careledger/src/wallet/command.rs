//! `careledger wallet`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use contracts::consent::template::{Answers, Template};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::{
    DelegateArgs, DisclosuresArgs, EnrollArgs, GrantArgs, RotateArgs, TakeArgs, WalletArgs,
    WalletCommand,
};
use super::life::{self, in_days};
use super::recovery::{guardians, recover};
use super::shown::{history, notices};
use super::take::{Escrow, take};
use super::{Form, Power, View, WalletFolder, rotate_root, share};
use crate::client::{self, Client, User};
use crate::network::{Layout, Passphrase, read_json};
use crate::said::say;

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
