//! What an operator asks of messages, with a token that has the scope `careledger/messages`. Each time that a message is
//! shown, tried again or put away is in the audit log first.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extracted};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use interop::hl7v2::{Message, map};
use node::custody::Shelf;
use serde_json::{Value, json};

use super::Desk;
use super::frame::MESSAGE_BYTES_MAX;
use super::line::Waiting;
use super::row::{MessageRow, State, edited_key, in_state, number_of};
use crate::auth::Word;
use crate::fhir::{Caller, parameters, text};
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Messages of one answer at most.
const LISTED_MAX: usize = 1_000;

/// Messages in a state; without one, those that wait and dead letters. Nothing of their content.
pub(super) async fn list(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may_do(Word::Messages)?;
    let asked = pairs_of(&query.unwrap_or_default()).find(|(name, _)| name == "state");
    let states = match asked {
        None => vec![State::Waiting, State::Dead],
        Some((_, name)) => {
            let named = State::ALL.into_iter().find(|state| state.name() == name);
            let unknown = || Problem::malformed("`state` is waiting, filed, dead or discarded");
            vec![named.ok_or_else(unknown)?]
        }
    };
    let mut listed = Vec::new();
    for state in states {
        let rows = desk
            .custody
            .shelved_under(Shelf::Messages, &in_state(state), LISTED_MAX)?;
        for number in rows.iter().filter_map(|(key, _)| number_of(key)) {
            if let Some(row) = desk.load(number)? {
                listed.push(described(number, &row));
            }
        }
    }
    Ok(fhir_json(StatusCode::OK, &parameters(listed)))
}

/// A message with its content, and what it becomes by the mapping as it is now.
pub(super) async fn show(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (number, row) = asked(&desk, &caller, query)?;
    note(&desk, &caller, "$v2-message", number).await?;
    let mut shown = vec![described(number, &row)];
    let (original, edited) = desk.bytes(number)?;
    let in_text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if let Some(original) = &original {
        shown.push(text("original", in_text(original)));
    }
    if let Some(edited) = &edited {
        shown.push(text("edited", in_text(edited)));
    }
    let overrides = desk.listeners.get(&row.listener);
    let overrides = overrides.map(|listener| listener.overrides.clone());
    if let Some(bytes) = edited.or(original) {
        let parsed = Message::parse(&bytes).map_err(|fault| vec![fault]);
        match parsed.and_then(|message| map(&message, &overrides.unwrap_or_default())) {
            Ok(mapped) => shown.push(json!({ "name": "becomes", "resource": mapped.bundle })),
            Err(faults) => {
                shown.extend(faults.iter().map(|fault| text("fault", fault.to_string())));
            }
        }
    }
    Ok(fhir_json(StatusCode::OK, &parameters(shown)))
}

/// Files a dead letter once more; with a body, that in its place.
pub(super) async fn retry(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let (number, mut row) = asked(&desk, &caller, query)?;
    if row.state != State::Dead {
        return Err(Problem::unprocessable("the message is no dead letter"));
    }
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Problem::malformed("the edited message is too long"));
    }
    let (original, edited) = desk.bytes(number)?;
    let bytes = if body.is_empty() {
        edited.or(original).unwrap_or_default()
    } else {
        body.to_vec()
    };
    let message =
        Message::parse(&bytes).map_err(|fault| Problem::unprocessable(fault.to_string()))?;
    note(&desk, &caller, "$v2-retry", number).await?;
    row.state = State::Waiting;
    row.attempts = 0;
    row.since = desk.custody.now();
    let mut changes = row.moved(number, Some(State::Dead));
    if !body.is_empty() {
        changes.push((edited_key(number), Some(body.to_vec())));
    }
    desk.save(changes).await?;
    let mut waiting = Waiting::new(message.patient_key());
    waiting.is_unsure = true;
    desk.line().add(number, waiting);
    let done = desk.line().hear(number);
    desk.due.notify_one();
    // What comes of it stands in the row, whoever told.
    if let Some(done) = done {
        let _told = tokio::time::timeout(super::listener::PATIENCE, done).await;
    }
    let row = desk.load(number)?.ok_or_else(Problem::not_found)?;
    Ok(fhir_json(
        StatusCode::OK,
        &parameters(vec![described(number, &row)]),
    ))
}

/// Puts a dead letter away: its content is gone, that it was there is kept for a while.
pub(super) async fn discard(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (number, mut row) = asked(&desk, &caller, query)?;
    if row.state != State::Dead {
        return Err(Problem::unprocessable("the message is no dead letter"));
    }
    note(&desk, &caller, "$v2-discard", number).await?;
    row.state = State::Discarded;
    row.since = desk.custody.now();
    desk.save(row.moved(number, Some(State::Dead))).await?;
    let said = format!("message {number} is discarded");
    let issue = Issue::error(IssueType::Informational, said);
    let outcome = OperationOutcome::of(issue.with_severity(Severity::Information));
    Ok(fhir_json(StatusCode::OK, &outcome.to_value()))
}

/// The message that a request names, for who may see messages.
fn asked(
    desk: &Desk,
    caller: &Caller,
    query: Option<String>,
) -> Result<(u64, MessageRow), Problem> {
    caller.may_do(Word::Messages)?;
    let query = query.unwrap_or_default();
    let named = pairs_of(&query).find(|(name, _)| name == "number");
    let number = named.and_then(|(_, number)| number.parse().ok());
    let number = number.ok_or_else(|| Problem::malformed("`number` names the message"))?;
    let row = desk.load(number)?;
    Ok((number, row.ok_or_else(Problem::not_found)?))
}

async fn note(desk: &Desk, caller: &Caller, interaction: &str, number: u64) -> Result<(), Problem> {
    let mut entry = caller.requester().audited(interaction);
    entry.target = format!("{interaction}?number={number}");
    desk.custody.audit(entry).await?;
    Ok(())
}

fn described(number: u64, row: &MessageRow) -> Value {
    let instant = |at: u64| format_instant(i64::try_from(at).unwrap_or(i64::MAX));
    let mut parts = vec![
        json!({ "name": "number", "valueString": number.to_string() }),
        json!({ "name": "state", "valueCode": row.state.name() }),
        json!({ "name": "received", "valueInstant": instant(row.received_at) }),
        json!({ "name": "attempts", "valueUnsignedInt": row.attempts }),
        text("listener", &row.listener),
    ];
    let optional = [
        ("application", &row.application),
        ("facility", &row.facility),
        ("control-id", &row.control_id),
        ("kind", &row.kind),
    ];
    let said = optional.iter().filter(|(_, value)| !value.is_empty());
    parts.extend(said.map(|(name, value)| text(name, *value)));
    parts.extend(row.reasons.iter().map(|reason| text("reason", reason)));
    if row.state == State::Filed {
        parts.extend(row.filed.iter().map(|one| text("filed", one)));
    }
    json!({ "name": "message", "part": parts })
}
