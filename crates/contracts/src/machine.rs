//! The machine: what a block's statements change, decided from loaded state.
//!
//! [`plan`] says what to load, the caller loads it, [`decide`] decides. All statements of a valid block are accepted;
//! one that would be rejected makes the whole block invalid, so a proposer leaves it out.

use std::collections::BTreeSet;

use ledger::ids::{BlockTime, Height, NetworkId};
use ledger::limits::STATEMENT_LIFETIME_HEIGHTS;
use ledger::node_key::NodeKey;
use ledger::state::StateKey;
use ledger::statement::{Body, SubmittedStatement};

use crate::anchor;
use crate::governance::{self, Command, Refusal};
use crate::membership::Registry;
use crate::rejection::Rejection;
use crate::release;

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

/// What the statements of a block have changed so far.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Places of the state that are taken: those that were loaded, and those of accepted statements.
    pub used: BTreeSet<StateKey>,
    /// The registry, once a command has changed it.
    pub registry: Option<Registry>,
}

impl Draft {
    /// The registry after the block: a block that changes it makes one revision.
    pub fn finish(self, before: &Registry) -> Option<Registry> {
        self.registry.map(|registry| registry.revised(before))
    }
}

/// The places in the state that `statement` takes: load which of them are used.
pub fn plan(statement: &SubmittedStatement) -> Vec<StateKey> {
    let member = statement.member();
    match &statement.payload().body {
        Body::Items { .. } => anchor::keys(member, statement.items()).collect(),
        Body::Command { .. } => vec![StateKey::of_command(member, statement.payload().id)],
    }
}

/// What the state holds of a statement under its places `keys`, once it is at `index` of the log.
pub fn entries(keys: &[StateKey], index: u64) -> impl Iterator<Item = (StateKey, Vec<u8>)> {
    anchor::entries(keys, index)
}

/// Judges `statement`, whose places are `keys`; if it is accepted, what it changes joins `draft`.
pub fn decide(
    context: &Context<'_>,
    statement: &SubmittedStatement,
    signature: Signature,
    keys: &[StateKey],
    draft: &mut Draft,
) -> Result<(), Rejection> {
    admit(context, statement, signature)?;
    match &statement.payload().body {
        Body::Items { .. } => anchor::decide(keys, &mut draft.used),
        Body::Command { contract, command } => {
            if ![governance::CONTRACT, release::CONTRACT].contains(contract) {
                return Err(Rejection::UnknownContract(*contract));
            }
            if keys.iter().any(|key| draft.used.contains(key)) {
                return Err(Rejection::CommandRepeated);
            }
            let registry = obey(context, statement, (*contract, command), draft)?;
            draft.registry = Some(registry);
            draft.used.extend(keys);
            Ok(())
        }
    }
}

fn obey(
    context: &Context<'_>,
    statement: &SubmittedStatement,
    (contract, command): (u16, &[u8]),
    draft: &Draft,
) -> Result<Registry, Rejection> {
    let registry = draft.registry.as_ref().unwrap_or(context.registry);
    if contract == release::CONTRACT {
        let (member, command) = (statement.member(), release::Command::decode(command)?);
        let events = release::decide(registry, member, command)?;
        let evolved = release::evolve(registry, (member, context.height), &events);
        return evolved.map_err(|_| release::Refusal::Malformed.into());
    }
    let context = governance::Context {
        member: statement.member(),
        certificate: statement.certificate(),
        height: context.height,
        time: context.time,
    };
    let command = Command::decode(command)?;
    let events = governance::decide(registry, &context, command)?;
    // INVARIANT: events follow from a decision on this registry, so they lead to another one.
    governance::evolve(registry, &context, &events).map_err(|_| Refusal::Malformed.into())
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
    let key = key_of(context, statement)?;
    if signature == Signature::Unchecked {
        statement.verify(&key)?;
    }
    Ok(())
}

/// The key under which a statement's signature is checked: the registered one that signs; for a certificate that the
/// statement registers, its own (G5).
pub fn key_of(context: &Context<'_>, statement: &SubmittedStatement) -> Result<NodeKey, Rejection> {
    let (member, thumbprint) = (statement.member(), statement.certificate());
    let Some(certificate) = governance::registers(statement) else {
        let registry = context.registry;
        return registry.key_at(member, thumbprint, context.time).copied();
    };
    context
        .registry
        .key_of_new(member, &certificate, context.time)
}

#[cfg(test)]
mod tests;
