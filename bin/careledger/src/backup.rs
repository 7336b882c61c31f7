//! `careledger backup` and `careledger restore`: a node's folder, kept and put back.
//!
//! A backup holds no passphrase, no keys of the records, which have a file of their own, and none of the validator's votes: a validator that was put back must not sign with a key
//! whose later votes it does not remember, so it gets new keys.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ::node::custody::{put_keys, take_keys};
use anyhow::Context as _;
use clap::Args;
use ledger::ids::Digest;
use serde::{Deserialize, Serialize};
use vault::keystore::{KeyStore, SecretName};

use crate::governance::generate_validator;
use crate::network::{NodeFile, read_json, write_secret};
use crate::node::open_keys;
use crate::progress;

const MANIFEST: &str = "manifest.json";
/// What the validator has voted: of no use in a backup.
const ENGINE: &str = "engine";

/// Copies what a node needs to be put back. The node must not run.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger backup --config net/clinic/node.toml --out /backup/clinic-1\n\n\
    The passphrase of the key file is not in it: keep it elsewhere."
)]
pub(crate) struct BackupArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// The folder to make; it must not be there.
    #[arg(long)]
    out: PathBuf,
    /// Where the keys of the records go, in the place of those that are there: `OUT.keys` unless it is said. Keep it apart from
    /// backups, and the newest alone: it opens all earlier backups, but for what was erased since.
    #[arg(long)]
    keys: Option<PathBuf>,
}

/// Puts a backup back in place of a node's folder, which must have no data.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger restore --from /backup/clinic-1 --into net/clinic\n  \
    careledger governance rotate-validator --config net/clinic/node.toml --through http://127.0.0.1:8102\n  \
    careledger node --config net/clinic/node.toml"
)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long)]
    from: PathBuf,
    /// The node's folder.
    #[arg(long)]
    into: PathBuf,
    /// The keys of the records, of this backup or a later one: `FROM.keys` unless it is said.
    #[arg(long)]
    keys: Option<PathBuf>,
}

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    member: String,
    files: Vec<Entry>,
    /// Whether the keys of the records are in a file of their own.
    #[serde(default)]
    keys_apart: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let _stopped = hold(&folder.join(&file.data))?;
    let schema = file.records.schema().map(str::to_owned);
    fs::create_dir_all(args.out.parent().unwrap_or(Path::new(".")))?;
    fs::create_dir(&args.out).with_context(|| format!("{}", args.out.display()))?;
    let mut paths = vec![PathBuf::from("node.toml")];
    paths.extend(file.keys.files());
    for inner in ["certificates", "clients"] {
        list(folder, Path::new(inner), &mut paths)?;
    }
    list(folder, &file.data, &mut paths)?;
    let engine = file.data.join(ENGINE);
    paths.retain(|path| !path.starts_with(&engine));
    let bar = progress::bar(paths.len(), "files");
    for path in paths {
        copy(folder, &args.out, &path)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let keys_apart = schema.is_none() && part_keys(args, &file)?;
    let mut paths = Vec::new();
    list(&args.out, Path::new(""), &mut paths)?;
    let files = paths.into_iter().map(|path| described(&args.out, path));
    let manifest = Manifest {
        files: files.collect::<anyhow::Result<_>>()?,
        member: file.member,
        keys_apart,
    };
    let text = serde_json::to_string_pretty(&manifest)?;
    fs::write(args.out.join(MANIFEST), text)?;
    let bytes: u64 = manifest.files.iter().map(|entry| entry.bytes).sum();
    let count = manifest.files.len();
    let out = args.out.display();
    writeln!(
        std::io::stdout(),
        "{count} files, {bytes} bytes, are in {out}"
    )?;
    if let Some(schema) = schema {
        writeln!(
            std::io::stdout(),
            "The records are not among them. While the node is stopped, have PostgreSQL write them beside it:\n  \
             pg_dump --format=custom --schema={schema} --exclude-table-data={schema}.erase_keys --file={out}.records DATABASE\n\
             Their keys go into one file that each backup replaces:\n  \
             pg_dump --format=custom --data-only --table={schema}.erase_keys --file=newest.keys DATABASE"
        )?;
    }
    Ok(())
}

/// Takes the keys of the records out of the copy, so that it opens nothing that is erased later.
fn part_keys(args: &BackupArgs, file: &NodeFile) -> anyhow::Result<bool> {
    let records = args.out.join(&file.data).join("records");
    if !records.exists() {
        return Ok(false);
    }
    let keys = take_keys(&records)?;
    let place = keys_of(args.keys.as_deref(), &args.out);
    let fresh = place.with_extension("fresh");
    write_secret(&fresh, &keys)?;
    fs::rename(&fresh, &place)?;
    let place = place.display();
    writeln!(
        std::io::stdout(),
        "the keys of the records are in {place}: keep it elsewhere"
    )?;
    Ok(true)
}

