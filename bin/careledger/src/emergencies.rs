//! `careledger emergencies`: declared emergencies, and their review.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

/// Shows declared emergencies (break-glass), and closes their reviews.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger emergencies list --credential net/clinic/clients/ehr.json \
                  --practitioner Practitioner/90"
)]
pub(crate) struct EmergenciesArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system that may claim the reviewer's role.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
    /// Who reviews, as Practitioner/ID: not who declared.
    #[arg(long, global = true, default_value = "Practitioner/privacy-officer")]
    practitioner: String,
    /// The role of who reviews.
    #[arg(long, global = true, default_value = "privacy-officer")]
    role: String,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Justified,
    NotJustified,
}

pub(crate) async fn run(args: EmergenciesArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: Some(args.practitioner),
        role: Some(args.role),
    };
    let http = client::http()?;
    let client = Client::of_system(&http, &credential, user, "system/*.cruds")?;
    let answer = match &args.action {
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
