//! Witnesses: outsiders who cosign the log's checkpoints (C2SP `tlog-witness`), so that nobody can be shown another log.
//!
//! [`witness_router`] is a witness; [`follow`] has witnesses cosign what a node publishes.

mod client;
mod server;

pub use client::{Witness, follow};
pub use server::{CannotSign, Sign, WitnessKey, WitnessParts, witness_router};
