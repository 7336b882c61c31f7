//! The FHIR API and the authorization server, from request to answer: the real router over real custody on a real
//! disk, with a ledger in memory. Each problem is checked to repeat nothing of the records, nor to log it.
#![cfg(test)]

mod bad_input;
mod binary;
mod bulk;
mod bundles;
mod interactions;
mod launch;
mod log;
mod operations;
mod provider;
mod scitt;
mod scopes;
mod sessions;
mod searches;
mod snapshot;
mod subscriptions;
mod support;
mod tokens;
mod witness;
