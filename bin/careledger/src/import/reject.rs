//! What was not imported, in lines for machines and sentences for people.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::source::Source;
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

/// A bundle as it stands in its source.
pub(super) struct Given {
    /// The file, and the line if the whole bundle is one.
    pub(super) place: (String, Option<usize>),
    /// Whether its entries have numbers there.
    pub(super) is_numbered: bool,
    /// How it names its entries.
    names: Vec<String>,
    /// How people find them: `Type/id`, or the name.
    references: Vec<String>,
}

impl Given {
    pub(super) fn of(source: &Source, bundle: &Value) -> Self {
        let entries = bundle.get("entry").and_then(Value::as_array);
        let entries = || entries.into_iter().flatten();
        let reference = |entry: &Value| {
            let text = |name| entry.pointer(name).and_then(Value::as_str);
            match (text("/resource/resourceType"), text("/resource/id")) {
                (Some(kind), Some(id)) => format!("{kind}/{id}"),
                _ => text("/fullUrl").unwrap_or_default().to_owned(),
            }
        };
        Self {
            place: source.place(),
            is_numbered: !matches!(source, Source::Patient(_)),
            names: names_in(bundle),
            references: entries().map(reference).collect(),
        }
    }
}

/// How a bundle names its entries.
pub(super) fn names_in(bundle: &Value) -> Vec<String> {
    let entries = bundle.get("entry").and_then(Value::as_array);
    let names = entries.into_iter().flatten();
    let names = names.map(|entry| entry.get("fullUrl").and_then(Value::as_str));
    names
        .map(|name| name.unwrap_or_default().to_owned())
        .collect()
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

    /// A document that cannot be mapped.
    pub(super) fn unfit(file: String, outcome: Value) -> Self {
        Self {
            file,
            entry: None,
            reference: None,
            member: None,
            status: None,
            outcome,
        }
    }

    /// What a member refused: one for each entry that it names, else one for the bundle.
    ///
    /// `sent` are the names of the entries in the order in which they were sent.
    pub(super) fn refused(
        given: &Given,
        member: &str,
        answer: &Answer,
        sent: &[String],
    ) -> Vec<Self> {
        let said = answer.json().unwrap_or_default();
        let is_outcome =
            said.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome");
        let issues = said.get("issue").and_then(Value::as_array);
        let reject = |at: Option<usize>, outcome: Value| Self {
            file: given.place.0.clone(),
            entry: given.place.1.or(at.filter(|_| given.is_numbered)),
            reference: at.and_then(|at| given.references.get(at).cloned()),
            member: Some(member.to_owned()),
            status: Some(answer.status()),
            outcome,
        };
        let Some(issues) = issues.filter(|_| is_outcome) else {
            return vec![reject(None, outcome("processing", &answer.problem()))];
        };
        let of_issue = |issue: &Value| {
            let name = issue.pointer("/expression/0").and_then(Value::as_str);
            let name = name.and_then(entry_in).and_then(|at| sent.get(at));
            let at = name.and_then(|name| given.names.iter().position(|one| one == name));
            let outcome = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
            reject(at, outcome)
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
