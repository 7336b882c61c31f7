//! `log`: a whole ledger, replayed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use contracts::replay::Replay;
use interop::fhir::timespan::format_instant;
use ledger::dump::Dump;
use ledger::genesis::Genesis;
use serde_json::json;

use crate::command;
use crate::failure::Failure;
use crate::outcome::{Facts, Unreadable};

/// Reads a dump: a file, or the `*.dump` files of a folder in the order of their names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    if !path.is_dir() {
        return command::read(path);
    }
    let unreadable = |error: std::io::Error| Unreadable::new(path, &error);
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_, _>>().map_err(unreadable)?;
    files.retain(|file| file.extension() == Some(OsStr::new("dump")));
    files.sort_unstable();
    let parts: Vec<Vec<u8>> = files
        .iter()
        .map(|file| command::read(file))
        .collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err(Unreadable::new(path, &"there is no *.dump file in it"));
    }
    Ok(parts.concat())
}

/// Replays a dump.
pub(crate) fn check(bytes: &[u8], genesis: &Genesis) -> Result<Facts, Failure> {
    let dump = Dump::read(bytes).map_err(|error| Failure::new("dump", error))?;
    if dump.network() != genesis.network() {
        return Err(Failure::new("network", "the dump is of another network"));
    }
    let mut replay = Replay::new(genesis).map_err(|error| Failure::new("genesis", error))?;
    for (height, dumped) in (1_u64..).zip(dump) {
        let dumped = dumped
            .map_err(|error| Failure::new("dump", error).at(format_args!("block {height}")))?;
        replay = replay.apply(&dumped.block, dumped.finality.as_ref())?;
    }
    let replayed = replay.finish()?;
    let tip = &replayed.tip;
    let time = format_instant(i64::try_from(tip.time.0).unwrap_or(i64::MAX));
    Ok(vec![
        ("network", json!(tip.network.0.to_string())),
        ("height", json!(tip.height.0)),
        ("final at", json!(time)),
        ("statements", json!(tip.log_size)),
        ("items", json!(replayed.items)),
        ("log root", json!(tip.log_root.to_string())),
        ("state root", json!(tip.state_root.0.to_string())),
    ])
}
