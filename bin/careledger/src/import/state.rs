//! What members have acknowledged, so that an import that was cut off goes on where it was.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use ledger::ids::Digest;
use serde::{Deserialize, Serialize};

/// A file with a line for each part of a bundle that a member has acknowledged.
#[derive(Debug)]
pub(super) struct State {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: File,
    parts: BTreeSet<String>,
    /// Wallets of which a member has a part, hashed with the member.
    wallets: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    /// SHA-256 of the wallet's name, the member and the part.
    part: String,
    /// SHA-256 of the wallet's name and the member.
    wallet: String,
    member: String,
    resources: usize,
}

/// One member's part of one bundle.
pub(super) struct Part {
    part: String,
    wallet: String,
    member: String,
}

impl Part {
    /// `content` is the same if the part is.
    pub(super) fn of(wallet: &str, member: &str, content: &str) -> Self {
        let named = [wallet.as_bytes(), member.as_bytes()];
        let part = [named[0], named[1], content.as_bytes()];
        Self {
            part: Digest::with_domain("careledger/import-part/v1", &part).to_string(),
            wallet: Digest::with_domain("careledger/import-wallet/v1", &named).to_string(),
            member: member.to_owned(),
        }
    }
}

impl State {
    /// Opens the file, or makes it. A last line that was cut off does not count.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be read or written", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(cannot),
        };
        let (mut parts, mut wallets) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            if let Ok(row) = serde_json::from_str::<Row>(line) {
                parts.insert(row.part);
                wallets.insert(row.wallet);
            }
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let mut file = opened.with_context(cannot)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").with_context(cannot)?;
        }
        let kept = Kept {
            file,
            parts,
            wallets,
        };
        Ok(Self {
            kept: Mutex::new(kept),
        })
    }

    pub(super) fn has(&self, part: &Part) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.parts.contains(&part.part)
    }

    /// Whether the member has acknowledged any part for the wallet.
    pub(super) fn has_any(&self, part: &Part) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.wallets.contains(&part.wallet)
    }

    /// Remembers an acknowledgement; durable when it returns.
    pub(super) fn acknowledge(&self, part: Part, resources: usize) -> anyhow::Result<()> {
        let row = Row {
            part: part.part,
            wallet: part.wallet,
            member: part.member,
            resources,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(kept.file, "{}", serde_json::to_string(&row)?)?;
        kept.file.sync_data()?;
        kept.parts.insert(row.part);
        kept.wallets.insert(row.wallet);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_known_again_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.ndjson");
        let part = |text: &str| Part::of("planted", "clinic", text);
        let state = State::open(&path).unwrap();
        state.acknowledge(part("one"), 3).unwrap();
        state.acknowledge(part("two"), 4).unwrap();
        drop(state);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("planted"), "it says nothing of the patient");
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        let state = State::open(&path).unwrap();
        assert!(state.has(&part("one")) && !state.has(&part("two")));
        assert!(state.has_any(&part("three")));
        assert!(!state.has_any(&Part::of("planted", "payer", "")));
        state.acknowledge(part("two"), 4).unwrap();
        drop(state);
        assert!(State::open(&path).unwrap().has(&part("two")));
    }
}
