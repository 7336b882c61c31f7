//! `fault`: whether signatures in the files contradict each other, and whose they are.

use ledger::checkpoint::SignedCheckpoint;
use ledger::dump::Dump;
use ledger::fault::{Claims, Conflict, EvidenceError};
use ledger::genesis::Genesis;
use ledger::receipt::ReceiptError;
use serde_json::json;

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::trust;

const TAGGED_COSE_SIGN1: u8 = 0xd2;
const SIGNED_NOTE: &[u8] = b"careledger/";

/// Checks that at least one signer contradicts itself in `evidence`: files by name, each a signed checkpoint, a
/// transparent statement or a dump.
pub(crate) fn check(evidence: &[(String, Vec<u8>)], genesis: &Genesis) -> Result<Facts, Failure> {
    let mut claims = Claims::default();
    for (name, bytes) in evidence {
        add(&mut claims, bytes, genesis).map_err(|failure| failure.at(name))?;
    }
    if claims.conflicts().is_empty() {
        let message = format!("{} signatures, and none contradicts another", claims.len());
        return Err(Failure::new("no-contradiction", message));
    }
    let mut signers: Vec<&str> = claims
        .conflicts()
        .iter()
        .map(|conflict| conflict.signer.as_str())
        .collect();
    signers.sort_unstable();
    signers.dedup();
    Ok(vec![
        ("signatures", json!(claims.len())),
        ("convicted", json!(signers)),
        ("of", json!(accusations(&claims))),
    ])
}

/// What each signer is convicted of, in a sentence.
pub(crate) fn accusations(claims: &Claims) -> Vec<String> {
    let accusation = |conflict: &Conflict| {
        let Conflict {
            signer,
            subject,
            values: [one, other],
        } = conflict;
        format!("{signer} signed {one} and {other} as {subject}")
    };
    claims.conflicts().iter().map(accusation).collect()
}

fn add(claims: &mut Claims, bytes: &[u8], genesis: &Genesis) -> Result<(), Failure> {
    if bytes.starts_with(SIGNED_NOTE) {
        let signed =
            SignedCheckpoint::decode(bytes).map_err(|error| Failure::new("checkpoint", error))?;
        return Ok(claims.add_checkpoint(genesis, &signed)?);
    }
    if bytes.first() == Some(&TAGGED_COSE_SIGN1) {
        return Ok(claims.add_transparent(bytes, &trust::of(genesis)?)?);
    }
    let dump = Dump::read(bytes).map_err(|_| {
        let message = "neither a signed checkpoint, nor a transparent statement, nor a dump";
        Failure::new("evidence", message)
    })?;
    for dumped in dump {
        let dumped = dumped.map_err(|error| Failure::new("dump", error))?;
        if let Some(finality) = &dumped.finality {
            claims.add_finality(genesis, finality);
        }
    }
    Ok(())
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Receipt(error) => ReceiptError::into(error),
            error => Self::new("checkpoint-signature", error),
        }
    }
}
