//! Simulated networks: what is drawn from a seed, and what has to hold of the ledgers that come out.
//!
//! Nothing runs here. The driver that runs real validators by a [`plan`] is `crates/node/tests/simulation`; it brings
//! their ledgers back as [`check::Ledger`]s.

pub mod check;
mod draw;
pub mod model;
pub mod motion;
pub mod plan;
