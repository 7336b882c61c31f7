//! `careledger messages`: what became of messages of HL7 v2, and what an operator does with those that were not filed.

mod beside;
mod import;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

/// Shows messages of HL7 v2 that wait or were not filed, files them again, and puts them away.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger messages list --credential net/hospital/clients/integrator.json\n  \
                  careledger messages retry 17 --file corrected.hl7 --credential net/hospital/clients/integrator.json"
)]
pub(crate) struct MessagesArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system with the scope careledger/messages.
    #[arg(long, global = true, default_value = "clients/integrator.json")]
    credential: PathBuf,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Messages that wait and dead letters, without their content.
    List {
        /// Those in this state instead.
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// A message beside what it becomes, or what is wrong with it; that you saw it goes into the audit log.
    Show {
        /// Its number, as `list` shows it.
        number: u64,
        /// Each segment, field by field, with what it becomes beside it.
        #[arg(long)]
        segments: bool,
    },
    /// What is wrong with dead letters, by sender.
    Errors,
    /// Takes in a batch file, or messages one after the other; what was taken in before is answered as it was then.
    Import {
        file: PathBuf,
        /// The listener as whose messages they are taken: its name in node.toml.
        #[arg(long, default_value = "v2")]
        listener: String,
    },
    /// Files a dead letter once more.
    Retry {
        /// Its number.
        number: u64,
        /// An edited message to file in its place; the original is kept beside it.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Puts a dead letter away for good.
    Discard {
        /// Its number.
        number: u64,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Waiting,
    Filed,
    Dead,
    Discarded,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Filed => "filed",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

pub(crate) async fn run(args: MessagesArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: None,
        role: None,
    };
    let http = client::http()?;
    let client = Client::of_system(&http, &credential, user, "careledger/messages")?;
    let answer = match &args.action {
        Action::List { state: None } => client.get("$v2-messages").await?,
        Action::List { state: Some(state) } => {
            let path = format!("$v2-messages?state={}", state.name());
            client.get(&path).await?
        }
        Action::Show { number, .. } => client.get(&format!("$v2-message?number={number}")).await?,
        Action::Errors => client.get("$v2-errors").await?,
        Action::Import { file, listener } => {
            return import::run(&client, file, listener, args.json).await;
        }
        Action::Retry { number, file } => {
            let edited = file.as_ref().map(|path| {
                let text = std::fs::read(path);
                text.with_context(|| format!("{} cannot be read", path.display()))
            });
            let request = Request {
                body: edited.transpose()?.unwrap_or_default(),
                headers: Vec::new(),
            };
            let path = format!("$v2-retry?number={number}");
            client.post(&path, &request).await?
        }
        Action::Discard { number } => {
            let path = format!("$v2-discard?number={number}");
            client.post(&path, &Request::default()).await?
        }
    };
    let answer = answer.ok()?.json()?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let shown = match &args.action {
        Action::Show { segments: true, .. } => beside::lines(&answer),
        _ => lines(&answer),
    };
    for line in shown {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn lines(answer: &Value) -> Vec<String> {
    if answer["resourceType"] == "OperationOutcome" {
        return vec![string(&answer["issue"][0]["diagnostics"])];
    }
    let parameters = answer["parameter"].as_array().into_iter().flatten();
    let lines: Vec<String> = parameters.flat_map(parameter).collect();
    if lines.is_empty() {
        return vec!["none".to_owned()];
    }
    lines
}

fn parameter(one: &Value) -> Vec<String> {
    let name = one["name"].as_str().unwrap_or_default();
    match name {
        "message" => message(one),
        "original" | "edited" => {
            let text = string(&one["valueString"]);
            let segments = text.split(['\r', '\n']).filter(|line| !line.is_empty());
            let segments = segments.map(|segment| format!("    {segment}"));
            std::iter::once(format!("  {name}:"))
                .chain(segments)
                .collect()
        }
        "becomes" => becomes(&one["resource"]),
        // They stand in the original.
        "segment" => Vec::new(),
        "sender" => sender(one),
        _ => vec![format!("  {name}: {}", string(&one["valueString"]))],
    }
}

/// One line, and one for each thing that is wrong.
fn message(one: &Value) -> Vec<String> {
    let parts: Vec<&Value> = one["part"].as_array().into_iter().flatten().collect();
    let said = |name: &str| {
        let part = parts.iter().find(|part| part["name"] == name);
        let values = ["valueString", "valueCode", "valueInstant"];
        let value = part.and_then(|part| values.iter().find_map(|value| part.get(value)));
        value.map(string).unwrap_or_default()
    };
    let names = [
        "number",
        "state",
        "received",
        "listener",
        "application",
        "facility",
        "kind",
        "control-id",
    ];
    let words: Vec<String> = names
        .map(said)
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    let mut lines = vec![words.join("  ")];
    for part in parts
        .iter()
        .filter(|part| part["name"] == "reason" || part["name"] == "filed")
    {
        lines.push(format!(
            "  {}: {}",
            string(&part["name"]),
            string(&part["valueString"])
        ));
    }
    lines
}

/// A sender, and what is wrong with its messages, the most frequent first.
fn sender(one: &Value) -> Vec<String> {
    let parts: Vec<&Value> = one["part"].as_array().into_iter().flatten().collect();
    let names = ["listener", "application", "facility"];
    let named = parts
        .iter()
        .filter(|part| names.iter().any(|name| part["name"] == *name));
    let words: Vec<String> = named.map(|part| string(&part["valueString"])).collect();
    let count = parts.iter().find(|part| part["name"] == "messages");
    let count = count.map_or(0, |part| part["valueUnsignedInt"].as_u64().unwrap_or(0));
    let errors = parts.iter().filter(|part| part["name"] == "error");
    let errors = errors.map(|error| {
        let (reason, times) = (&error["part"][0], &error["part"][1]);
        let reason = string(&reason["valueString"]);
        format!("  {}  {reason}", times["valueUnsignedInt"])
    });
    std::iter::once(format!("{}: {count} dead letters", words.join("  ")))
        .chain(errors)
        .collect()
}

/// The resources that a message becomes, one line each.
fn becomes(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let lines = entries.map(|entry| {
        let request = &entry["request"];
        let (method, url) = (string(&request["method"]), string(&request["url"]));
        format!("    {method} {url}\n      {}", entry["resource"])
    });
    std::iter::once("  becomes:".to_owned())
        .chain(lines)
        .collect()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
