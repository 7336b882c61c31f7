//! `careledger emergencies`: declaring one, those that were declared, and their review.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::client::{self, Answer, Client, Request, User};
use crate::network::{Credential, read_json};

/// Declares an emergency (break-glass) as a system, shows those that were declared, and closes their reviews.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger emergencies declare --credential net/clinic/clients/ehr.json \
                  --practitioner Practitioner/7 --role physician --patient p1 --nature 'unconscious after a fall' \
                  --justification 'no other way to learn of anticoagulants'\n  \
                  careledger emergencies list --credential net/clinic/clients/ehr.json --practitioner Practitioner/90"
)]
pub(crate) struct EmergenciesArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system that may claim the role.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
    /// Who declares or reviews, as Practitioner/ID: not the same.
    #[arg(long, global = true, default_value = "Practitioner/privacy-officer")]
    practitioner: String,
    /// The role of whoever that is.
    #[arg(long, global = true, default_value = "privacy-officer")]
    role: String,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Declares one for a patient; prints the token that opens what is needed.
    Declare {
        /// The patient's id at the member.
        #[arg(long)]
        patient: String,
        #[command(flatten)]
        said: Said,
    },
    /// Those whose review waits, the first deadline first.
    List {
        /// Those that were reviewed too.
        #[arg(long)]
        all: bool,
    },
    /// Says what the review of one found; the patient is told.
    Review {
        /// The task's id, as `list` shows it.
        id: String,
        #[arg(long, value_enum)]
        outcome: Outcome,
        /// justified: emergency-confirmed, patient-agrees, drill; not-justified: no-emergency, not-involved-in-care,
        /// more-than-needed, not-documented.
        #[arg(long)]
        reason: String,
        /// In the reviewer's words.
        #[arg(long)]
        comment: Option<String>,
    },
}

/// What is said of an emergency.
#[derive(Debug, Clone, Args)]
pub(crate) struct Said {
    /// ETREAT, BTG or DISASTER.
    #[arg(long, default_value = "ETREAT")]
    pub(crate) reason: String,
    /// Why there is no other way.
    #[arg(long)]
    pub(crate) justification: String,
    /// What the emergency is.
    #[arg(long)]
    pub(crate) nature: String,
    /// How long; as long as the member has set, without it.
    #[arg(long)]
    pub(crate) minutes: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Justified,
    NotJustified,
}

pub(crate) async fn run(args: EmergenciesArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let purpose = match &args.action {
        Action::Declare { .. } => "TREAT",
        Action::List { .. } | Action::Review { .. } => "HOPERAT",
    };
    let user = User {
        purpose: purpose.to_owned(),
        practitioner: Some(args.practitioner),
        role: Some(args.role),
    };
    let http = client::http()?;
    let client = Client::of_system(&http, &credential, user, "system/*.cruds")?;
    let answer = match &args.action {
        Action::Declare { patient, said } => declare(&client, patient, said).await?,
        Action::List { all } => client.get(&listed(*all)).await?,
        Action::Review {
            id,
            outcome,
            reason,
            comment,
        } => {
            let body = review(*outcome, reason, comment.as_deref());
            let path = format!("Task/{id}/$review");
            client.post(&path, &Request::json(&body)).await?
        }
    };
    let answer = answer.ok()?.json()?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    for line in lines(&answer) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Declares an emergency, with an assertion that the client makes for it alone.
pub(crate) async fn declare(client: &Client, patient: &str, said: &Said) -> anyhow::Result<Answer> {
    let path = format!("Patient/{patient}/$break-glass");
    let mut parameters = vec![
        json!({ "name": "reason", "valueCode": said.reason }),
        json!({ "name": "justification", "valueString": said.justification }),
        json!({ "name": "nature", "valueString": said.nature }),
        json!({ "name": "assertion", "valueString": client.assertion_for(&path)? }),
    ];
    let minutes = said.minutes;
    parameters.extend(minutes.map(|of| json!({ "name": "minutes", "valuePositiveInt": of })));
    let body = json!({ "resourceType": "Parameters", "parameter": parameters });
    client.post(&path, &Request::json(&body)).await
}

fn listed(all: bool) -> String {
    let waiting = if all { "" } else { "&status=requested" };
    format!("Task?code=break-glass-review{waiting}&_sort=authored-on&_count=200")
}

fn review(outcome: Outcome, reason: &str, comment: Option<&str>) -> Value {
    let outcome = match outcome {
        Outcome::Justified => "justified",
        Outcome::NotJustified => "not-justified",
    };
    let mut parameters = vec![
        json!({ "name": "outcome", "valueCode": outcome }),
        json!({ "name": "reason", "valueCode": reason }),
    ];
    parameters.extend(comment.map(|text| json!({ "name": "comment", "valueString": text })));
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

fn lines(answer: &Value) -> Vec<String> {
    if let Some(parts) = answer["parameter"].as_array() {
        return parts.iter().filter_map(parameter).collect();
    }
    if answer["resourceType"] == "Task" {
        return vec![line(answer)];
    }
    let entries = answer["entry"].as_array().into_iter().flatten();
    let lines: Vec<String> = entries.map(|entry| line(&entry["resource"])).collect();
    if lines.is_empty() {
        vec!["none".to_owned()]
    } else {
        lines
    }
}

/// Its name and what it says.
fn parameter(part: &Value) -> Option<String> {
    let said = part.as_object()?.iter();
    let value =
        said.filter(|(name, _)| name.starts_with("value"))
            .find_map(|(_, value)| match value.get("reference").unwrap_or(value) {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
    Some(format!("{}\t{}", part["name"].as_str()?, value?))
}

fn line(task: &Value) -> String {
    let at = |pointer: &str| task.pointer(pointer).and_then(Value::as_str);
    let parts = [
        at("/id"),
        at("/businessStatus/coding/0/code").or(at("/status")),
        at("/for/reference"),
        at("/reasonCode/coding/0/code"),
        at("/requester/identifier/value"),
        at("/authoredOn"),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let deadline = at("/restriction/period/end").unwrap_or_default();
    format!("{}  review until {deadline}", parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_task_its_patient_and_its_deadline() {
        let task = json!({ "resourceType": "Task", "id": "break-glass-review-1", "status": "requested",
            "for": { "reference": "Patient/p1" },
            "reasonCode": { "coding": [{ "code": "ETREAT" }] },
            "requester": { "identifier": { "value": "clinic" } },
            "authoredOn": "2026-06-01T00:00:00Z",
            "restriction": { "period": { "end": "2026-06-04T00:00:00Z" } } });
        let expected = "break-glass-review-1  requested  Patient/p1  ETREAT  clinic  2026-06-01T00:00:00Z  \
                        review until 2026-06-04T00:00:00Z";
        assert_eq!(lines(&task), [expected]);
        assert_eq!(lines(&json!({ "resourceType": "Bundle" })), ["none"]);
    }
}
