//! The look at a store before a node starts on it: whether its last blocks, log and state fit together.
//!
//! It takes milliseconds whatever the store holds; `careledger verify --self` goes over all of it.

use ledger::block::{Header, body_of};
use ledger::ids::{Digest, Height};
use ledger::log;
use ledger::state::{self, StateKey};

use super::store::{Store, StoreError, Tip};

/// Headers that are looked at, from the last one back.
const HEADERS: u64 = 64;

/// Finds what does not fit behind `tip`.
pub(super) fn check(store: &Store, tip: &Tip) -> Result<(), StoreError> {
    let last = header(store, tip.height)?;
    let says = (
        last.height,
        last.time,
        last.digest(),
        last.log_size,
        last.state_root,
    );
    if says
        != (
            tip.height,
            tip.time,
            tip.digest,
            tip.log_size,
            tip.state_root,
        )
    {
        return Err(StoreError::Damaged("the last block is not its header's"));
    }
    let joined = store.joined()?.unwrap_or_default();
    let before = check_headers(store, &last, joined)?;
    // Of the block of a snapshot there is no body.
    if last.height > joined || joined.0 == 0 {
        check_body(store, &last, before)?;
    }
    if tip.log_size > 0 && log::root(tip.log_size, store) != Ok(last.log_root) {
        return Err(StoreError::Damaged("log hash"));
    }
    // Nobody makes so many revisions.
    let nowhere = StateKey::of_registry(u64::MAX);
    state::prove_absent(store, tip.changes, nowhere)
        .and_then(|proof| proof.verify_absent(tip.state_root, nowhere))
        .map_err(|_| StoreError::Damaged("state node"))
}

fn check_body(store: &Store, last: &Header, before: u64) -> Result<(), StoreError> {
    let mut statements = Vec::new();
    for index in before..last.log_size {
        let statement = store.statement(index)?;
        statements.push(statement.ok_or(StoreError::Damaged("statement"))?.1);
    }
    let is_body = Digest::of(&body_of(&statements)) == last.body;
    is_body
        .then_some(())
        .ok_or(StoreError::Damaged("statements of the last block"))
}

/// Whether the last headers from `joined` on follow each other; the size of the log before the last block.
fn check_headers(store: &Store, last: &Header, joined: Height) -> Result<u64, StoreError> {
    let mut later = last.clone();
    let lowest = last.height.0.saturating_sub(HEADERS).max(joined.0);
    let mut before = 0;
    for height in (lowest..last.height.0).rev().map(Height) {
        let header = header(store, height)?;
        if later.parent != header.digest() {
            return Err(StoreError::Damaged(
                "a header that the next one does not follow",
            ));
        }
        if later == *last {
            before = header.log_size;
        }
        later = header;
    }
    Ok(before)
}

fn header(store: &Store, height: Height) -> Result<Header, StoreError> {
    let block = store.block(height)?;
    Ok(block.ok_or(StoreError::Damaged("block"))?.header)
}
