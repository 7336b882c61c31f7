//! `careledger-verify`: checks what members have handed out, offline, from files and the genesis alone.

mod access_history;
mod command;
mod export;
mod failure;
mod log;
mod outcome;
mod trust;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    command::run(&command::Arguments::parse())
}

#[cfg(test)]
mod tests;
