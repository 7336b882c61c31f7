//! `careledger erase`: records are erased or redacted, and every holder says so.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

const ATTEMPTS: u32 = 60;
const POLL: Duration = Duration::from_millis(500);

/// Erases or redacts records at every holder, and says how far that is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger erase record Observation/4711 --basis gdpr-17 --authority 'the patient' \\\n    \
    --justification 'request of 12 May' --credential net/clinic/clients/privacy.json\n  \
    careledger erase record Patient/12 --basis court-order --authority 'District Court, 12 C 34/26' --justification '…'\n  \
    careledger erase certificate Observation/4711 --out deletion.cbor\n  \
    careledger-verify erasure deletion.cbor --genesis net/genesis.cbor"
)]
pub(crate) struct EraseArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of the privacy officer's system.
    #[arg(long, global = true, default_value = "clients/privacy.json")]
    credential: PathBuf,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Erases a document, some of its versions, or everything of a patient here.
    Record(RecordArgs),
    /// Who has acknowledged the erasures of a document or patient; without one, the erasures that are open.
    Status {
        /// As Type/ID.
        record: Option<String>,
    },
    /// Writes the deletion certificate of a document or patient, for `careledger-verify erasure`.
    Certificate {
        /// As Type/ID.
        record: String,
        #[arg(long)]
        out: PathBuf,
        /// With legal basis, authority and justification in it.
        #[arg(long)]
        grounds: bool,
        /// Waits until every holder has acknowledged.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// As Type/ID.
    record: String,
    /// gdpr-17, court-order, retention-expired, filed-in-error or wrong-patient.
    #[arg(long)]
    basis: String,
    /// Who has the authority, such as a court and its file number.
    #[arg(long)]
    authority: String,
    /// Why.
    #[arg(long)]
    justification: String,
    /// These versions alone.
    #[arg(long = "version", value_name = "NUMBER")]
    versions: Vec<u64>,
    /// It should not have been filed.
    #[arg(long)]
    redaction: bool,
}

pub(crate) async fn run(args: EraseArgs) -> anyhow::Result<()> {
    let client = officer(&read_json(&args.credential)?)?;
    match &args.action {
        Action::Record(record) => {
            let answer = erase(&client, record).await?;
            print(&answer, args.json)
        }
        Action::Status { record } => {
            let path = match record {
                Some(record) => format!("{record}/$erasures"),
                None => "$open-erasures".to_owned(),
            };
            print(&client.get(&path).await?.ok()?.json()?, args.json)
        }
        Action::Certificate {
            record,
            out,
            grounds,
            wait,
        } => {
            if *wait {
                until_acknowledged(&client, record).await?;
            }
            let bytes = certificate(&client, record, *grounds).await?;
            fs::write(out, bytes)
                .with_context(|| format!("{} cannot be written", out.display()))?;
            let out = out.display();
            writeln!(std::io::stdout(), "the certificate is in {out}")?;
            Ok(())
        }
    }
}

/// A privacy officer's system.
pub(crate) fn officer(credential: &Credential) -> anyhow::Result<Client> {
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: None,
        role: Some("privacy-officer".to_owned()),
    };
    Client::of_system(&client::http()?, credential, user, "careledger/erase")
}

async fn erase(client: &Client, args: &RecordArgs) -> anyhow::Result<Value> {
    let mut parameters = vec![
        json!({ "name": "basis", "valueCode": args.basis }),
        json!({ "name": "authority", "valueString": args.authority }),
        json!({ "name": "justification", "valueString": args.justification }),
        json!({ "name": "redaction", "valueBoolean": args.redaction }),
    ];
    let versions = args.versions.iter();
    parameters.extend(versions.map(|one| json!({ "name": "version", "valueUnsignedInt": one })));
    let body = json!({ "resourceType": "Parameters", "parameter": parameters });
    let path = format!("{}/$erase", args.record);
    client
        .post(&path, &Request::json(&body))
        .await?
        .ok()?
        .json()
}

/// Waits until nobody is missing.
pub(crate) async fn until_acknowledged(client: &Client, record: &str) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        let answer = client.get(&format!("{record}/$erasures")).await?.ok()?;
        if answer.status() == 200 {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("not every holder has acknowledged: see `careledger erase status`")
}

/// The deletion certificate, once the erasure is final.
pub(crate) async fn certificate(
    client: &Client,
    record: &str,
    grounds: bool,
) -> anyhow::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        let path = format!("{record}/$erasure-certificate?grounds={grounds}");
        let request = client.get(&path).await?.ok()?;
        if request.status() == 200 {
            return Ok(request.bytes().to_vec());
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("the erasure is not final yet: are enough members up?")
}

fn print(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let erasures = answer["parameter"].as_array();
    let Some(erasures) = erasures else {
        writeln!(out, "none")?;
        return Ok(());
    };
    for erasure in erasures {
        for line in lines(&erasure["part"]) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn lines(parts: &Value) -> Vec<String> {
    let parts = parts.as_array().cloned().unwrap_or_default();
    let named = |name: &'static str| parts.iter().filter(move |one| one["name"] == name);
    let text = |name: &'static str, kind: &str| {
        let value = named(name).next().and_then(|one| one[kind].as_str());
        value.unwrap_or_default().to_owned()
    };
    let what = named("what").next();
    let what = what.and_then(|what| what["valueReference"]["reference"].as_str());
    let what = what.unwrap_or_default();
    let versions: Vec<_> = named("version")
        .filter_map(|one| one["valueString"].as_str())
        .collect();
    let is_final = named("final").any(|one| one["valueBoolean"] == true);
    let mut lines = vec![format!(
        "{what} versions {}  {} {}{}",
        versions.join(", "),
        text("basis", "valueCode"),
        text("at", "valueInstant"),
        if is_final { "" } else { "  not final yet" },
    )];
    lines.extend(named("holder").map(|holder| {
        let part = |name: &str, kind: &str| {
            let parts = holder["part"].as_array();
            let part = parts.into_iter().flatten().find(|one| one["name"] == name);
            part.and_then(|one| one[kind].as_str()).map(str::to_owned)
        };
        let member = part("member", "valueString").unwrap_or_default();
        let said = match (
            part("acknowledged", "valueInstant"),
            part("problem", "valueString"),
        ) {
            (Some(at), _) => format!("acknowledged {at}"),
            (None, Some(problem)) => format!("missing: {problem}"),
            (None, None) => "not asked yet".to_owned(),
        };
        format!("  {member:<12} {said}")
    }));
    lines
}
