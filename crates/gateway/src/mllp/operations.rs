//! What an operator asks of messages, with a token that has the scope `careledger/messages`. Each time that a message is
//! shown, tried again or put away is in the audit log first.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extracted};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use interop::hl7v2::{Mapped, Message, Place, Segment, map, split};
use node::custody::Shelf;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Desk;
use super::frame::MESSAGE_BYTES_MAX;
use super::inbox::Arrival;
use super::line::Waiting;
use super::listener::PATIENCE;
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
    note(&desk, &caller, &format!("$v2-message?number={number}")).await?;
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
        let parsed = desk.parse(&row.listener, &bytes);
        let mapped = parsed.as_ref().map_err(|fault| vec![fault.clone()]);
        let mapped = mapped.and_then(|message| map(message, &overrides.unwrap_or_default()));
        if let Ok(message) = &parsed {
            shown.extend(segments(message, mapped.as_ref().ok()));
        }
        match mapped {
            Ok(mapped) => {
                shown.extend(mapped.unmapped.iter().map(|one| {
                    text(
                        "unmapped",
                        format!("{}: {}|{}", one.place, one.system, one.code),
                    )
                }));
                shown.push(json!({ "name": "becomes", "resource": mapped.bundle }));
            }
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
    let message = desk.parse(&row.listener, &bytes);
    let message = message.map_err(|fault| Problem::unprocessable(fault.to_string()))?;
    note(&desk, &caller, &format!("$v2-retry?number={number}")).await?;
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
        let _told = tokio::time::timeout(PATIENCE, done).await;
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
    note(&desk, &caller, &format!("$v2-discard?number={number}")).await?;
    row.state = State::Discarded;
    row.since = desk.custody.now();
    desk.save(row.moved(number, Some(State::Dead))).await?;
    let said = format!("message {number} is discarded");
    let issue = Issue::error(IssueType::Informational, said);
    let outcome = OperationOutcome::of(issue.with_severity(Severity::Information));
    Ok(fhir_json(StatusCode::OK, &outcome.to_value()))
}

/// Each segment, with the entries of the Bundle that come from it: their places, from 0.
fn segments(message: &Message, mapped: Option<&Mapped>) -> Vec<Value> {
    let mut ordinals: BTreeMap<&str, usize> = BTreeMap::new();
    let one = |segment: Segment<'_>, place: &Place| {
        let origins = mapped.into_iter().flat_map(|mapped| mapped.origins.iter());
        let own = origins.enumerate().filter(|(_, origin)| *origin == place);
        let mut parts = vec![
            text("place", place.to_string()),
            text("text", segment.raw()),
        ];
        parts.extend(own.map(|(at, _)| json!({ "name": "becomes", "valueUnsignedInt": at })));
        json!({ "name": "segment", "part": parts })
    };
    let all = message.segments().map(|segment| {
        let ordinal = ordinals.entry(segment.name()).or_default();
        *ordinal += 1;
        one(segment, &Place::segment(segment.name(), *ordinal))
    });
    all.collect()
}

/// What is wrong with messages that were not filed, by sender: no value of a message.
pub(super) async fn errors(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may_do(Word::Messages)?;
    let mut senders: BTreeMap<[String; 3], (u64, BTreeMap<String, u64>)> = BTreeMap::new();
    let dead = in_state(State::Dead);
    let dead = desk
        .custody
        .shelved_under(Shelf::Messages, &dead, usize::MAX)?;
    for number in dead.iter().filter_map(|(key, _)| number_of(key)) {
        let Some(row) = desk.load(number)? else {
            continue;
        };
        let sender = senders.entry([row.listener, row.application, row.facility]);
        let (messages, reasons) = sender.or_default();
        *messages += 1;
        for reason in row.reasons {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let shown = senders.into_iter().map(|(sender, (messages, reasons))| {
        let named = ["listener", "application", "facility"]
            .into_iter()
            .zip(&sender);
        let named = named.filter(|(_, value)| !value.is_empty());
        let mut parts: Vec<Value> = named.map(|(name, value)| text(name, value)).collect();
        parts.push(json!({ "name": "messages", "valueUnsignedInt": messages }));
        let mut reasons: Vec<(String, u64)> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        parts.extend(reasons.into_iter().map(|(reason, count)| {
            let part = [
                text("reason", reason),
                json!({ "name": "messages", "valueUnsignedInt": count }),
            ];
            json!({ "name": "error", "part": part })
        }));
        json!({ "name": "sender", "part": parts })
    });
    Ok(fhir_json(StatusCode::OK, &parameters(shown.collect())))
}

/// Takes in a batch file, or messages one after the other, for a listener; answers how each was acknowledged.
pub(super) async fn import(
    Extracted(desk): Extracted<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may_do(Word::Messages)?;
    let query = query.unwrap_or_default();
    let named = pairs_of(&query).find(|(name, _)| name == "listener");
    let listener = named.and_then(|(_, name)| desk.listeners.get(&name));
    let unknown = || Problem::malformed("`listener` names a listener of this node");
    let listener = listener.ok_or_else(unknown)?;
    let messages = split(&body).map_err(|fault| Problem::unprocessable(fault.to_string()))?;
    note(
        &desk,
        &caller,
        &format!("$v2-import?listener={}", listener.name),
    )
    .await?;
    let mut replies = Vec::with_capacity(messages.len());
    for bytes in messages {
        let arrival = Arrival {
            listener,
            address: "$v2-import".to_owned(),
            bytes,
        };
        replies.push((bytes, desk.receive(arrival).await));
    }
    let until = Instant::now() + PATIENCE;
    let mut answered = Vec::with_capacity(replies.len());
    for (bytes, reply) in replies {
        let said = desk.said(reply.application, bytes, until).await;
        answered.push(acknowledged(&said));
    }
    Ok(fhir_json(StatusCode::OK, &parameters(answered)))
}

/// An acknowledgement: the control id of its message, the code, and what is wrong.
fn acknowledged(said: &[u8]) -> Value {
    let mut parts = Vec::new();
    if let Ok(answer) = Message::parse(said) {
        for segment in answer.segments() {
            match segment.name() {
                "MSA" => {
                    parts.push(text("code", segment.field(1).text()));
                    parts.push(text("control-id", segment.field(2).text()));
                }
                "ERR" => {
                    let reason = [8, 1].map(|field| segment.field(field).text());
                    let reason = reason.into_iter().find(|reason| !reason.is_empty());
                    parts.push(text("reason", reason.unwrap_or_default()));
                }
                _ => {}
            }
        }
    }
    json!({ "name": "answer", "part": parts })
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

async fn note(desk: &Desk, caller: &Caller, target: &str) -> Result<(), Problem> {
    let interaction = target.split('?').next().unwrap_or(target);
    let mut entry = caller.requester().audited(interaction);
    entry.target = target.to_owned();
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
