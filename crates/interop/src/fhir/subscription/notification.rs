//! Notification bundles: a status first, then what its events are about.

use serde_json::{Value, json};

use super::{Content, IG, Topic};
use crate::fhir::timespan::format_instant;

/// Why a bundle is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whether the subscriber is there.
    Handshake,
    /// That the sender is.
    Heartbeat,
    /// Something happened.
    Events,
    /// The subscriber asked how things are.
    QueryStatus,
    /// The subscriber asked what happened.
    QueryEvents,
}

/// How a subscription is.
#[derive(Debug, Clone, Copy)]
pub struct Status<'a> {
    /// Its URL.
    pub url: &'a str,
    /// Its topic.
    pub topic: Topic,
    /// `requested`, `active`, `error` or `off`.
    pub code: &'a str,
    /// Events since it started, these included.
    pub events: u64,
    /// Now, milliseconds since 1970.
    pub now_ms: i64,
    /// What last went wrong, in words for people.
    pub error: Option<&'a str>,
}

/// One event, as far as its subscriber may know it.
#[derive(Clone)]
pub struct Event {
    /// Its number in the subscription: from 1, without gaps.
    pub number: u64,
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// What it is about.
    pub focus: Option<Value>,
    /// What else belongs to it.
    pub context: Vec<Value>,
    /// URL and content of the focus.
    pub resource: Option<(String, Value)>,
    /// The interaction that made the focus: method, relative URL, and status.
    pub request: Option<(&'static str, String, &'static str)>,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Heartbeat => "heartbeat",
            Self::Events => "event-notification",
            Self::QueryStatus => "query-status",
            Self::QueryEvents => "query-event",
        }
    }
}

/// A notification, under the id of its first entry.
pub fn notification(
    id: &str,
    kind: Kind,
    of: &Status<'_>,
    content: Content,
    events: &[Event],
) -> Value {
    let mut first = status(kind, of, content, events);
    first["id"] = id.into();
    let mut entries = vec![json!({
        "fullUrl": format!("urn:uuid:{id}"),
        "resource": first,
        "request": { "method": "GET", "url": format!("{}/$status", of.url) },
        "response": { "status": "200" },
    })];
    if content != Content::Empty {
        entries.extend(events.iter().filter_map(|event| entry(event, content)));
    }
    json!({
        "resourceType": "Bundle",
        "meta": { "profile": [format!("{IG}/backport-subscription-notification-r4")] },
        "type": "history",
        "timestamp": format_instant(of.now_ms),
        "entry": entries,
    })
}

/// The status alone.
pub fn status(kind: Kind, of: &Status<'_>, content: Content, events: &[Event]) -> Value {
    let mut parameters =
        vec![json!({ "name": "subscription", "valueReference": { "reference": of.url } })];
    if content != Content::Empty || kind == Kind::QueryStatus {
        parameters.push(json!({ "name": "topic", "valueCanonical": of.topic.canonical() }));
    }
    parameters.push(json!({ "name": "status", "valueCode": of.code }));
    parameters.push(json!({ "name": "type", "valueCode": kind.code() }));
    parameters.push(json!({
        "name": "events-since-subscription-start", "valueString": of.events.to_string(),
    }));
    parameters.extend(events.iter().map(|event| event_parameter(event, content)));
    if let Some(error) = of.error {
        parameters.push(json!({ "name": "error", "valueCodeableConcept": { "text": error } }));
    }
    json!({
        "resourceType": "Parameters",
        "meta": { "profile": [format!("{IG}/backport-subscription-status-r4")] },
        "parameter": parameters,
    })
}

fn event_parameter(event: &Event, content: Content) -> Value {
    let mut parts = vec![
        json!({ "name": "event-number", "valueString": event.number.to_string() }),
        json!({ "name": "timestamp", "valueInstant": format_instant(event.at_ms) }),
    ];
    if content != Content::Empty {
        let focus = event.focus.iter();
        parts.extend(focus.map(|focus| json!({ "name": "focus", "valueReference": focus })));
        parts.extend(
            event
                .context
                .iter()
                .map(|context| json!({ "name": "additional-context", "valueReference": context })),
        );
    }
    json!({ "name": "notification-event", "part": parts })
}

fn entry(event: &Event, content: Content) -> Option<Value> {
    let mut entry = json!({});
    if let Some((method, url, status)) = &event.request {
        entry["request"] = json!({ "method": method, "url": url });
        entry["response"] = json!({ "status": status });
    }
    match (&event.resource, content) {
        (Some((url, resource)), Content::FullResource) => {
            entry["fullUrl"] = url.as_str().into();
            entry["resource"] = resource.clone();
            if event.request.is_none() {
                entry["request"] = json!({ "method": "POST", "url": "AuditEvent" });
                entry["response"] = json!({ "status": "201" });
            }
        }
        _ => {
            let reference = event.focus.as_ref()?.get("reference")?;
            event.request.as_ref()?;
            entry["fullUrl"] = reference.clone();
        }
    }
    Some(entry)
}
