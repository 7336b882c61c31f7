//! `careledger duties`: answers that are owed to patients by a time, filed, put off and closed.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use contracts::duty::{Alert, Duty, Procedure};
use interop::fhir::timespan::TimeSpan;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

/// Lists what is owed to patients by a time, the first deadline first; files requests, and closes them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger duties --credential net/clinic/clients/ehr.json\n  \
    careledger duties file Patient/12 --code access-request --received 2026-05-04\n  \
    careledger duties extend 4711 --reason 'the records are off site'\n  \
    careledger duties close 4711 --outcome denied --exception 171.204 --facts 'no copy exists any more' \\\n    \
    --practitioner Practitioner/9"
)]
pub(crate) struct DutiesArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// The credential file of a system that may claim the privacy officer's role.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
    /// Who files, extends or closes, as Practitioner/ID.
    #[arg(long, global = true, default_value = "Practitioner/privacy-officer")]
    practitioner: String,
    /// The role of who does.
    #[arg(long, global = true, default_value = "privacy-officer")]
    role: String,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// A patient's request, with the deadline that its law sets.
    File {
        /// As Patient/ID.
        patient: String,
        /// access-request, accounting-request, intermediary-list-request, consented-accounting-request,
        /// gdpr-access-request or infeasibility-reply.
        #[arg(long)]
        code: String,
        /// What is asked for, in words.
        #[arg(long)]
        reason: Option<String>,
        /// The day or instant at which it came, if not now.
        #[arg(long)]
        received: Option<String>,
    },
    /// Puts a deadline off, once and as far as its law lets it.
    Extend {
        /// The task's id, as the list shows it.
        id: String,
        /// Why, as the patient is told.
        #[arg(long)]
        reason: String,
    },
    /// Ends a request. Amendments and reviews of emergencies have commands and operations of their own.
    Close {
        /// The task's id, as the list shows it.
        id: String,
        #[arg(long, value_enum)]
        outcome: Outcome,
        /// denied: the exception of 45 CFR part 171, such as 171.204.
        #[arg(long)]
        exception: Option<String>,
        /// denied: the facts, in words for the patient.
        #[arg(long)]
        facts: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Fulfilled,
    Denied,
}

pub(crate) async fn run(args: DutiesArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: Some(args.practitioner),
        role: Some(args.role),
    };
    let http = client::http()?;
    let client = Client::of_system(&http, &credential, user, "system/*.cruds")?;
    let mut out = std::io::stdout();
    if let Some(action) = &args.action {
        let (path, body) = asked(action);
        let answer = client.post(&path, &Request::json(&body)).await?;
        let task = answer.ok()?.json()?;
        let said = if args.json {
            task.to_string()
        } else {
            line(&task, now_ms())
        };
        writeln!(out, "{said}")?;
        return Ok(());
    }
    let mut tasks = open(&client).await?;
    tasks.sort_by_key(|task| due(task).unwrap_or(0));
    if args.json {
        writeln!(out, "{}", Value::Array(tasks))?;
        return Ok(());
    }
    if tasks.is_empty() {
        writeln!(out, "none")?;
    }
    for task in &tasks {
        writeln!(out, "{}", line(task, now_ms()))?;
    }
    Ok(())
}

/// The tasks of all duties that wait, page after page.
async fn open(client: &Client) -> anyhow::Result<Vec<Value>> {
    let codes: Vec<String> = Duty::ALL
        .iter()
        .map(|duty| format!("{}%7C{}", duty.system(), duty.code()))
        .collect();
    let query = format!("Task?code={}&status=requested&_count=200", codes.join(","));
    client.found(query).await
}

fn asked(action: &Action) -> (String, Value) {
    let mut parameters = Vec::new();
    let mut say = |name: &str, text: &str| {
        parameters.push(json!({ "name": name, "valueString": text }));
    };
    let path = match action {
        Action::File {
            patient,
            code,
            reason,
            received,
        } => {
            say("code", code);
            reason.iter().for_each(|reason| say("reason", reason));
            if let Some(received) = received {
                parameters.push(json!({ "name": "received", "valueDateTime": received }));
            }
            format!("{patient}/$file-request")
        }
        Action::Extend { id, reason } => {
            say("reason", reason);
            format!("Task/{id}/$extend-request")
        }
        Action::Close {
            id,
            outcome,
            exception,
            facts,
        } => {
            say(
                "outcome",
                match outcome {
                    Outcome::Fulfilled => "fulfilled",
                    Outcome::Denied => "denied",
                },
            );
            exception.iter().for_each(|code| say("exception", code));
            facts.iter().for_each(|facts| say("facts", facts));
            format!("Task/{id}/$close-request")
        }
    };
    let body = json!({ "resourceType": "Parameters", "parameter": parameters });
    (path, body)
}

fn now_ms() -> u64 {
    let seconds = OffsetDateTime::now_utc().unix_timestamp();
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
}

fn due(task: &Value) -> Option<u64> {
    let end = task.pointer("/restriction/period/end")?.as_str()?;
    u64::try_from(TimeSpan::parse(end)?.start_ms).ok()
}

/// How urgent it is, which task, what for whom, until when, and what settles it.
fn line(task: &Value, now: u64) -> String {
    let at = |pointer: &str| task.pointer(pointer).and_then(Value::as_str);
    let duty = at("/code/coding/0/code").and_then(Duty::parse);
    let state = match (at("/status"), due(task)) {
        (Some("requested"), Some(due)) => match Alert::of(due, now) {
            Some(Alert::Overdue) => "OVERDUE",
            Some(Alert::Due) => "due",
            None => "open",
        },
        (status, _) => status.unwrap_or_default(),
    };
    let by = match duty.map(Duty::procedure) {
        Some(Procedure::Amendment) => "  by $decide-amendment",
        Some(Procedure::Review) => "  by `careledger emergencies review`",
        Some(Procedure::Request) | None => "",
    };
    let parts = [
        at("/id"),
        duty.map(Duty::code),
        at("/for/reference"),
        at("/restriction/period/end"),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    format!("{state:<9}{}{by}", parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_urgent_it_is_and_what_settles_it() {
        let task = |code: &str, end: &str| {
            json!({ "resourceType": "Task", "id": "t1", "status": "requested",
                "code": { "coding": [{ "code": code }] },
                "for": { "reference": "Patient/p1" },
                "restriction": { "period": { "end": end } } })
        };
        let now = 1_780_272_000_000;
        let late = line(&task("access-request", "2026-05-31T00:00:00Z"), now);
        let expected = "OVERDUE  t1  access-request  Patient/p1  2026-05-31T00:00:00Z";
        assert_eq!(late, expected);
        let near = line(&task("amendment-request", "2026-06-09T00:00:00Z"), now);
        assert!(near.starts_with("due ") && near.ends_with("by $decide-amendment"));
        let far = line(&task("break-glass-review", "2026-08-09T00:00:00Z"), now);
        assert!(far.starts_with("open ") && far.ends_with("emergencies review`"));
    }
}
