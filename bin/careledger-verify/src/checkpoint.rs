//! `checkpoint` and `consistency`: who stands by a log, and whether one log continues another.

use ledger::checkpoint::SignedCheckpoint;
use ledger::checkpoint::policy::{Policy, PolicyViolation};
use ledger::fault::Claims;
use ledger::genesis::Genesis;
use ledger::scitt::{CoseReceipt, Proof};
use serde_json::json;

use crate::failure::Failure;
use crate::fault::accusations;
use crate::outcome::Facts;

/// The policy in `text`, or that of the genesis: a quorum of its validators.
pub(crate) fn policy(text: Option<&str>, genesis: &Genesis) -> Result<Policy, Failure> {
    match text {
        Some(text) => Policy::parse(text).map_err(|error| Failure::new("policy", error)),
        None => Policy::of_genesis(genesis).map_err(|error| Failure::new("genesis", error)),
    }
}

/// Checks that the policy accepts a signed checkpoint.
pub(crate) fn check(note: &[u8], policy: &Policy) -> Result<Facts, Failure> {
    let signed = accepted(note, policy)?;
    let accepted = policy.accept(&signed).map_err(violation)?;
    let witnesses: Vec<_> = accepted
        .witnesses
        .iter()
        .map(|(name, at)| json!(format!("{name}, at {at}")))
        .collect();
    Ok(vec![
        ("log", json!(signed.checkpoint.origin)),
        ("statements", json!(signed.checkpoint.size)),
        ("log root", json!(signed.checkpoint.root.to_string())),
        ("cosigned by", json!(witnesses)),
    ])
}

/// Checks that a log continues an older state of itself; both must satisfy the policy.
///
/// `receipt` is a COSE Receipt of consistency, from `/scitt/consistency/SIZE`; only its path counts here, since both
/// roots are known by their checkpoints. Two logs of one size with different roots are a split view.
pub(crate) fn consistency(
    (older, newer): (&[u8], &[u8]),
    receipt: Option<&[u8]>,
    (policy, genesis): (&Policy, &Genesis),
) -> Result<Facts, Failure> {
    let (older, newer) = (accepted(older, policy)?, accepted(newer, policy)?);
    let (before, after) = (&older.checkpoint, &newer.checkpoint);
    if before.origin != after.origin {
        return Err(Failure::new("origin", "the checkpoints are of two logs"));
    }
    if before.size == after.size && before.root != after.root {
        return Err(split(genesis, &older, &newer));
    }
    if before.size != after.size {
        let receipt = receipt.ok_or_else(|| {
            let message = "checkpoints of two sizes need a receipt of consistency (--receipt)";
            Failure::new("consistency-proof-missing", message)
        })?;
        let receipt =
            CoseReceipt::decode(receipt).map_err(|error| Failure::new("receipt", error))?;
        let Proof::Consistency(path) = receipt.proof else {
            let message = "the receipt is of inclusion, not of consistency";
            return Err(Failure::new("receipt-kind", message));
        };
        if (path.older, path.newer) != (before.size, after.size) {
            let message = "the receipt is of other sizes than the checkpoints";
            return Err(Failure::new("consistency-proof", message));
        }
        path.verify(before.root, after.root)
            .map_err(|error| Failure::new("consistency-proof", error))?;
    }
    Ok(vec![
        ("log", json!(after.origin)),
        ("older", json!(before.size)),
        ("newer", json!(after.size)),
        ("log root", json!(after.root.to_string())),
    ])
}

fn split(genesis: &Genesis, one: &SignedCheckpoint, other: &SignedCheckpoint) -> Failure {
    let mut claims = Claims::default();
    let added = [one, other].map(|signed| claims.add_checkpoint(genesis, signed));
    if let Some(Err(error)) = added.into_iter().find(Result::is_err) {
        return Failure::new("checkpoint-signature", error);
    }
    let culprits = accusations(&claims).join("; ");
    let message = format!("two logs of one size have different roots. {culprits}");
    Failure::new("split-view", message)
}

fn accepted(note: &[u8], policy: &Policy) -> Result<SignedCheckpoint, Failure> {
    let signed =
        SignedCheckpoint::decode(note).map_err(|error| Failure::new("checkpoint", error))?;
    policy.accept(&signed).map_err(violation)?;
    Ok(signed)
}

fn violation(violation: PolicyViolation) -> Failure {
    let name = match &violation {
        PolicyViolation::Checkpoint(_) => "checkpoint-signature",
        PolicyViolation::NoLog => "checkpoint-log",
        PolicyViolation::NoQuorum { .. } => "checkpoint-quorum",
    };
    Failure::new(name, violation)
}
