//! `careledger matches`: patients who may be one person, for somebody to decide.

mod described;
mod elsewhere;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};
use elsewhere::Elsewhere;

/// Lists patients who may be one person; links, merges and parts them. Nothing is deleted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger matches list --credential net/clinic/clients/ehr.json\n  \
    careledger matches merge 4f1c 9a20 --preview --credential net/clinic/clients/ehr.json\n  \
    careledger matches dismiss 4f1c 9a20 --reason twins --credential net/clinic/clients/ehr.json\n  \
    careledger matches discover 4f1c --credential net/clinic/clients/ehr.json\n  \
    careledger matches approve 77e0 clinic --reason telephoned --credential net/hospital/clients/ehr.json\n  \
    careledger matches withdraw 77e0 clinic --reason twin --credential net/hospital/clients/ehr.json"
)]
pub(crate) struct MatchesArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system that may read and update patients.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Pairs that somebody should look at, the likeliest first.
    List {
        /// Also those that are linked or dismissed.
        #[arg(long)]
        all: bool,
    },
    /// Notes on both that they may be of one person.
    Link(Pair),
    /// Takes a link back.
    Unlink(Pair),
    /// Merges a patient into another: the first is no longer active and refers to the second.
    Merge(Pair),
    /// Takes a merge back.
    Unmerge(Pair),
    /// Notes that they are two people.
    Dismiss {
        #[command(flatten)]
        pair: Pair,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    #[command(flatten)]
    Elsewhere(Elsewhere),
}

#[derive(Debug, Args)]
struct Pair {
    /// The id of a Patient.
    patient: String,
    /// The id of the other.
    other: String,
    /// Says whether it could be done, and changes nothing.
    #[arg(long)]
    preview: bool,
}

pub(crate) async fn run(args: MatchesArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    // Another member's patient has agreed to care, not to what is good for this one's files.
    let purpose = match &args.action {
        Action::Elsewhere(Elsewhere::Discover { .. }) => "TREAT",
        _ => "HOPERAT",
    };
    let user = User {
        purpose: purpose.to_owned(),
        practitioner: None,
        role: None,
    };
    let client = Client::of_system(&client::http()?, &credential, user, "system/Patient.rus")?;
    let mut out = std::io::stdout();
    match args.action {
        Action::List { all } => {
            let path = format!("Patient/$possible-matches?all={all}");
            let answer = client.get(&path).await?.ok()?.json()?;
            let pairs = answer["parameter"].as_array().cloned().unwrap_or_default();
            for pair in &pairs {
                writeln!(out, "{}", described::pair(&pair["part"]))?;
            }
            writeln!(out, "{} pairs", pairs.len())?;
        }
        Action::Link(pair) => client.change("$link", ["patient", "other"], &pair).await?,
        Action::Unlink(pair) => {
            client
                .change("$unlink", ["patient", "other"], &pair)
                .await?
        }
        Action::Merge(pair) => client.change("$merge", MERGED, &pair).await?,
        Action::Unmerge(pair) => client.change("$unmerge", MERGED, &pair).await?,
        Action::Dismiss { pair, reason } => {
            let mut parameters = pair.parameters(["patient", "other"]);
            parameters.push(json!({ "name": "reason", "valueString": reason }));
            let body = json!({ "resourceType": "Parameters", "parameter": parameters });
            let path = "Patient/$dismiss-match";
            client.post(path, &Request::json(&body)).await?.ok()?;
            writeln!(out, "the pair is dismissed")?;
        }
        Action::Elsewhere(action) => elsewhere::run(&client, action).await?,
    }
    Ok(())
}

const MERGED: [&str; 2] = ["source-patient", "target-patient"];

impl Client {
    async fn change(&self, operation: &str, names: [&str; 2], pair: &Pair) -> anyhow::Result<()> {
        let mut parameters = pair.parameters(names);
        parameters.push(json!({ "name": "preview", "valueBoolean": pair.preview }));
        let body = json!({ "resourceType": "Parameters", "parameter": parameters });
        let path = format!("Patient/{operation}");
        let answer = self
            .post(&path, &Request::json(&body))
            .await?
            .ok()?
            .json()?;
        let said = answer.pointer("/parameter/0/resource/issue/0/diagnostics");
        let said = said.and_then(Value::as_str).unwrap_or_default();
        writeln!(std::io::stdout(), "{said}")?;
        Ok(())
    }
}

impl Pair {
    fn parameters(&self, names: [&str; 2]) -> Vec<Value> {
        let ids = names.into_iter().zip([&self.patient, &self.other]);
        ids.map(|(name, id)| {
            json!({ "name": name, "valueReference": { "reference": format!("Patient/{id}") } })
        })
        .collect()
    }
}
