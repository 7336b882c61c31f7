//! `careledger-verify`: checks what members have handed out, offline, from files and the genesis alone.

mod access_history;
mod checkpoint;
mod command;
mod consent_receipt;
mod erasure;
mod export;
mod failure;
mod fault;
mod log;
mod outcome;
mod receipt;
mod recent;
mod trust;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    command::run(&command::Arguments::parse())
}

#[cfg(test)]
mod tests;
