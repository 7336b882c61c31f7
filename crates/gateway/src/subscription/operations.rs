//! What a subscriber asks: how things are, what it missed, a token for a connection; and what an operator does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::subscription::{Channel, notification};
use interop::fhir::subscription::{Content, Kind, status as status_value, topic_list};
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity};
use node::custody::Shelf;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::book::{Book, EVENTS_KEPT};
use super::interactions::{own, owns, parse};
use super::present::{self, Said};
use super::row::{EventRow, dead_key, dead_of, read};
use super::websocket::{BINDING_LIFE, Binding};
use super::{Desk, delivery, v2, websocket_url};
use crate::auth::Permission;
use crate::fhir::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Events of one answer at most.
const EVENTS_MAX: u64 = 100;
/// Tokens that wait to be used at most.
const BINDINGS_MAX: usize = 10_000;
/// Dead letters of one answer or one replay at most.
const DEAD_MAX: usize = 100;

/// The parameters of an operation, from its URL and its body.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn of(query: Option<String>, body: &Bytes) -> Result<Self, Problem> {
        let mut pairs: Vec<_> = pairs_of(&query.unwrap_or_default()).collect();
        if !body.is_empty() {
            let malformed = || Problem::malformed("the body is no Parameters");
            let value: Value = serde_json::from_slice(body).map_err(|_| malformed())?;
            let parameters = value.get("parameter").and_then(Value::as_array);
            for one in parameters.into_iter().flatten() {
                let name = one.get("name").and_then(Value::as_str);
                let object = one.as_object().ok_or_else(malformed)?;
                let given = object.iter().find(|(name, _)| name.starts_with("value"));
                let given = given.map(|(_, value)| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let (name, given) = name.zip(given).ok_or_else(malformed)?;
                pairs.push((name.to_owned(), given));
            }
        }
        Ok(Self(pairs))
    }

    fn all<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let named = self.0.iter().filter(|(one, _)| one == name);
        named.flat_map(|(_, value)| value.split(',')).collect()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.all(name).first().copied() else {
            return Ok(None);
        };
        let number = text.parse().map(Some);
        number.map_err(|_| Problem::malformed(format!("`{name}` is no number")))
    }
}

pub(super) async fn topics(State(desk): State<Arc<Desk>>, _: Caller) -> Response {
    let link = format!("{}/Subscription/$topics", desk.base);
    fhir_json(StatusCode::OK, &topic_list(&link))
}

pub(super) async fn status_of_one(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let (id, book) = (parse(&id)?, desk.book().await?);
    let said = Said::of(&desk, id, own(&book, &caller, id)?);
    Ok(statuses(&desk, &[said]))
}

pub(super) async fn status(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let asked = Asked::of(query, &body)?;
    let (ids, codes) = (asked.all("id"), asked.all("status"));
    let book = desk.book().await?;
    let said: Vec<Said> = book
        .entries
        .iter()
        .filter(|(_, entry)| owns(&caller, entry))
        .filter(|(id, _)| ids.is_empty() || ids.contains(&id.to_string().as_str()))
        .filter(|(_, entry)| codes.is_empty() || codes.contains(&entry.row.state.code()))
        .map(|(id, entry)| Said::of(&desk, *id, entry))
        .collect();
    Ok(statuses(&desk, &said))
}

fn statuses(desk: &Desk, said: &[Said]) -> Response {
    let entries = said.iter().map(|said| {
        let status = said.status(desk.now());
        let status = status_value(Kind::QueryStatus, &status, Content::Empty, &[]);
        json!({
            "fullUrl": format!("{}/$status", said.url), "resource": status,
            "search": { "mode": "match" },
        })
    });
    let entries: Vec<Value> = entries.collect();
    let mut bundle = json!({
        "resourceType": "Bundle", "type": "searchset", "total": entries.len(),
    });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    fhir_json(StatusCode::OK, &bundle)
}

pub(super) async fn events(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let id = parse(&id)?;
    let asked = Asked::of(query, &body)?;
    let content = match asked.all("content").first() {
        None => None,
        Some(code) => {
            let content = Content::of(code);
            Some(content.ok_or_else(|| Problem::malformed("`content` has no such code"))?)
        }
    };
    let (said, by, content, rows) = {
        let book = desk.book().await?;
        let entry = own(&book, &caller, id)?;
        let oldest = entry
            .row
            .events
            .saturating_sub(EVENTS_KEPT)
            .saturating_add(1);
        let first = asked.number("eventsSinceNumber")?.unwrap_or(1).max(oldest);
        let last = asked.number("eventsUntilNumber")?.unwrap_or(u64::MAX);
        let last = last
            .min(entry.row.events)
            .min(first.saturating_add(EVENTS_MAX).saturating_sub(1));
        // Never more than was asked for when the subscription was made.
        let content = content.map_or(entry.asked.content, |one| one.at_most(entry.asked.content));
        let rows = Book::events(&desk.custody, id, first..=last)?;
        (Said::of(&desk, id, entry), entry.by.clone(), content, rows)
    };
    let events = present::events(&desk, &by, content, &rows).await?;
    let status = said.status(desk.now());
    let first = Uuid::new_v4().to_string();
    let bundle = notification(&first, Kind::QueryEvents, &status, content, &events);
    Ok(fhir_json(StatusCode::OK, &bundle))
}

pub(super) async fn token_of_one(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    bind(&desk, &caller, &[id.as_str()]).await
}

pub(super) async fn binding_token(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let asked = Asked::of(query, &body)?;
    bind(&desk, &caller, &asked.all("id")).await
}

