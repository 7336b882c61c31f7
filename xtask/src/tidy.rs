//! Text that must not be in the repository, and files that have grown too long.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

const LINES_MAX: usize = 500;

pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).output();
    let listed = listed.context("git is needed to list the files")?;
    let names = String::from_utf8(listed.stdout)?;
    let mut faults = Vec::new();
    for name in names.split('\0').filter(|name| is_text(name)) {
        // A file that is listed and gone was deleted in the work tree.
        if let Ok(text) = fs::read_to_string(name) {
            faults.extend(
                faults_in(&text)
                    .into_iter()
                    .map(|fault| format!("{name}: {fault}")),
            );
        }
    }
    Ok(faults)
}

fn is_text(name: &str) -> bool {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    matches!(
        extension,
        Some("rs" | "toml" | "md" | "cedar" | "cedarschema")
    )
}

fn faults_in(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let count = text.lines().count();
    if count > LINES_MAX && !text.starts_with("                                 Apache") {
        faults.push(format!("{count} lines, and {LINES_MAX} are the limit"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push("no line end at the end".to_owned());
    }
    for (line, number) in text.lines().zip(1..) {
        faults.extend(fault_in(line).map(|fault| format!("line {number}: {fault}")));
    }
    faults
}

fn fault_in(line: &str) -> Option<String> {
    if line.trim_end() != line {
        return Some("white space at the end".to_owned());
    }
    // Taken apart, so that this file does not find itself.
    let unfinished = [["TO", "DO"], ["FIX", "ME"], ["HA", "CK:"], ["X", "XX"]];
    let places = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"]];
    let word = unfinished.iter().chain(&places).map(|parts| parts.concat());
    let found = word.into_iter().find(|word| line.contains(word.as_str()));
    found.map(|word| format!("`{word}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_and_untidy_text_is_found() {
        assert_eq!(faults_in("fine\n"), Vec::<String>::new());
        assert_eq!(faults_in("no end").len(), 1);
        assert_eq!(faults_in("space \n").len(), 1);
        assert_eq!(faults_in(&format!("{}{}\n", "TO", "DO")).len(), 1);
        assert_eq!(faults_in(&format!("{}{}x\n", "/ho", "me/")).len(), 1);
        assert_eq!(faults_in(&"line\n".repeat(LINES_MAX + 1)).len(), 1);
    }
}
