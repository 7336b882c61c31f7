//! `careledger keys`: what keys a node has, whether they are sound, and their rotation.

mod ceremony;
mod check;
mod public;
mod rotate;
mod serve;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use vault::keystore::{KeyPlace, KeyStore, SecretKind};

use crate::network::NodeFile;
use crate::node::open_keys;

pub(crate) use serve::{exchange_names, open_with_any, serve, token_keys};

const EXAMPLES: &str = "\
Examples:
  careledger keys show --config net/clinic/node.toml
  careledger keys check --config net/clinic/node.toml
  careledger keys rotate wrapping --config net/clinic/node.toml
  careledger keys rotate tokens --config net/clinic/node.toml --at-once
  careledger keys rotate node --config net/clinic/node.toml --revoke-others
  careledger keys export-public --config net/clinic/node.toml
  careledger keys ceremony --config net/clinic/node.toml --module /usr/lib/softhsm/libsofthsm2.so \\
    --token clinic --so-pin-file so-pin --pin-file pin --participant 'A. Officer' --transcript ceremony.json";

/// Shows, checks and rotates the keys of a node, and puts them into a token.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Lists the keys: name, kind, where, age, public part. No secret is shown.
    Show(Of),
    /// Uses each key once, and looks at its age and at who may read the files; fails if something is wrong.
    Check(Of),
    /// Prints the public parts and certificates as JSON, for others to keep.
    ExportPublic(Of),
    /// Makes a token's keys, with a transcript for those present to sign.
    Ceremony(ceremony::CeremonyArgs),
    /// Replaces a key while the node serves.
    #[command(subcommand)]
    Rotate(rotate::Rotate),
}

/// Whose keys.
#[derive(Debug, Args)]
struct Of {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A node's folder, configuration and keys.
struct Opened {
    file: NodeFile,
    folder: PathBuf,
    keys: Arc<dyn KeyStore>,
}

pub(crate) async fn run(args: KeysArgs) -> anyhow::Result<()> {
    match args.task {
        Task::Show(of) => show::run(&Opened::read(&of.config)?, of.json),
        Task::Check(of) => check::run(&Opened::read(&of.config)?, of.json),
        Task::ExportPublic(of) => public::run(&Opened::read(&of.config)?),
        Task::Ceremony(args) => ceremony::run(&args),
        Task::Rotate(what) => rotate::run(what).await,
    }
}

impl Opened {
    fn read(config: &Path) -> anyhow::Result<Self> {
        let file = NodeFile::read(config)?;
        let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
        let keys = open_keys(&file, &folder)?;
        Ok(Self { file, folder, keys })
    }
}

fn kind(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Signing => "ed25519",
        SecretKind::SigningP256 => "p256",
        SecretKind::Agreement => "x25519",
        SecretKind::Cosigning => "ml-dsa-44",
        SecretKind::Symmetric => "symmetric",
    }
}

fn place(place: KeyPlace) -> &'static str {
    match place {
        KeyPlace::File => "file",
        KeyPlace::Token { is_confined: true } => "token",
        KeyPlace::Token { is_confined: false } => "token, not confined to it",
    }
}
