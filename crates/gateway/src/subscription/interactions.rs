//! Making, reading, changing and ending subscriptions: each client has its own.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use interop::fhir::search::{Handling, Query};
use interop::fhir::subscription::{Channel, Subscription, Topic};
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, ParseLimits, Resource, ResourceType};
use node::custody::CustodyError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use super::book::{Book, Entry, Unusable};
use super::row::{State as How, SubscriptionRow};
use crate::asker::Asker;
use crate::auth::Permission;
use crate::fhir::Caller;
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;

const BYTES_MAX: usize = 64 << 10;
/// Subscriptions of one client at most.
const OF_CLIENT_MAX: usize = 100;

pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Create)?;
    let (entry, id) = (entry_of(&desk, &caller, &body)?, Uuid::new_v4());
    let mut book = desk.book().await?;
    let own = book.entries.values().filter(|entry| owns(&caller, entry));
    if book.is_full() || own.count() >= OF_CLIENT_MAX {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            IssueType::TooCostly,
            "there are too many subscriptions",
        ));
    }
    put(&desk, &mut book, id, entry).await?;
    let entry = book.entries.get(&id).ok_or_else(Problem::not_found)?;
    Ok(answer(&desk, id, entry, StatusCode::CREATED))
}

pub(super) async fn update(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Update)?;
    let id = parse(&id)?;
    let mut entry = entry_of(&desk, &caller, &body)?;
    let mut book = desk.book().await?;
    let old = own(&book, &caller, id)?;
    // Numbers go on: who has heard of an event hears of no other under its number.
    entry.row.version = old.row.version.saturating_add(1);
    entry.row.events = old.row.events;
    entry.row.delivered = old.row.delivered;
    entry.row.dead = old.row.dead;
    put(&desk, &mut book, id, entry).await?;
    let entry = own(&book, &caller, id)?;
    Ok(answer(&desk, id, entry, StatusCode::OK))
}

pub(super) async fn read(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Read)?;
    let (id, book) = (parse(&id)?, desk.book().await?);
    let entry = own(&book, &caller, id)?;
    Ok(answer(&desk, id, entry, StatusCode::OK))
}

pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Delete)?;
    let id = parse(&id)?;
    let mut book = desk.book().await?;
    own(&book, &caller, id)?;
    desk.save(Book::removal(&desk.custody, id)?).await?;
    book.entries.remove(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The caller's own, by id and status.
pub(super) async fn search(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(ResourceType::SUBSCRIPTION, Permission::Search)?;
    let query = query.unwrap_or_default();
    let mut found: Vec<(Uuid, Value, &'static str)> = {
        let book = desk.book().await?;
        let entries = book.entries.iter();
        entries
            .filter(|(_, entry)| owns(&caller, entry))
            .map(|(id, entry)| (*id, presented(*id, entry), entry.row.state.code()))
            .collect()
    };
    for (name, value) in pairs_of(&query) {
        let wanted: Vec<&str> = value.split(',').collect();
        match name.as_str() {
            "_format" | "_pretty" => {}
            "_id" => found.retain(|(id, _, _)| wanted.contains(&id.to_string().as_str())),
            "status" => found.retain(|(_, _, status)| wanted.contains(status)),
            _ => {
                return Err(Problem::not_supported(
                    "subscriptions are found by `_id` and `status`",
                ));
            }
        }
    }
    let entries = found.into_iter().map(|(id, resource, _)| {
        json!({
            "fullUrl": desk.url(id), "resource": resource, "search": { "mode": "match" },
        })
    });
    let entries: Vec<Value> = entries.collect();
    let mut bundle = json!({
        "resourceType": "Bundle", "type": "searchset", "total": entries.len(),
        "link": [{ "relation": "self", "url": format!("{}/Subscription?{query}", desk.base) }],
    });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(fhir_json(StatusCode::OK, &bundle))
}

pub(super) fn parse(id: &str) -> Result<Uuid, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

/// A subscription of the caller; others' are not there.
pub(super) fn own<'a>(book: &'a Book, caller: &Caller, id: Uuid) -> Result<&'a Entry, Problem> {
    let entry = book.entries.get(&id);
    entry
        .filter(|entry| owns(caller, entry))
        .ok_or_else(Problem::not_found)
}

pub(super) fn owns(caller: &Caller, entry: &Entry) -> bool {
    let by = &entry.row.by;
    by.client == caller.client() && by.patient.as_deref() == caller.patient()
}

