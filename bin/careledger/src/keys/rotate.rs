//! Rotations. A running node does its own: a file in its folder is the request, another tells how far it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::serve::{EXCHANGE_SECONDS, Request, Told, ask, told};
use crate::governance;
use crate::network::{KeyType, NodeFile};
use crate::progress;

const POLL: Duration = Duration::from_millis(300);
/// How long a running node takes at most to see the request.
const TAKEN: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(super) enum Rotate {
    /// A new key and certificate of the node, registered on the ledger; the node takes it up by itself.
    Node {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Sends the statement to this node instead, such as `http://127.0.0.1:8101`.
        #[arg(long)]
        through: Option<String>,
        /// The kind of the new key.
        #[arg(long, value_enum, default_value_t)]
        key_type: KeyType,
        /// Revokes all other certificates of the member, and destroys their keys here: they were stolen.
        #[arg(long)]
        revoke_others: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// A wrapping key of a new epoch: erase keys are wrapped anew in the background, payloads are not touched.
    Wrapping(Running),
    /// A new key for access tokens; what the one before signed is good until it expires.
    Tokens {
        #[command(flatten)]
        running: Running,
        /// Destroys the older keys at once: they were stolen. Everybody signs in again.
        #[arg(long)]
        at_once: bool,
    },
    /// A new key to which wallets seal the keys that they bring; what was sealed to the one before is opened for an hour.
    Exchange {
        #[command(flatten)]
        running: Running,
        /// Destroys the older keys at once: they were stolen. A wallet that was just about to enrol tries again.
        #[arg(long)]
        at_once: bool,
    },
}

/// A node that runs, or will.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Does not wait until it is done.
    #[arg(long)]
    no_wait: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(what: Rotate) -> anyhow::Result<()> {
    match what {
        Rotate::Node {
            config,
            through,
            key_type,
            revoke_others,
            json,
        } => {
            let by = governance::By::new(config, through, json);
            governance::renew(&by, key_type, revoke_others).await
        }
        Rotate::Wrapping(running) => {
            let data = data(&running.config)?;
            ask(&data, &Request::Wrapping)?;
            until_taken(&data).await?;
            if running.no_wait {
                return Ok(());
            }
            until_wrapped(&data, running.json).await
        }
        Rotate::Tokens { running, at_once } => {
            let data = data(&running.config)?;
            ask(&data, &Request::Tokens { at_once })?;
            until_taken(&data).await?;
            let told = sound(told(&data)?)?;
            say(
                running.json,
                &told,
                &format!("token keys: {}", told.tokens.join(", ")),
            )
        }
        Rotate::Exchange { running, at_once } => {
            let data = data(&running.config)?;
            ask(&data, &Request::Exchange { at_once })?;
            until_taken(&data).await?;
            let told = sound(told(&data)?)?;
            let names = told.exchange.join(", ");
            let line = match told.exchange.len() {
                0 | 1 => format!("exchange key: {names}"),
                _ => format!(
                    "exchange keys: {names}; the older are destroyed {} minutes after the newest was made",
                    EXCHANGE_SECONDS / 60
                ),
            };
            say(running.json, &told, &line)
        }
    }
}

fn data(config: &Path) -> anyhow::Result<PathBuf> {
    let file = NodeFile::read(config)?;
    Ok(config.parent().unwrap_or(Path::new(".")).join(&file.data))
}

async fn until_taken(data: &Path) -> anyhow::Result<()> {
    let taken = async {
        while super::serve::is_asked(data) {
            tokio::time::sleep(POLL).await;
        }
    };
    let outcome = tokio::time::timeout(TAKEN, taken).await;
    outcome.context("the node does not take the request: is it running? It will when it starts")
}

async fn until_wrapped(data: &Path, as_json: bool) -> anyhow::Result<()> {
    let bar = progress::bar(0, "erase keys");
    loop {
        let told = sound(told(data)?)?;
        bar.set_length(told.keys.max(told.done));
        bar.set_position(told.done);
        if told.is_complete {
            bar.finish_and_clear();
            let line = format!(
                "all erase keys are under the wrapping key of epoch {}",
                told.epoch
            );
            return say(as_json, &told, &line);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn sound(told: Told) -> anyhow::Result<Told> {
    match told.refused {
        Some(reason) => anyhow::bail!("the node refuses: {reason}"),
        None => Ok(told),
    }
}

fn say(as_json: bool, told: &Told, line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let said = json!({
            "wrappingEpoch": told.epoch, "isComplete": told.is_complete, "tokenKeys": told.tokens,
            "exchangeKeys": told.exchange,
        });
        writeln!(out, "{said}")?;
    } else {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
