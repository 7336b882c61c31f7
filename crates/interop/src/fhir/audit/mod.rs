//! Audit events after IHE's Basic Audit Log Patterns (<https://profiles.ihe.net/ITI/BALP>), made of stored entries.
//!
//! One file for each pattern: `rest` (create, read, update, delete, query), `disclosure` (records that pass between
//! members), `decision` (what consents decided), `session` (tokens and sign-in). The same entry always makes the same
//! events.

mod decision;
mod disclosure;
mod entry;
mod parts;
mod rest;
mod session;

use serde_json::Value;

pub use entry::{AuditAgent, AuditDetail, AuditEntry, AuditOutcome, AuditToken, Passing};

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSite {
    /// The node's FHIR endpoint, without a slash at its end.
    pub base: String,
    /// The member.
    pub member: String,
}

/// What follows the number of an entry in the id of the event about its decision.
const DECISION: &str = "-authz";

/// The events of an entry with this number: of the interaction, and of the decision that consents or roles led to.
pub fn events(site: &AuditSite, number: u64, entry: &AuditEntry) -> Vec<Value> {
    let id = number.to_string();
    if let Some(fed) = &entry.fed {
        return fed_event(&id, fed, entry).into_iter().collect();
    }
    let own = match (entry.interaction.as_str(), &entry.passing) {
        ("token" | "sign-in" | "refused-token", _) => session::event(site, entry),
        (_, Some(passing)) => disclosure::event(site, entry, passing),
        _ => rest::event(site, entry),
    };
    let mut events = vec![named(detailed(own, entry), &id)];
    if entry.patient.is_some() && !entry.rules.is_empty() {
        events.push(named(
            decision::event(site, entry),
            &format!("{id}{DECISION}"),
        ));
    }
    events
}

/// The number of the entry that an event with this id was made of.
pub fn number_of(id: &str) -> Option<u64> {
    id.strip_suffix(DECISION).unwrap_or(id).parse().ok()
}

/// An event that came from elsewhere keeps its content; who sent it stands in its tags.
fn fed_event(id: &str, fed: &[u8], entry: &AuditEntry) -> Option<Value> {
    let mut event: Value = serde_json::from_slice(fed).ok()?;
    let tag = serde_json::json!({
        "system": parts::FEED_SYSTEM, "code": entry.agent.client,
    });
    let meta = event.as_object_mut()?.entry("meta");
    let meta = meta.or_insert_with(|| Value::Object(serde_json::Map::new()));
    match meta.get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => {
            meta.as_object_mut()?
                .insert("tag".to_owned(), Value::Array(vec![tag]));
        }
    }
    Some(named(event, id))
}

/// The details of an entry stand with the first of its entities.
fn detailed(mut event: Value, entry: &AuditEntry) -> Value {
    let details = entry.details.iter().flatten();
    let details =
        details.map(|one| serde_json::json!({ "type": one.name, "valueString": one.value }));
    let details: Vec<Value> = details.collect();
    let entity = event
        .pointer_mut("/entity/0")
        .and_then(Value::as_object_mut);
    if let (Some(entity), false) = (entity, details.is_empty()) {
        entity.insert("detail".to_owned(), details.into());
    }
    event
}

fn named(mut event: Value, id: &str) -> Value {
    if let Some(event) = event.as_object_mut() {
        event.shift_remove("id");
        event.shift_insert(1.min(event.len()), "id".to_owned(), Value::from(id));
    }
    event
}

#[cfg(test)]
mod tests;
