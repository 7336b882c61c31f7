//! Codes that came in, that a map is for, and that it has nothing for: a list for a person. Only code system and code are
//! kept, no display: whoever typed one may have put anything into it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use interop::terminology::Coded;
use serde::{Deserialize, Serialize};

/// Different codes that are kept; what comes after that many is counted where it is known already.
const CODES_MAX: usize = 10_000;
const FILE: &str = "unmapped.json";

/// A code, and how often it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmappedCode {
    /// The code system.
    pub system: String,
    /// The code.
    pub code: String,
    /// How often it came.
    pub count: u64,
}

/// The codes of a node.
#[derive(Debug, Default)]
pub(super) struct Unmapped {
    counts: BTreeMap<Coded, u64>,
    is_changed: bool,
}

/// The codes that a node in this folder of vocabularies has written down, the most frequent first.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub fn unmapped_in(folder: &Path) -> std::io::Result<Vec<UnmappedCode>> {
    match fs::read(folder.join(FILE)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl Unmapped {
    pub(super) fn read(folder: &Path) -> Self {
        let listed = unmapped_in(folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "the list of codes that were not mapped cannot be read");
            Vec::new()
        });
        let counts = listed.into_iter().map(|one| {
            let coded = Coded {
                system: one.system,
                code: one.code,
            };
            (coded, one.count)
        });
        Self {
            counts: counts.collect(),
            is_changed: false,
        }
    }

    pub(super) fn note(&mut self, codes: Vec<Coded>) {
        for coded in codes {
            if self.counts.len() >= CODES_MAX && !self.counts.contains_key(&coded) {
                continue;
            }
            let count = self.counts.entry(coded).or_default();
            *count = count.saturating_add(1);
            self.is_changed = true;
        }
    }

    /// Writes them down if some came.
    pub(super) fn keep(&mut self, folder: &Path) {
        if !self.is_changed {
            return;
        }
        let mut listed: Vec<UnmappedCode> = self
            .counts
            .iter()
            .map(|(coded, count)| UnmappedCode {
                system: coded.system.clone(),
                code: coded.code.clone(),
                count: *count,
            })
            .collect();
        listed.sort_by_key(|one| std::cmp::Reverse(one.count));
        match write(&folder.join(FILE), &listed) {
            Ok(()) => self.is_changed = false,
            Err(error) => {
                tracing::warn!(%error, "the list of codes that were not mapped cannot be written");
            }
        }
    }
}

fn write(place: &Path, listed: &[UnmappedCode]) -> std::io::Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = place.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(listed)?)?;
    fs::rename(&fresh, place)
}
