//! Snapshots of profiles, and what events lack of them.

use serde_json::{Value, json};

use crate::fhir::profile::Profiles;
use crate::fhir::{Checking, Resource};

const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";

fn element(id: &str, min: u32, max: &str, more: &Value) -> Value {
    let path: Vec<&str> = id
        .split('.')
        .map(|part| part.split(':').next().unwrap())
        .collect();
    let mut element = json!({"id": id, "path": path.join("."), "min": min, "max": max});
    let more = more.as_object().cloned().unwrap_or_default();
    element.as_object_mut().unwrap().extend(more);
    element
}

pub(super) type Code = (&'static str, &'static str);
/// Name, type, whether it has a network, whether it asks.
pub(super) type AgentSlice = (&'static str, Code, bool, Option<bool>);
/// Name, type, role, elements that it has.
pub(super) type EntitySlice = (
    &'static str,
    (String, &'static str),
    Option<&'static str>,
    &'static [&'static str],
);

/// A profile that an event of this pattern has to keep.
pub(super) struct Pattern {
    pub(super) kind: (&'static str, &'static str),
    pub(super) subtype: (&'static str, &'static str),
    pub(super) action: &'static str,
    pub(super) outcome: Option<&'static str>,
    pub(super) agents: Vec<AgentSlice>,
    pub(super) entities: Vec<EntitySlice>,
    pub(super) entities_min: u32,
    pub(super) closes_entities: bool,
}

fn coding((system, code): (&str, &str)) -> Value {
    json!({"system": system, "code": code})
}

fn sliced_by(path: &str, rules: &str) -> Value {
    json!({"slicing": {"discriminator": [{"type": "value", "path": path}], "rules": rules}})
}

fn profile(pattern: &Pattern) -> Profiles {
    let any = json!({});
    let mut all = vec![
        element("AuditEvent", 0, "*", &any),
        element(
            "AuditEvent.type",
            1,
            "1",
            &json!({"patternCoding": coding(pattern.kind)}),
        ),
        element("AuditEvent.subtype", 1, "*", &sliced_by("$this", "open")),
        element(
            "AuditEvent.subtype:one",
            1,
            "1",
            &json!({"patternCoding": coding(pattern.subtype)}),
        ),
        element(
            "AuditEvent.action",
            1,
            "1",
            &json!({"patternCode": pattern.action}),
        ),
        element("AuditEvent.recorded", 1, "1", &any),
    ];
    let outcome = pattern.outcome;
    let outcome = outcome.map_or_else(|| any.clone(), |outcome| json!({"patternCode": outcome}));
    all.push(element("AuditEvent.outcome", 1, "1", &outcome));
    all.push(element(
        "AuditEvent.agent",
        2,
        "*",
        &sliced_by("type", "open"),
    ));
    all.extend(pattern.agents.iter().flat_map(agent_slice));
    all.push(element("AuditEvent.source", 1, "1", &any));
    let rules = if pattern.closes_entities {
        "closed"
    } else {
        "open"
    };
    all.push(element(
        "AuditEvent.entity",
        pattern.entities_min,
        "*",
        &sliced_by("type", rules),
    ));
    all.extend(pattern.entities.iter().flat_map(entity_slice));
    Profiles::of(&[
        json!({"resourceType": "StructureDefinition", "url": "http://t/balp",
        "type": "AuditEvent", "snapshot": {"element": all}}),
    ])
}

fn agent_slice((name, kind, has_network, asks): &AgentSlice) -> Vec<Value> {
    let (agent, any) = (format!("AuditEvent.agent:{name}"), json!({}));
    let concept = json!({"patternCodeableConcept": {"coding": [coding(*kind)]}});
    let asks = asks.map_or_else(|| any.clone(), |asks| json!({"patternBoolean": asks}));
    let (min, max) = if *has_network { (1, "1") } else { (0, "0") };
    vec![
        element(&agent, 1, "1", &any),
        element(&format!("{agent}.type"), 1, "1", &concept),
        element(&format!("{agent}.who"), 1, "1", &any),
        element(&format!("{agent}.requestor"), 1, "1", &asks),
        element(&format!("{agent}.network"), min, max, &any),
        element(&format!("{agent}.media"), 0, "0", &any),
    ]
}

fn entity_slice((name, (system, code), role, has): &EntitySlice) -> Vec<Value> {
    let (entity, any) = (format!("AuditEvent.entity:{name}"), json!({}));
    let max = if *name == "consent" { "*" } else { "1" };
    let (min, most) = if has.contains(&"what") {
        (1, "1")
    } else {
        (0, "0")
    };
    let kind = json!({"patternCoding": {"system": system, "code": code}});
    let mut all = vec![
        element(&entity, 1, max, &any),
        element(&format!("{entity}.what"), min, most, &any),
        element(&format!("{entity}.type"), 1, "1", &kind),
    ];
    if let Some(role) = role {
        let role = json!({"patternCoding": {"system": ROLE, "code": role}});
        all.push(element(&format!("{entity}.role"), 1, "1", &role));
    }
    for one in has.iter().filter(|one| **one != "what") {
        all.push(element(&format!("{entity}.{one}"), 1, "1", &any));
    }
    all
}

/// What an event lacks of a pattern, and of R4.
pub(super) fn lacks(pattern: &Pattern, event: &Value) -> Vec<String> {
    let resource = Resource::from_value(event.clone()).unwrap();
    let bytes = event.to_string();
    let limits = crate::fhir::ParseLimits {
        checking: Checking::Strict,
        ..Default::default()
    };
    Resource::parse(bytes.as_bytes(), &limits).unwrap();
    let issues = profile(pattern)
        .validate("http://t/balp", &resource)
        .unwrap();
    issues.into_iter().map(|issue| issue.diagnostics).collect()
}
