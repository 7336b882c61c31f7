//! What a check comes to, for people and for programs.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// What was shown, by name, in the order in which it is printed.
pub(crate) type Facts = Vec<(&'static str, Value)>;

/// A file that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

/// What a check comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Verified(Facts),
    Failed(Failure),
    Unreadable(Unreadable),
}

impl Unreadable {
    /// Says which file, and why.
    pub(crate) fn new(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

impl Outcome {
    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Verified(_) => 0,
            Self::Failed(_) => 1,
            Self::Unreadable(_) => 2,
        })
    }

    /// Prints it to standard output; what cannot be read, to standard error.
    pub(crate) fn print(&self, as_json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if as_json {
            return writeln!(out, "{:#}", self.as_json());
        }
        match self {
            Self::Verified(facts) => {
                writeln!(out, "VERIFIED")?;
                for (name, value) in facts {
                    writeln!(out, "  {:<18} {}", format!("{name}:"), words(value))?;
                }
                Ok(())
            }
            Self::Failed(Failure { name, message }) => {
                writeln!(out, "NOT VERIFIED  {name}\n  {message}")
            }
            Self::Unreadable(Unreadable(message)) => {
                writeln!(
                    io::stderr().lock(),
                    "careledger-verify: cannot read {message}"
                )
            }
        }
    }

    fn as_json(&self) -> Value {
        match self {
            Self::Verified(facts) => {
                let facts = facts.iter().map(|(name, value)| (key(name), value.clone()));
                let verified = ("verified".to_owned(), json!(true));
                Value::Object([verified].into_iter().chain(facts).collect::<Map<_, _>>())
            }
            Self::Failed(Failure { name, message }) => {
                json!({ "verified": false, "failure": name, "message": message })
            }
            Self::Unreadable(Unreadable(message)) => {
                json!({ "verified": false, "failure": "unreadable", "message": message })
            }
        }
    }
}

fn key(name: &str) -> String {
    name.replace(' ', "_")
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "not shown".to_owned(),
        Value::Array(lines) => {
            let lines = lines.iter().map(|line| format!("\n    {}", words(line)));
            lines.collect()
        }
        other => other.to_string(),
    }
}