/// Where the keys of a backup's records are.
fn keys_of(said: Option<&Path>, backup: &Path) -> PathBuf {
    said.map_or_else(|| backup.with_extension("keys"), Path::to_owned)
}

pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let manifest: Manifest = read_json(&args.from.join(MANIFEST))?;
    let file = NodeFile::read(&args.from.join("node.toml"))?;
    let data = args.into.join(&file.data);
    let is_empty = fs::read_dir(&data).map_or(true, |mut entries| entries.next().is_none());
    anyhow::ensure!(
        is_empty,
        "{} is not empty: move it away first",
        data.display()
    );
    let bar = progress::bar(manifest.files.len(), "files");
    for entry in &manifest.files {
        let bytes = fs::read(args.from.join(&entry.path))
            .with_context(|| format!("{} is missing from the backup", entry.path.display()))?;
        anyhow::ensure!(
            Digest::of(&bytes).to_string() == entry.sha256,
            "{} is not what was backed up",
            entry.path.display()
        );
        bar.inc(1);
    }
    for entry in &manifest.files {
        copy(&args.from, &args.into, &entry.path)?;
    }
    bar.finish_and_clear();
    if manifest.keys_apart {
        let place = keys_of(args.keys.as_deref(), &args.from);
        let keys = fs::read(&place);
        let keys = keys.with_context(|| format!("the keys of the records, {}", place.display()))?;
        put_keys(&data.join("records"), &keys)?;
    }
    // What was erased after the backup goes again before anybody reads.
    fs::write(::node::restored_in(&data), b"")?;
    let keys =
        open_keys(&file, &args.into).context("put the passphrase file back, and try again")?;
    renew_validator(&*keys)?;
    let config = args.into.join("node.toml");
    let (member, config) = (&manifest.member, config.display());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{member} is back, as of the backup. Its validator has new keys; next:"
    )?;
    if file.records.schema().is_some() {
        let from = args.from.display();
        writeln!(out, "  pg_restore --dbname=DATABASE {from}.records")?;
    }
    writeln!(
        out,
        "  careledger governance rotate-validator --config {config} --through URL-OF-ANOTHER-MEMBER"
    )?;
    writeln!(out, "  careledger node --config {config}")?;
    Ok(())
}

/// New keys; those from before the backup are destroyed.
fn renew_validator(keys: &dyn KeyStore) -> anyhow::Result<()> {
    let names = keys.names();
    let old = names.iter().filter_map(SecretName::validator_number);
    let old: Vec<u32> = old.collect();
    generate_validator(keys)?;
    for number in old {
        for name in [
            SecretName::validator_of(number),
            SecretName::cosigner_of(number),
        ] {
            if keys.contains(&name) {
                keys.destroy(&name)?;
            }
        }
    }
    Ok(())
}

/// Keeps the node from starting; fails while it runs.
pub(crate) fn hold(data: &Path) -> anyhow::Result<Option<File>> {
    let Ok(lock) = File::open(data.join(ENGINE).join("lock")) else {
        return Ok(None);
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => anyhow::bail!("the node runs: stop it first"),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The files under `inner`, relative to `folder`, in order.
fn list(folder: &Path, inner: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder.join(inner)) else {
        return Ok(());
    };
    let mut names = entries
        .map(|entry| Ok(inner.join(entry?.file_name())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    names.sort_unstable();
    for name in names {
        if folder.join(&name).is_dir() {
            list(folder, &name, paths)?;
        } else {
            paths.push(name);
        }
    }
    Ok(())
}

/// A file of the backup as the manifest has it.
fn described(folder: &Path, path: PathBuf) -> anyhow::Result<Entry> {
    let bytes = fs::read(folder.join(&path)).with_context(|| format!("{}", path.display()))?;
    Ok(Entry {
        bytes: u64::try_from(bytes.len())?,
        sha256: Digest::of(&bytes).to_string(),
        path,
    })
}

fn copy(from: &Path, to: &Path, path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(from.join(path)).with_context(|| format!("{}", path.display()))?;
    let target = to.join(path);
    fs::create_dir_all(target.parent().unwrap_or(to))?;
    let mut file = File::create(&target)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    if fs::metadata(from.join(path))?.permissions() != file.metadata()?.permissions() {
        file.set_permissions(fs::metadata(from.join(path))?.permissions())?;
    }
    Ok(())
}
