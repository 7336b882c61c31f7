//! Reads every text file of the repository: what must not be in it, and what it names that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::references::{Repository, missing_in};
use crate::text::{self, Length};
use crate::{Report, references};

pub(crate) fn check() -> anyhow::Result<Report> {
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?.trim_end());
    // New files too: a check that waits for the commit comes too late.
    let listing = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let folder = root.to_string_lossy();
    let listed = git(&[["-C", &folder].as_slice(), &listing].concat())?;
    let names: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    let mut files = BTreeMap::new();
    for name in names.iter().filter(|name| is_text(name)) {
        // What is listed and gone was deleted in the work tree.
        if let Ok(text) = fs::read_to_string(root.join(name)) {
            files.insert(*name, text);
        }
    }
    ensure!(!files.is_empty(), "no file was found to look at");
    Ok(report(&files, &names))
}

fn report(files: &BTreeMap<&str, String>, names: &BTreeSet<&str>) -> Report {
    let repository = Repository {
        names,
        functions: references::functions(files),
    };
    let mut report = Report {
        seen: format!("{} files", files.len()),
        ..Report::default()
    };
    for (name, text) in files {
        match text::length(text) {
            Length::Fits => {}
            Length::Long(lines) => report
                .warnings
                .push(format!("{name}: {lines} lines: is it one idea?")),
            Length::TooLong(lines) => report
                .faults
                .push(format!("{name}: {lines} lines: split it")),
        }
        let faults = text::faults_in(name, text).into_iter();
        report
            .faults
            .extend(faults.map(|fault| format!("{name}: {fault}")));
        if name.ends_with(".md") {
            let missing = missing_in(name, text, &repository).into_iter();
            report
                .faults
                .extend(missing.map(|fault| format!("{name}: {fault}")));
        }
    }
    report
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).output();
    let output = output.context("git is needed to list the files")?;
    ensure!(
        output.status.success(),
        "git {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// What people write; not what tools write, nor data.
fn is_text(name: &str) -> bool {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    matches!(
        extension,
        Some("rs" | "toml" | "md" | "cedar" | "cedarschema" | "py" | "sh")
    ) || matches!(name, "test" | "demo" | ".ci/run")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&'static str, &str)]) -> Report {
        let names = files.iter().map(|(name, _)| *name).collect();
        let texts = files.iter().map(|(name, text)| (*name, (*text).to_owned()));
        report(&texts.collect(), &names)
    }

    #[test]
    fn faults_and_warnings_name_their_file() {
        let found = check(&[
            ("a.md", "[b](b.md) and `p1_nothing_shows`\n"),
            ("b.md", "[gone](gone.md)\n"),
            ("c.rs", "fn p1_nothing_shows() {} \n"),
            ("d.rs", &"line\n".repeat(550)),
            ("e.rs", &"line\n".repeat(601)),
        ]);
        assert_eq!(
            found.faults,
            [
                "b.md: links to `gone.md`, which is not there",
                "c.rs: line 1: white space at the end",
                "e.rs: 601 lines: split it",
            ]
        );
        assert_eq!(found.warnings, ["d.rs: 550 lines: is it one idea?"]);
    }

    #[test]
    fn scripts_are_looked_at_and_data_is_not() {
        assert!(is_text("test") && is_text(".ci/run") && is_text("crates/ledger/src/lib.rs"));
        assert!(!is_text("Cargo.lock") && !is_text("LICENSE") && !is_text("data/elements.txt"));
    }

    #[test]
    fn a_git_that_fails_is_an_error() {
        assert!(git(&["no-such-command"]).is_err());
    }
}
