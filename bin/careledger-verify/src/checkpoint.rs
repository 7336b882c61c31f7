//! `checkpoint` and `consistency`: who stands by a log, and whether one log continues another.

use ledger::checkpoint::SignedCheckpoint;
use ledger::checkpoint::policy::{Accepted, Policy, PolicyViolation};
use ledger::scitt::{CoseReceipt, Proof};
use serde_json::json;

use crate::failure::Failure;
use crate::fault::accusations;
use crate::outcome::Facts;
use crate::trust::{Pinned, covers};

/// A policy that a checkpoint may satisfy, if it is of one of these sizes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) policy: Policy,
    /// From the first to the second; `None` for a policy of the auditor's own.
    pub(crate) sizes: Option<(u64, u64)>,
}

/// The policy in `text`, or those of the network: a quorum of its validators, the newest first.
pub(crate) fn policies(text: Option<&str>, pinned: &Pinned) -> Result<Vec<Asked>, Failure> {
    match text {
        Some(text) => Policy::parse(text)
            .map(|policy| {
                vec![Asked {
                    policy,
                    sizes: None,
                }]
            })
            .map_err(|error| Failure::new("policy", error)),
        None => pinned.policies(),
    }
}

/// Checks that one of the policies accepts a signed checkpoint.
pub(crate) fn check(note: &[u8], policies: &[Asked]) -> Result<Facts, Failure> {
    let (signed, accepted) = accepted(note, policies)?;
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

/// Checks that a log continues an older state of itself; both must satisfy one of the policies.
///
/// `receipt` is a COSE Receipt of consistency, from `/scitt/consistency/SIZE`; only its path counts here, since both
/// roots are known by their checkpoints. Two logs of one size with different roots are a split view.
pub(crate) fn consistency(
    (older, newer): (&[u8], &[u8]),
    receipt: Option<&[u8]>,
    (policies, pinned): (&[Asked], &Pinned),
) -> Result<Facts, Failure> {
    let (older, newer) = (accepted(older, policies)?.0, accepted(newer, policies)?.0);
    let (before, after) = (&older.checkpoint, &newer.checkpoint);
    if before.origin != after.origin {
        return Err(Failure::new("origin", "the checkpoints are of two logs"));
    }
    if before.size == after.size && before.root != after.root {
        return Err(split(pinned, &older, &newer));
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

fn split(pinned: &Pinned, one: &SignedCheckpoint, other: &SignedCheckpoint) -> Failure {
    let mut claims = match pinned.claims() {
        Ok(claims) => claims,
        Err(failure) => return failure,
    };
    let added = [one, other].map(|signed| claims.add_checkpoint(signed));
    if let Some(Err(error)) = added.into_iter().find(Result::is_err) {
        return Failure::new("checkpoint-signature", error);
    }
    let culprits = accusations(&claims).join("; ");
    let message = format!("two logs of one size have different roots. {culprits}");
    Failure::new("split-view", message)
}

/// A checkpoint, and who made which policy accept it; if none does, what the first one misses.
pub(crate) fn accepted(
    note: &[u8],
    asked: &[Asked],
) -> Result<(SignedCheckpoint, Accepted), Failure> {
    let signed =
        SignedCheckpoint::decode(note).map_err(|error| Failure::new("checkpoint", error))?;
    let size = signed.checkpoint.size;
    let mut missed = None;
    for one in asked {
        // Former validators do not stand for a log that went on without them.
        if !one.sizes.is_none_or(|sizes| covers(sizes, size)) {
            continue;
        }
        match one.policy.accept(&signed) {
            Ok(accepted) => return Ok((signed, accepted)),
            Err(error) => missed = missed.or(Some(error)),
        }
    }
    Err(violation(missed.unwrap_or(PolicyViolation::NoLog)))
}

fn violation(violation: PolicyViolation) -> Failure {
    let name = match &violation {
        PolicyViolation::Checkpoint(_) => "checkpoint-signature",
        PolicyViolation::NoLog => "checkpoint-log",
        PolicyViolation::NoQuorum { .. } => "checkpoint-quorum",
    };
    Failure::new(name, violation)
}
