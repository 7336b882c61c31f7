//! What documents name: files by links and by their paths, tests of promises by their names.

use std::collections::{BTreeMap, BTreeSet};

/// What there is to be named.
pub(crate) struct Repository<'a> {
    /// Tracked files.
    pub(crate) names: &'a BTreeSet<&'a str>,
    /// Functions that are named after a promise.
    pub(crate) functions: BTreeSet<String>,
}

/// The functions in `files` that are named after a promise.
pub(crate) fn functions(files: &BTreeMap<&str, String>) -> BTreeSet<String> {
    let sources = files.iter().filter(|(name, _)| name.ends_with(".rs"));
    let lines = sources.flat_map(|(_, text)| text.lines());
    let defined = lines.filter_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
    defined
        .filter_map(|rest| words(rest).next())
        .filter(|word| is_promise(word))
        .map(str::to_owned)
        .collect()
}

/// What the document `name` names and the repository lacks.
pub(crate) fn missing_in(name: &str, text: &str, repository: &Repository<'_>) -> Vec<String> {
    let links = links(text).filter(|target| !is_there(name, target, repository.names));
    let mut missing: Vec<String> = links
        .map(|target| format!("links to `{target}`, which is not there"))
        .collect();
    let paths = paths(text).filter(|path| !is_there("", path, repository.names));
    missing.extend(paths.map(|path| format!("names `{path}`, which is not there")));
    let named = words(text).filter(|word| is_promise(word));
    let unknown = named.filter(|word| !repository.functions.contains(*word));
    missing.extend(unknown.map(|word| format!("names the test `{word}`, which is not there")));
    missing
}

/// Targets of links that lead into the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let paths = targets.map(|target| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:"))
}

/// Paths from the repository's root, as code is written in documents: between backticks.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| {
        let folders = ["bin/", "crates/", "docs/", "xtask/"];
        let is_plain = |character: char| {
            character.is_ascii_alphanumeric() || ['/', '.', '-', '_'].contains(&character)
        };
        folders.iter().any(|folder| quoted.starts_with(folder)) && quoted.chars().all(is_plain)
    })
}

fn is_there(from: &str, target: &str, names: &BTreeSet<&str>) -> bool {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return false;
                }
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let folder = format!("{path}/");
    names.contains(path.as_str()) || names.iter().any(|name| name.starts_with(&folder))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
}

/// `p1_…`, as tests of promises are called.
fn is_promise(word: &str) -> bool {
    let Some((number, rest)) = word.strip_prefix('p').and_then(|word| word.split_once('_')) else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(name: &str, text: &str) -> Vec<String> {
        let names = BTreeSet::from(["README.md", "docs/adr/0002-state-map.md", "docs/a.md"]);
        let source = "    async fn p3_it_holds() {\n    fn other() {}\n".to_owned();
        let repository = Repository {
            names: &names,
            functions: functions(&BTreeMap::from([("a.rs", source)])),
        };
        missing_in(name, text, &repository)
    }

    #[test]
    fn what_is_there_may_be_named() {
        let text = "[a](docs/adr), [b](docs/a.md#part), [c](https://example.org/x.md), [d](#here), `p3_it_holds`, `p1_…`";
        assert_eq!(missing("README.md", text), Vec::<String>::new());
        let up = "[up](../../README.md) [beside](0002-state-map.md)";
        assert_eq!(missing("docs/adr/x.md", up), Vec::<String>::new());
    }

    #[test]
    fn a_dead_link_is_found() {
        assert_eq!(missing("README.md", "[a](docs/b.md)").len(), 1);
        assert_eq!(missing("docs/a.md", "[a](docs/a.md)").len(), 1);
        assert_eq!(missing("README.md", "[a](../README.md)").len(), 1);
        assert_eq!(missing("README.md", "[a](docs/ad)").len(), 1);
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let there = "`docs/a.md`, `docs/adr`, `crates/…`, `careledger demo`";
        assert_eq!(missing("docs/a.md", there), Vec::<String>::new());
        assert_eq!(
            missing("docs/a.md", "see `docs/b.md`"),
            ["names `docs/b.md`, which is not there"]
        );
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        assert_eq!(
            missing("README.md", "`p3_it_held`"),
            ["names the test `p3_it_held`, which is not there"]
        );
    }
}
