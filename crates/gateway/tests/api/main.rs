//! The FHIR API and the authorization server, from request to answer: the real router over real custody on a real
//! disk, with a ledger in memory. Each problem is checked to repeat nothing of the records, nor to log it.
#![cfg(test)]

mod audit;
mod bad_input;
mod binary;
mod bulk;
mod bundles;
mod ccda;
mod conditional;
mod conformance;
mod consents;
mod delegation;
mod denials;
mod dicom_web;
mod documents;
mod duties;
mod emergency;
mod erasing;
mod forwarding;
#[path = "../../../node/tests/patience/free.rs"]
mod free;
mod guardians;
mod history;
mod identity;
mod imports;
mod interactions;
mod labels;
mod launch;
mod limits;
mod log;
mod mcsd;
mod mhd;
mod mllp;
mod mllp_batches;
mod mllp_merges;
mod negotiation;
mod notices;
mod operations;
mod patch;
#[path = "../../../node/tests/patience/mod.rs"]
mod patience;
mod previews;
mod provider;
mod roundtrip;
mod scitt;
mod scopes;
mod searches;
mod sessions;
mod sharing;
mod snapshot;
mod subscriptions;
mod support;
mod terminology;
mod tokens;
mod transactions;
mod v2_connection;
mod v2_send;
mod validate;
mod validation;
mod witness;
