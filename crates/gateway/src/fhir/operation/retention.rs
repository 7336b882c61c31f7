//! Legal holds and retention, for privacy officers: `[type]/[id]/$hold`, `$release-hold`, `$holds`, `$retention-due`,
//! `$retention-run`, and `$retention-audit`, which lets go of entries of the audit log that are older than six years.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::timespan::TimeSpan;
use node::custody::{Hold, HoldOrder, HoldScope};
use serde_json::{Value, json};

use super::erasure::{answer, instant};
use super::parameters::{Given, parameters, text};
use crate::auth::Word;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// Documents that one request erases at most: each rewrites nothing, but all together rewrite the key table once.
const RUN_MAX: usize = 100;
const SHOWN_MAX: usize = 1_000;

pub(crate) async fn hold(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let given = Given::parse(&body)?;
    let order = HoldOrder {
        scope: if resource_type == ResourceType::PATIENT {
            HoldScope::Patient(id)
        } else {
            HoldScope::Document(resource_type, id)
        },
        authority: given.words("authority")?,
        reason: given.words("reason")?,
        until_ms: until(&given)?,
    };
    let hold = fhir.custody.place_hold(caller.requester(), order).await?;
    let body = parameters(vec![text("hold", hold)]);
    Ok(fhir_json(StatusCode::CREATED, &body))
}

pub(crate) async fn release_hold(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let hold = Given::parse(&body)?.words("hold")?;
    fhir.custody.release_hold(caller.requester(), &hold).await?;
    let body = parameters(vec![text("released", hold)]);
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn holds(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let holds = fhir.custody.holds()?;
    let body = parameters(holds.iter().map(described).collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn retention_due(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let due = fhir.custody.retention_due(SHOWN_MAX)?;
    let due = due.iter().map(|(resource_type, id)| {
        let reference = format!("{resource_type}/{id}");
        json!({ "name": "due", "valueReference": { "reference": reference } })
    });
    Ok(fhir_json(StatusCode::OK, &parameters(due.collect())))
}

pub(crate) async fn retention_run(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let authority = Given::parse(&body)?.words("authority")?;
    let by = caller.requester();
    let erased = fhir.custody.erase_expired(by, RUN_MAX, &authority).await?;
    Ok(answer(&erased))
}

pub(crate) async fn retention_audit(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let given = Given::parse(&body)?;
    let authority = given.words("authority")?;
    let before = given.value("before", &["valueDateTime", "valueInstant", "valueDate"]);
    let span = before.as_ref().and_then(Value::as_str);
    let span = span.and_then(TimeSpan::parse);
    let at = span.and_then(|span| u64::try_from(span.start_ms).ok());
    let at = at.ok_or_else(|| Problem::malformed("the parameter `before` is no date"))?;
    // Who asks is in the log before anything goes, and whatever comes of it.
    let entry = caller.requester().audited("retention-audit");
    let mut entry = entry
        .with("before", instant(at))
        .with("authority", authority);
    entry.target = "AuditEvent".to_owned();
    fhir.custody.audit(entry).await?;
    let gone = fhir.custody.prune_audit(at).await?;
    let body = parameters(vec![text("entries", gone.to_string())]);
    Ok(fhir_json(StatusCode::OK, &body))
}

fn until(given: &Given) -> Result<Option<u64>, Problem> {
    let until = given.value("until", &["valueDateTime", "valueInstant", "valueDate"]);
    let Some(until) = until.as_ref().and_then(Value::as_str) else {
        return Ok(None);
    };
    let span = TimeSpan::parse(until);
    let end = span.and_then(|span| u64::try_from(span.end_ms).ok());
    let malformed = || Problem::malformed("the parameter `until` is no date");
    end.map(Some).ok_or_else(malformed)
}

fn described(hold: &Hold) -> Value {
    let mut parts = vec![
        text("id", hold.id.clone()),
        json!({ "name": "on", "valueReference": { "reference": hold.target } }),
        text("authority", hold.authority.clone()),
        text("reason", hold.reason.clone()),
        json!({ "name": "placed", "valueInstant": instant(hold.placed_ms) }),
        json!({ "name": "inForce", "valueBoolean": hold.is_in_force }),
    ];
    let until = hold.until_ms.map(instant);
    parts.extend(until.map(|until| json!({ "name": "until", "valueInstant": until })));
    json!({ "name": "hold", "part": parts })
}
