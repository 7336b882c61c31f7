//! `careledger users`: accounts of people who sign in at a node, in the file that its configuration names.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use gateway::auth::{Account, check_account, hash_password, parse_accounts};
use zeroize::Zeroizing;

use crate::network::{NodeFile, write_secret};

/// Adds, lists and removes accounts of people who sign in at a node.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger users --config net/clinic/node.toml add alice --name 'Alice Adams' \\\n    \
    --practitioner Practitioner/7 --role physician < password\n  careledger users --config net/clinic/node.toml list"
)]
pub(crate) struct UsersArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds an account, or replaces it; its password is the first line of standard input.
    Add(AddArgs),
    /// Lists the accounts.
    List,
    /// Removes an account; its refresh tokens are worth nothing from then on.
    Remove {
        /// The name with which one signs in.
        user: String,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The name with which one signs in.
    user: String,
    /// What pages show.
    #[arg(long)]
    name: String,
    /// The practitioner who it is, as Practitioner/ID.
    #[arg(long, required_unless_present_any = ["patient", "related"], conflicts_with_all = ["patient", "related"])]
    practitioner: Option<String>,
    /// The practitioner's role.
    #[arg(long, requires = "practitioner")]
    role: Option<String>,
    /// The patient who it is, by the local id.
    #[arg(long, conflicts_with = "related")]
    patient: Option<String>,
    /// As whom somebody acts in the place of patients, as RelatedPerson/ID; may be there several times.
    #[arg(long)]
    related: Vec<String>,
}

pub(crate) fn run(args: &UsersArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let named = file.accounts.context(
        "the configuration names no file of accounts: put `accounts = \"accounts.toml\"` in it, above the first `[`",
    )?;
    let path = folder.join(named);
    match &args.command {
        Command::List => list(&read(&path)?),
        Command::Add(add) => put(&path, &add.user, account(add, &password()?)?),
        Command::Remove { user } => {
            let mut accounts = read(&path)?;
            let removed = accounts.remove(user);
            removed.with_context(|| format!("there is no account `{user}`"))?;
            write(&path, &accounts)
        }
    }
}

/// Puts an account into the file at `path`.
pub(crate) fn put(path: &Path, user: &str, account: Account) -> anyhow::Result<()> {
    check_account(user, &account)?;
    let mut accounts = read(path)?;
    accounts.insert(user.to_owned(), account);
    write(path, &accounts)
}

/// The accounts of a file; none without it.
pub(crate) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Account>> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(parse_accounts(&text)?)
}

fn account(add: &AddArgs, password: &str) -> anyhow::Result<Account> {
    Ok(Account {
        name: add.name.clone(),
        password: hash_password(password)?,
        practitioner: add.practitioner.clone(),
        role: add.role.clone(),
        patient: add.patient.clone(),
        related: add.related.clone(),
    })
}

fn password() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Zeroizing::new(
        line.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

fn list(accounts: &BTreeMap<String, Account>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (user, account) in accounts {
        let patient = account.patient.as_ref().map(|id| format!("Patient/{id}"));
        let person = patient.or_else(|| account.practitioner.clone());
        let role = account.role.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{user}\t{}\t{}\t{role}",
            account.name,
            person.unwrap_or_default()
        )?;
    }
    Ok(())
}

/// In one step: a node that reads meanwhile sees the accounts before or after.
fn write(path: &Path, accounts: &BTreeMap<String, Account>) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    if beside.exists() {
        fs::remove_file(&beside)?;
    }
    write_secret(&beside, toml::to_string(accounts)?.as_bytes())?;
    fs::rename(&beside, path).with_context(|| format!("{} cannot be replaced", path.display()))
}
