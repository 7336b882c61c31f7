//! `careledger receipt`: a version of a record with the proof that it is on the ledger.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use contracts::export::Export;

use crate::client::{self, Client, User};
use crate::network::{Credential, read_json};

const ATTEMPTS: u32 = 60;

/// Fetches a record with its receipt into a file that `careledger-verify export` checks offline.
///
/// With `--transparent`, the file has no content: it is the signed statement on the log with the members' COSE
/// Receipts, for `careledger-verify receipt` or any SCITT library.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger receipt --credential net/clinic/clients/ehr.json \
Observation/4711 --out result.export\n  \
    careledger-verify export result.export --genesis net/genesis.cbor"
)]
pub(crate) struct ReceiptArgs {
    /// The credential of a system that may read the record.
    #[arg(long)]
    credential: PathBuf,
    /// The record: Type/ID, or Type/ID/_history/VERSION.
    record: String,
    #[arg(long)]
    out: PathBuf,
    /// Write a transparent statement (RFC 9943) instead.
    #[arg(long)]
    transparent: bool,
}

pub(crate) async fn run(args: ReceiptArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "TREAT".to_owned(),
        practitioner: None,
        role: None,
    };
    let client = Client::of_system(&client::http()?, &credential, user, "system/*.rs")?;
    let bytes = if args.transparent {
        fetch_transparent(&client, &args.record).await?
    } else {
        fetch(&client, &args.record).await?
    };
    fs::write(&args.out, bytes)
        .with_context(|| format!("{} cannot be written", args.out.display()))?;
    writeln!(
        std::io::stdout(),
        "{} is in {}",
        args.record,
        args.out.display()
    )?;
    Ok(())
}

/// The export of a record, once it is final.
pub(crate) async fn fetch(client: &Client, record: &str) -> anyhow::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        let answer = client.get(&format!("{record}/$receipt")).await?.ok()?;
        if answer.status() == 200 {
            return Ok(answer.bytes().to_vec());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    anyhow::bail!("the record is stored but not final yet: are enough members up?")
}

/// The statement that recorded a version, once a quorum of members has given receipts.
pub(crate) async fn fetch_transparent(client: &Client, record: &str) -> anyhow::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        let export = Export::decode(&fetch(client, record).await?)?;
        if let Some(statement) = export.receipt.transparent_statement() {
            return Ok(statement);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    anyhow::bail!("the record is final, but too few members have given receipts: are enough up?")
}
