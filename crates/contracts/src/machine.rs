//! The machine: what a block's statements change, decided from loaded state.
//!
//! [`plan`] says what to load, the caller loads it, [`decide`] decides. All statements of a valid block are accepted;
//! one that would be rejected makes the whole block invalid, so a proposer leaves it out.

use std::collections::BTreeSet;

use ledger::ids::{BlockTime, Height, NetworkId};
use ledger::limits::STATEMENT_LIFETIME_HEIGHTS;
use ledger::state::StateKey;
use ledger::statement::{Body, SubmittedStatement};

use crate::anchor;
use crate::membership::Registry;
use crate::rejection::Rejection;

/// Where and when a statement is judged.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The network.
    pub network: NetworkId,
    /// The height of the block that would hold the statement.
    pub height: Height,
    /// That block's time.
    pub time: BlockTime,
    /// The members.
    pub registry: &'a Registry,
}

/// Whether a statement's signature was checked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Check it.
    Unchecked,
    /// The very same bytes passed under the same certificate.
    Checked,
}

/// The places in the state that decide about `statement`: load which of them are used.
pub fn plan(statement: &SubmittedStatement) -> Vec<StateKey> {
    anchor::keys(statement.member(), statement.items()).collect()
}

/// Judges `statement`, whose places are `keys`; if it is accepted, its places join `used`.
pub fn decide(
    context: &Context<'_>,
    statement: &SubmittedStatement,
    signature: Signature,
    keys: &[StateKey],
    used: &mut BTreeSet<StateKey>,
) -> Result<(), Rejection> {
    admit(context, statement, signature)?;
    match &statement.payload().body {
        Body::Items { .. } => anchor::decide(keys, used),
        Body::Command { contract, .. } => Err(Rejection::UnknownContract(*contract)),
    }
}

fn admit(
    context: &Context<'_>,
    statement: &SubmittedStatement,
    signature: Signature,
) -> Result<(), Rejection> {
    let payload = statement.payload();
    if payload.network != context.network {
        return Err(Rejection::OtherNetwork);
    }
    if payload.expires_at < context.height {
        return Err(Rejection::Expired);
    }
    if payload.expires_at.0 > context.height.0.saturating_add(STATEMENT_LIFETIME_HEIGHTS) {
        return Err(Rejection::LivesTooLong);
    }
    let member = statement.member();
    let key = context
        .registry
        .key_at(member, statement.certificate(), context.time)?;
    if signature == Signature::Unchecked {
        statement.verify(key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
