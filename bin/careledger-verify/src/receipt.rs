//! `receipt`: that a statement, or an item, is in the log.

use interop::fhir::timespan::format_instant;
use ledger::genesis::quorum;
use ledger::receipt::{self, Receipt, Transparent};
use serde_json::json;

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::recent::{Recent, View};
use crate::trust::{Pinned, Span};

/// The head of a COSE_Sign1 with its tag: a transparent statement. A receipt of an item begins otherwise.
const TAGGED_COSE_SIGN1: u8 = 0xd2;

/// Checks a transparent statement (RFC 9943) or the receipt of an item.
pub(crate) fn check(
    bytes: &[u8],
    pinned: &Pinned,
    recent: Option<&Recent>,
) -> Result<Facts, Failure> {
    if bytes.first() == Some(&TAGGED_COSE_SIGN1) {
        return transparent(bytes, pinned, recent);
    }
    let receipt = Receipt::decode(bytes).map_err(|error| Failure::new("receipt", error))?;
    let recorded = receipt.verify(&pinned.trust(receipt.succession.as_ref())?)?;
    if let Some(recent) = recent {
        recent.compare(&View::of(&receipt))?;
    }
    let time = format_instant(i64::try_from(recorded.time.0).unwrap_or(i64::MAX));
    Ok(vec![
        ("member", json!(recorded.member.as_str())),
        ("final at height", json!(recorded.height.0)),
        ("final at", json!(time)),
        ("unused tags", json!(recorded.absent.len())),
        ("receipts of", json!(names(&recorded.receipts_of))),
    ])
}

fn transparent(bytes: &[u8], pinned: &Pinned, recent: Option<&Recent>) -> Result<Facts, Failure> {
    let shown = receipt::verify_transparent(bytes, &pinned.trust(None)?)?;
    check_quorum(&shown, &pinned.spans()?)?;
    if let Some(recent) = recent {
        let view = |(_, size, root): &(_, u64, _)| View {
            size: *size,
            root: *root,
        };
        let views: Vec<View> = shown.receipts.iter().map(view).collect();
        recent.compare(&views)?;
    }
    let receipts: Vec<_> = shown
        .receipts
        .iter()
        .map(|(member, size, _)| json!(format!("{member}, of a log of {size}")))
        .collect();
    Ok(vec![
        ("member", json!(shown.statement.member.as_str())),
        ("index in the log", json!(shown.index)),
        ("receipts of", json!(receipts)),
    ])
}

/// Whether a quorum of the validators of one span of epochs gave receipts of logs of that span; if not, what the newest span misses.
fn check_quorum(shown: &Transparent, spans: &[Span]) -> Result<(), Failure> {
    let count = |span: &Span| validators_among(shown, span);
    let needed = |span: &Span| quorum(span.signatories.len());
    if spans.iter().any(|span| count(span) >= needed(span)) {
        return Ok(());
    }
    let newest = spans
        .first()
        .map_or((0, 0), |span| (count(span), needed(span)));
    let message = format!(
        "{} validators gave receipts; {} are a quorum",
        newest.0, newest.1
    );
    Err(Failure::new("receipt-quorum", message))
}

fn validators_among(shown: &Transparent, span: &Span) -> usize {
    let signatories = span.signatories.iter();
    let with_receipt = signatories.filter(|one| {
        let mut receipts = shown.receipts.iter();
        receipts.any(|(member, size, _)| *member == one.member && span.covers(*size))
    });
    with_receipt.count()
}

fn names(members: &[ledger::ids::MemberName]) -> Vec<&str> {
    members.iter().map(|member| member.as_str()).collect()
}
