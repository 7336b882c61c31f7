//! The FHIR API and the authorization server, from request to answer: the real router over real custody on a real
//! disk, with a ledger in memory. Each problem is checked to repeat nothing of the records, nor to log it.
#![cfg(test)]

mod bad_input;
mod bundles;
mod conformance;
mod interactions;
mod log;
mod operations;
mod scitt;
mod snapshot;
mod support;
mod tokens;
mod witness;
