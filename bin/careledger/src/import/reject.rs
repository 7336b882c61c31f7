//! What was not imported, in lines for machines and sentences for people.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Answer;

/// An entry, or a whole bundle, that was not imported. Of the patient it has the entry's own reference alone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reject {
    pub(super) file: String,
    /// The entry of the bundle, from 0 on, or the line of the file, from 1 on.
    pub(super) entry: Option<usize>,
    /// How the bundle names the entry.
    pub(super) reference: Option<String>,
    /// The member that refused it.
    pub(super) member: Option<String>,
    /// The status of that answer.
    pub(super) status: Option<u16>,
    /// An `OperationOutcome`.
    pub(super) outcome: Value,
}

impl Reject {
    /// What cannot be sent at all.
    pub(super) fn unread(
        (file, entry): (String, Option<usize>),
        reference: Option<String>,
        why: &str,
    ) -> Self {
        Self {
            file,
            entry,
            reference,
            member: None,
            status: None,
            outcome: outcome("structure", why),
        }
    }

    /// What a member refused: one for each entry that it names, else one for the bundle.
    ///
    /// `sent` are the names of the entries as they were sent, `given` as they stand in the source.
    pub(super) fn refused(
        (file, line): &(String, Option<usize>),
        member: &str,
        answer: &Answer,
        (sent, given): (&[String], &[String]),
    ) -> Vec<Self> {
        let said = answer.json().unwrap_or_default();
        let is_outcome =
            said.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome");
        let issues = said
            .get("issue")
            .and_then(Value::as_array)
            .filter(|_| is_outcome);
        let reject = |name: Option<&String>, outcome: Value| Self {
            file: file.clone(),
            entry: line.or_else(|| given.iter().position(|one| Some(one) == name)),
            reference: name.cloned(),
            member: Some(member.to_owned()),
            status: Some(answer.status()),
            outcome,
        };
        let Some(issues) = issues else {
            return vec![reject(None, outcome("processing", &answer.problem()))];
        };
        let of_issue = |issue: &Value| {
            let name = issue.pointer("/expression/0").and_then(Value::as_str);
            let name = name.and_then(entry_in).and_then(|at| sent.get(at));
            let outcome = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
            reject(name, outcome)
        };
        issues.iter().map(of_issue).collect()
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self.status {
            None => "mend the file, and import it again",
            Some(401) => {
                "the clocks differ, or the member has taken the client `ehr` away: see its node.toml"
            }
            Some(403) => "the member's policies forbid it: ask the member",
            Some(429 | 502..=504) => {
                "the member is busy or a part of it is away: run the same command again later"
            }
            Some(507) => {
                "the member's disk is full: make room there, and run the same command again"
            }
            Some(400..=499) => {
                "mend the entry that is named, and import the file again: what was taken is not sent again"
            }
            Some(_) => "the member failed: see its log, and run the same command again",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        if let Some(member) = &self.member {
            write!(f, ", at {member}")?;
        }
        let why = self.outcome.pointer("/issue/0/diagnostics");
        let why = why.and_then(Value::as_str).unwrap_or("no reason was given");
        write!(f, ": {why}")?;
        match self.status {
            Some(status) => write!(f, " ({status})"),
            None => Ok(()),
        }
    }
}

/// Writes a line for each reject, in place of those of an earlier import; without any the file goes.
pub(super) fn write(path: &Path, rejects: &[Reject]) -> anyhow::Result<()> {
    if rejects.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        };
    }
    let mut file = fs::File::create(path)?;
    for reject in rejects {
        writeln!(file, "{}", serde_json::to_string(reject)?)?;
    }
    Ok(file.sync_all()?)
}

/// Each advice once.
pub(super) fn advice(rejects: &[Reject]) -> BTreeSet<&'static str> {
    rejects.iter().map(Reject::advice).collect()
}

fn outcome(code: &str, why: &str) -> Value {
    json!({ "resourceType": "OperationOutcome",
        "issue": [{ "severity": "error", "code": code, "diagnostics": why }] })
}

/// The number of the entry that an expression begins with.
fn entry_in(expression: &str) -> Option<usize> {
    let rest = expression.strip_prefix("Bundle.entry[")?;
    rest.split(']').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_names_an_entry() {
        assert_eq!(entry_in("Bundle.entry[12].resource.status"), Some(12));
        assert_eq!(entry_in("Observation.status"), None);
    }

    #[test]
    fn rejects_of_an_earlier_import_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.ndjson");
        let one = Reject::unread(("a.json".to_owned(), None), None, "no bundle");
        write(&path, &[one.clone(), one]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        write(&path, &[]).unwrap();
        write(&path, &[]).unwrap();
        assert!(!path.exists());
    }
}
