//! The same person at other members: asking them, and deciding on what they ask.

use std::io::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::described;
use crate::client::{Client, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Elsewhere {
    /// Asks other members whether they know a patient, without sending a name.
    Discover {
        /// The id of the Patient.
        patient: String,
        /// Asks these members alone; otherwise all whose records of the patient are not read yet.
        #[arg(long)]
        member: Vec<String>,
    },
    /// Questions of other members that wait for somebody here.
    Waiting {
        /// Also those that were decided.
        #[arg(long)]
        all: bool,
    },
    /// Lets a member have the keys of a patient's index when it asks again.
    Approve(Decision),
    /// Lets a member have nothing.
    Refuse(Decision),
    /// Takes back what a member was handed: it was another person, or is not to be found from there.
    Withdraw(Decision),
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    /// The id of the Patient here.
    patient: String,
    /// The member that asked.
    member: String,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(client: &Client, action: Elsewhere) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match action {
        Elsewhere::Discover { patient, member } => {
            let members = member.iter();
            let members = members.map(|name| json!({ "name": "member", "valueCode": name }));
            let path = format!("Patient/{patient}/$discover");
            let said = asked(client, &path, members.collect()).await?;
            for one in &said {
                let parts = one["part"].as_array().cloned().unwrap_or_default();
                let of = |at: usize, element: &str| {
                    let value = parts.get(at).and_then(|part| part[element].as_str());
                    value.unwrap_or_default().to_owned()
                };
                let (member, outcome) = (of(0, "valueCode"), of(1, "valueCode"));
                writeln!(out, "{member:<16} {outcome:<13} {}", of(2, "valueString"))?;
            }
            writeln!(out, "{} members asked", said.len())?;
        }
        Elsewhere::Waiting { all } => {
            let path = format!("Patient/$waiting-links?all={all}");
            let answer = client.get(&path).await?.ok()?.json()?;
            let waiting = answer["parameter"].as_array().cloned().unwrap_or_default();
            for one in &waiting {
                writeln!(out, "{}", waits(&one["part"]))?;
            }
            writeln!(out, "{} questions", waiting.len())?;
        }
        Elsewhere::Approve(decision) => {
            decide(client, "$approve-link", &decision).await?;
            writeln!(out, "{} has it when it asks again", decision.member)?;
        }
        Elsewhere::Refuse(decision) => {
            decide(client, "$refuse-link", &decision).await?;
            writeln!(out, "{} gets nothing", decision.member)?;
        }
        Elsewhere::Withdraw(decision) => {
            decide(client, "$withdraw-link", &decision).await?;
            writeln!(out, "{} gets nothing any more", decision.member)?;
        }
    }
    Ok(())
}

async fn decide(client: &Client, operation: &str, decision: &Decision) -> anyhow::Result<()> {
    let reference = format!("Patient/{}", decision.patient);
    let parameters = vec![
        json!({ "name": "patient", "valueReference": { "reference": reference } }),
        json!({ "name": "member", "valueCode": decision.member }),
        json!({ "name": "reason", "valueString": decision.reason }),
    ];
    let path = format!("Patient/{operation}");
    asked(client, &path, parameters).await?;
    Ok(())
}

async fn asked(client: &Client, path: &str, parameters: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    let mut body = json!({ "resourceType": "Parameters" });
    // An empty array is not FHIR.
    if !parameters.is_empty() {
        body["parameter"] = parameters.into();
    }
    let answer = client.post(path, &Request::json(&body)).await?.ok()?;
    let answer = answer.json()?;
    Ok(answer["parameter"].as_array().cloned().unwrap_or_default())
}

fn waits(parts: &Value) -> String {
    let of = |name: &str, element: &str| described::part(parts, name, element);
    let mut line = format!(
        "{:<13} {:<8} {}  {} ({}, {}; {} times, last {})",
        of("grade", "valueCode"),
        of("score", "valueDecimal"),
        of("patient", "valueReference"),
        of("member", "valueCode"),
        of("askedBy", "valueString"),
        of("purpose", "valueCode"),
        of("times", "valueUnsignedInt"),
        of("askedAt", "valueInstant"),
    );
    let by = of("settledBy", "valueString");
    if !by.is_empty() {
        let is_approved = of("approved", "valueBoolean") == "true";
        let word = if is_approved { "approved" } else { "refused" };
        let why = of("settledBecause", "valueString");
        line.push_str(&format!("  {word} by {by}: {why}"));
    }
    line
}