/// A token for the caller's subscriptions with these ids, or for all of them that have a websocket.
async fn bind(desk: &Desk, caller: &Caller, ids: &[&str]) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let subscriptions: Vec<Uuid> = {
        let book = desk.book().await?;
        let entries = book.entries.iter();
        entries
            .filter(|(_, entry)| owns(caller, entry) && entry.asked.channel == Channel::WebSocket)
            .map(|(id, _)| *id)
            .filter(|id| ids.is_empty() || ids.contains(&id.to_string().as_str()))
            .collect()
    };
    if subscriptions.is_empty() || (!ids.is_empty() && subscriptions.len() < ids.len()) {
        return Err(Problem::not_found());
    }
    let token = hex::encode(rand::random::<[u8; 32]>());
    let now = Instant::now();
    let mut bindings = desk.bound();
    bindings.retain(|_, binding| binding.until > now);
    if bindings.len() >= BINDINGS_MAX {
        return Err(Problem::unavailable("a token"));
    }
    let named = subscriptions.iter();
    let named: Vec<Value> = named
        .map(|id| json!({ "name": "subscription", "valueString": id.to_string() }))
        .collect();
    let binding = Binding {
        subscriptions,
        until: now + BINDING_LIFE,
    };
    bindings.insert(token.clone(), binding);
    drop(bindings);
    let seconds = BINDING_LIFE.as_secs();
    let until = desk
        .clock
        .now()
        .saturating_add(seconds)
        .saturating_mul(1_000);
    let mut parameters = vec![
        json!({ "name": "token", "valueString": token }),
        json!({ "name": "expiration",
            "valueDateTime": format_instant(i64::try_from(until).unwrap_or(i64::MAX)) }),
        json!({ "name": "websocket-url", "valueUrl": websocket_url(&desk.base) }),
    ];
    parameters.extend(named);
    let body = json!({ "resourceType": "Parameters", "parameter": parameters });
    Ok(fhir_json(StatusCode::OK, &body))
}

/// Notifications that were given up, the operator's or the caller's own.
pub(super) async fn dead_letters(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let book = desk.book().await?;
    let mut parameters = Vec::new();
    for (id, entry) in &book.entries {
        if entry.row.dead == 0 || !(owns(&caller, entry) || operates(&caller)) {
            continue;
        }
        let dead = desk
            .custody
            .shelved_under(Shelf::Subscriptions, &dead_of(*id), DEAD_MAX)?;
        for (_, event) in dead {
            let event: EventRow = read(&event)?;
            let at = format_instant(i64::try_from(event.at).unwrap_or(i64::MAX));
            parameters.push(json!({ "name": "dead-letter", "part": [
                { "name": "subscription", "valueReference": { "reference": desk.url(*id) } },
                { "name": "client", "valueString": entry.row.by.client },
                { "name": "event-number", "valueString": event.number.to_string() },
                { "name": "timestamp", "valueInstant": at },
                { "name": "error", "valueString": entry.row.error.clone().unwrap_or_default() },
            ] }));
        }
    }
    let body = if parameters.is_empty() {
        json!({ "resourceType": "Parameters" })
    } else {
        json!({ "resourceType": "Parameters", "parameter": parameters })
    };
    Ok(fhir_json(StatusCode::OK, &body))
}

/// Sends what was given up once more; what is taken is a dead letter no longer.
pub(super) async fn replay(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Update)?;
    let id = parse(&id)?;
    let (said, by, asked, socket) = {
        let book = desk.book().await?;
        let entry = book.entries.get(&id);
        let entry = entry
            .filter(|entry| owns(&caller, entry) || operates(&caller))
            .ok_or_else(Problem::not_found)?;
        (
            Said::of(&desk, id, entry),
            entry.by.clone(),
            entry.asked.clone(),
            entry.socket.clone(),
        )
    };
    let dead = desk
        .custody
        .shelved_under(Shelf::Subscriptions, &dead_of(id), DEAD_MAX)?;
    let rows: Vec<EventRow> = dead
        .iter()
        .map(|(_, row)| read(row))
        .collect::<Result<_, _>>()?;
    if !rows.is_empty() {
        let posted = match &asked.channel {
            Channel::Message { receiver } => {
                v2::send_again(&desk, (id, &by), receiver, &rows).await?
            }
            Channel::RestHook { .. } | Channel::WebSocket => {
                let events = present::events(&desk, &by, asked.content, &rows).await?;
                let said = said.taken();
                let body = delivery::body(&desk, Kind::Events, &said, asked.content, &events);
                delivery::post(&desk, &asked, socket, body).await
            }
        };
        posted.map_err(|problem| {
            Problem::new(
                StatusCode::BAD_GATEWAY,
                IssueType::Transient,
                problem.to_string(),
            )
        })?;
        let mut writes: Vec<_> = rows
            .iter()
            .map(|row| (dead_key(id, row.number), None))
            .collect();
        let mut book = desk.book().await?;
        if let Some(entry) = book.entries.get_mut(&id) {
            let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            entry.row.dead = entry.row.dead.saturating_sub(count);
            writes.push(entry.saved(id));
        }
        desk.save(writes).await?;
    }
    let said = format!("{} events were sent again", rows.len());
    let issue = Issue::error(IssueType::Informational, said);
    let issue = issue.with_severity(Severity::Information);
    let outcome = OperationOutcome::of(issue).to_value();
    Ok(fhir_json(StatusCode::OK, &outcome))
}

/// Whether the caller runs the node: it may change everything, for no patient.
fn operates(caller: &Caller) -> bool {
    caller.patient().is_none() && caller.may_on_all_types(Permission::Update).is_ok()
}