/// The subscription that a body asks for, if the caller may have it.
fn entry_of(desk: &Desk, caller: &Caller, body: &[u8]) -> Result<Entry, Problem> {
    let limits = ParseLimits {
        bytes_max: BYTES_MAX,
        ..ParseLimits::default()
    };
    let resource = Resource::parse_as(ResourceType::SUBSCRIPTION, body, &limits)?;
    let refused = |issue| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::with_outcome(status, OperationOutcome::of(issue))
    };
    let asked = Subscription::read(&resource).map_err(|error| refused(error.issue()))?;
    let may_leave = match &asked.channel {
        Channel::RestHook { endpoint, .. } => desk.rest_hooks.permits(endpoint),
        Channel::Message { receiver } => desk.destinations.contains_key(receiver),
        Channel::WebSocket => true,
    };
    if !may_leave {
        let why = "the endpoint is not among those to which this node may send";
        let issue = Issue::error(IssueType::BusinessRule, why);
        return Err(refused(issue.at("Subscription.channel.endpoint")));
    }
    let is_off = resource.get("status").and_then(Value::as_str) == Some("off");
    let row = SubscriptionRow {
        resource: resource.into_value().to_string().into_bytes(),
        by: Asker::of(caller),
        version: 1,
        updated_at: desk.now(),
        state: if is_off { How::Off } else { How::Requested },
        error: None,
        since: desk.custody.newest_change(),
        events: 0,
        delivered: 0,
        attempts: 0,
        is_confirmed: false,
        streams: Vec::new(),
        dead: 0,
    };
    may_hear(caller, &asked)?;
    Entry::of(row, asked, &desk.member).map_err(|unusable| {
        let why = match unusable {
            Unusable::Filter => "a filter is no search that is known here",
            Unusable::Patient => "the filter `Patient?_id=` has to name the patients, 100 at most",
        };
        let issue = Issue::error(IssueType::NotSupported, why);
        refused(issue.at("Subscription.criteria.extension"))
    })
}

/// Whether the caller's token lets it hear of what it asks for; consent decides again at each event.
fn may_hear(caller: &Caller, asked: &Subscription) -> Result<(), Problem> {
    let topic = asked.topic;
    if topic.is_the_patients() {
        caller.may(ResourceType::PATIENT, Permission::Read)?;
        let hears_reviews = topic == Topic::BreakGlass && asked.filters.is_empty();
        return match caller.patient() {
            Some(_) => Ok(()),
            // What is told of is the review of each emergency.
            None if hears_reviews => caller.may_type("Task", Permission::Read),
            None => Err(Problem::forbidden(
                "the topic is for the patient's own token",
            )),
        };
    }
    match topic {
        Topic::RecordElsewhere => caller.may(ResourceType::PATIENT, Permission::Read)?,
        Topic::Consent => caller.may(ResourceType::CONSENT, Permission::Read)?,
        _ if asked.filters.is_empty() => caller.may_on_all_types(Permission::Read)?,
        _ => {}
    }
    for filter in &asked.filters {
        caller.may(filter.resource_type, Permission::Read)?;
        let pairs: Vec<_> = pairs_of(&filter.query).collect();
        let query = Query::parse(filter.resource_type, &pairs, Handling::Strict);
        let query = query.map_err(|error| {
            Problem::with_outcome(StatusCode::UNPROCESSABLE_ENTITY, error.outcome())
        })?;
        if query.asks_content() {
            return Err(Problem::not_supported(
                "a subscription cannot be by `_content`",
            ));
        }
        caller.may_search(&query)?;
    }
    if caller.patient().is_some() && topic == Topic::Record && asked.filters.is_empty() {
        return Err(Problem::forbidden(
            "a patient's token subscribes with filters that name the patient",
        ));
    }
    Ok(())
}

/// Puts a subscription into the book; its streams are followed from now on.
async fn put(desk: &Desk, book: &mut Book, id: Uuid, mut entry: Entry) -> Result<(), CustodyError> {
    for patient in entry.patients() {
        if entry.asked.topic.is_the_patients() {
            let last = desk.custody.last_access(&patient)?;
            entry.know(&patient, None, last);
        }
        for (branch, position) in desk.custody.foreign_positions(&patient)? {
            entry.know(&patient, Some(&branch), position);
        }
    }
    desk.save(vec![entry.saved(id)]).await?;
    book.entries.insert(id, entry);
    desk.due.notify_one();
    Ok(())
}

fn answer(desk: &Desk, id: Uuid, entry: &Entry, status: StatusCode) -> Response {
    let mut response = fhir_json(status, &presented(id, entry));
    let headers = response.headers_mut();
    let etag = HeaderValue::from_str(&format!("W/\"{}\"", entry.row.version));
    if let Ok(etag) = etag {
        headers.insert(header::ETAG, etag);
    }
    let location = HeaderValue::from_str(&desk.url(id));
    if let (StatusCode::CREATED, Ok(location)) = (status, location) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// As the client sent it, with how it is; the headers, which may be secrets, are not shown.
fn presented(id: Uuid, entry: &Entry) -> Value {
    let row = &entry.row;
    let mut shown: Value = serde_json::from_slice(&row.resource).unwrap_or_default();
    shown["id"] = id.to_string().into();
    let at = i64::try_from(row.updated_at).unwrap_or(i64::MAX);
    shown["meta"]["versionId"] = row.version.to_string().into();
    shown["meta"]["lastUpdated"] = format_instant(at).into();
    shown["status"] = row.state.code().into();
    if let Some(error) = &row.error {
        shown["error"] = error.as_str().into();
    }
    if let Some(Value::Object(channel)) = shown.get_mut("channel") {
        channel.shift_remove("header");
        channel.shift_remove("_header");
    }
    shown
}
