//! The FHIR API and the authorization server, from request to answer: the real router over real custody on a real
//! disk, with a ledger in memory. Each problem is checked to repeat nothing of the records, nor to log it.
#![cfg(test)]

mod audit;
mod bad_input;
mod binary;
mod bulk;
mod bundles;
mod conditional;
mod conformance;
mod consents;
mod delegation;
mod denials;
mod documents;
mod duties;
mod emergency;
mod erasing;
mod forwarding;
mod guardians;
mod history;
mod imports;
mod interactions;
mod labels;
mod launch;
mod limits;
mod log;
mod mllp;
mod negotiation;
mod notices;
mod operations;
mod patch;
mod previews;
mod provider;
mod roundtrip;
mod scitt;
mod scopes;
mod searches;
mod sessions;
mod snapshot;
mod subscriptions;
mod support;
mod tokens;
mod transactions;
mod validate;
mod validation;
mod witness;
