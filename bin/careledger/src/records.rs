//! `careledger records`: where a node keeps its records.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ::node::custody::move_records;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::backup::hold;
use crate::network::NodeFile;
use crate::node::{RecordsEntry, records};
use crate::progress;

/// Moves a node's records between its folder and a PostgreSQL server.
#[derive(Debug, Args)]
pub(crate) struct RecordsArgs {
    #[command(subcommand)]
    command: RecordsCommand,
}

#[derive(Debug, Subcommand)]
enum RecordsCommand {
    Move(MoveArgs),
}

/// Copies the records of a stopped node to another place, and compares both.
///
/// Nothing is removed, and the node's configuration stays as it is: change it when this is done.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger records move --config net/hospital/node.toml --to records.toml\n\n\
    records.toml has the table [records] that node.toml gets afterwards, for example:\n  [records]\n  \
    store = \"postgresql\"\n  url = \"postgresql://careledger@db.example.org/careledger?sslmode=verify-full\"\n  \
    password_file = \"database-password\""
)]
struct MoveArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// A file with the table `[records]` of the new place.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// The file that names the new place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPlace {
    records: RecordsEntry,
}

pub(crate) async fn run(args: RecordsArgs) -> anyhow::Result<()> {
    let RecordsCommand::Move(args) = args.command;
    tokio::task::spawn_blocking(move || copy(&args)).await?
}

fn copy(args: &MoveArgs) -> anyhow::Result<()> {
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new("."));
    let _stopped = hold(&folder.join(&file.data))?;
    let shown = args.to.display();
    let text = fs::read_to_string(&args.to).with_context(|| format!("{shown} cannot be read"))?;
    let place: NewPlace = toml::from_str(&text).with_context(|| format!("{shown} is malformed"))?;
    let from = records(&file, folder)?;
    let moved = NodeFile {
        records: place.records,
        ..file
    };
    let to = records(&moved, folder)?;
    let bar = progress::bar(0, "rows");
    let count = move_records(&from, &to, |done, about| {
        bar.set_length(about.max(done));
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let count = count?;
    writeln!(
        std::io::stdout(),
        "{count} rows are in both places, and the same. Put [records] of {shown} into {}, and start the node; what is in \
         the old place can go when it runs.",
        args.config.display()
    )?;
    Ok(())
}
