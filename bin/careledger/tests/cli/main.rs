//! The program on a network of one member, as somebody runs it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests, and so are their helpers"
)]

mod import;
mod keys;
mod labels;
mod matches;
mod net;
#[path = "../../../../crates/node/tests/patience/mod.rs"]
mod patience;
mod verify_self;
mod wallet;
