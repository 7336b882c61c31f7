//! `receipt`: that a statement, or an item, is in the log.

use interop::fhir::timespan::format_instant;
use ledger::genesis::Genesis;
use ledger::receipt::{self, Receipt, Transparent};
use serde_json::json;

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::trust;

/// The head of a COSE_Sign1 with its tag: a transparent statement. A receipt of an item begins otherwise.
const TAGGED_COSE_SIGN1: u8 = 0xd2;

/// Checks a transparent statement (RFC 9943) or the receipt of an item.
pub(crate) fn check(bytes: &[u8], genesis: &Genesis) -> Result<Facts, Failure> {
    if bytes.first() == Some(&TAGGED_COSE_SIGN1) {
        return transparent(bytes, genesis);
    }
    let receipt = Receipt::decode(bytes).map_err(|error| Failure::new("receipt", error))?;
    let recorded = receipt.verify(&trust::of(genesis)?)?;
    let time = format_instant(i64::try_from(recorded.time.0).unwrap_or(i64::MAX));
    Ok(vec![
        ("member", json!(recorded.member.as_str())),
        ("final at height", json!(recorded.height.0)),
        ("final at", json!(time)),
        ("unused tags", json!(recorded.absent.len())),
        ("receipts of", json!(names(&recorded.receipts_of))),
    ])
}

fn transparent(bytes: &[u8], genesis: &Genesis) -> Result<Facts, Failure> {
    let shown = receipt::verify_transparent(bytes, &trust::of(genesis)?)?;
    let validators = validators_among(&shown, genesis);
    let quorum = genesis.validators().quorum();
    if validators < quorum {
        let message = format!("{validators} validators gave receipts; {quorum} are a quorum");
        return Err(Failure::new("receipt-quorum", message));
    }
    let receipts: Vec<_> = shown
        .receipts
        .iter()
        .map(|(member, size)| json!(format!("{member}, of a log of {size}")))
        .collect();
    Ok(vec![
        ("member", json!(shown.statement.member.as_str())),
        ("index in the log", json!(shown.index)),
        ("receipts of", json!(receipts)),
    ])
}

fn validators_among(shown: &Transparent, genesis: &Genesis) -> usize {
    let with_receipt = |name: &&ledger::genesis::Member| {
        shown
            .receipts
            .iter()
            .any(|(member, _)| *member == name.name)
    };
    let validators = genesis.members.iter();
    validators
        .filter(|member| member.validator.is_some())
        .filter(with_receipt)
        .count()
}

fn names(members: &[ledger::ids::MemberName]) -> Vec<&str> {
    members.iter().map(|member| member.as_str()).collect()
}
