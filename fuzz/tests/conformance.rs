//! The wire formats are those of `conformance.txt`.

#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const HEADING: &str = "# SHA-256 over encodings of fixed values of each wire format. A line that changes is a format that changed.\n";

#[test]
fn wire_formats_are_the_pinned_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance.txt");
    let mut text = HEADING.to_owned();
    for (name, hash) in fuzz::formats::hashes() {
        writeln!(text, "{name} {hash}").unwrap();
    }
    if std::env::var_os("CARELEDGER_REGENERATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> = text
        .lines()
        .filter(|line| pinned.lines().all(|known| known != *line))
        .collect();
    assert!(
        pinned == text,
        "wire formats changed: {changed:?}\nNothing that is on a ledger may change its meaning. If it is meant:\n    \
         CARELEDGER_REGENERATE=1 cargo test -p fuzz --test conformance"
    );
}
