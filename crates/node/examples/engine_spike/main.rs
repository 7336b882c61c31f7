//! Measures the consensus engine with one process for each validator, on loopback.
//!
//! `engine_spike SCENARIO...` runs the named scenarios, or all of them:
//! `idle`, `latency`, `load`, `empty`, `blocks`, `stop-one`, `stop-all`, `alone`.
//! Figures of record are in `docs/adr/0001-consensus-engine.md`.

mod application;
mod cluster;
mod scenario;
mod validator;

use anyhow::{Context as _, Result, bail};
use std::env;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "validator") {
        return validator::run(&arguments[1..]).context("validator");
    }
    let all: Vec<_> = scenario::ALL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    for name in if arguments.is_empty() {
        &all
    } else {
        &arguments
    } {
        match scenario::ALL.iter().find(|(known, _)| known == name) {
            Some((_, run)) => run().with_context(|| name.clone())?,
            None => bail!("there is no scenario {name}; there are {}", all.join(", ")),
        }
    }
    Ok(())
}
