//! `careledger subscriptions`: what an operator sees of notifications, and sends again.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

/// Shows subscriptions and what could not be delivered, and sends it again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger subscriptions dead-letters --credential net/clinic/clients/ehr.json"
)]
pub(crate) struct SubscriptionsArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system that may update everything.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The system's own subscriptions.
    List,
    /// Events that were given up, of all subscriptions.
    DeadLetters,
    /// Sends the events of a subscription that were given up once more.
    Replay {
        /// The subscription's id.
        id: String,
    },
}

pub(crate) async fn run(args: SubscriptionsArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "TREAT".to_owned(),
        practitioner: None,
        role: None,
    };
    let http = client::http()?;
    let client = Client::of_system(&http, &credential, user, "system/*.cruds")?;
    let answer = match &args.action {
        Action::List => client.get("Subscription").await?,
        Action::DeadLetters => client.get("Subscription/$dead-letters").await?,
        Action::Replay { id } => {
            let path = format!("Subscription/{id}/$replay");
            client.post(&path, &Request::default()).await?
        }
    };
    let answer: Value = serde_json::from_slice(answer.ok()?.bytes())?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    for line in lines(&args.action, &answer) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn lines(action: &Action, answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = |name: &str| {
        let listed = answer.get(name).and_then(Value::as_array);
        listed.cloned().unwrap_or_default()
    };
    let lines: Vec<String> = match action {
        Action::List => listed("entry")
            .iter()
            .map(|entry| {
                let one = &entry["resource"];
                let parts = ["/id", "/status", "/criteria", "/channel/type", "/error"];
                let parts = parts.map(|at| one.pointer(at).map(text).unwrap_or_default());
                parts.join("  ").trim_end().to_owned()
            })
            .collect(),
        Action::DeadLetters => listed("parameter")
            .iter()
            .map(|one| {
                let part = |at: usize, kind: &str| text(&one["part"][at][kind]);
                let subscription = text(&one["part"][0]["valueReference"]["reference"]);
                let (client, number) = (part(1, "valueString"), part(2, "valueString"));
                let (at, error) = (part(3, "valueInstant"), part(4, "valueString"));
                format!("{subscription}  {client}  event {number} of {at}  {error}")
            })
            .collect(),
        Action::Replay { .. } => vec![text(&answer["issue"][0]["diagnostics"])],
    };
    if lines.is_empty() {
        vec!["none".to_owned()]
    } else {
        lines
    }
}
