//! What the patterns have in common: systems of codes, agents, entities.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{AuditAgent, AuditEntry, AuditOutcome, AuditSite, AuditToken};
use crate::fhir::timespan::format_instant;

pub(super) const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub(super) const SCT: &str = "http://snomed.info/sct";
pub(super) const REST: &str = "http://hl7.org/fhir/restful-interaction";
pub(super) const USER_AGENT: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes";
pub(super) const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
pub(super) const OWN: &str = "urn:careledger:interaction";
pub(super) const MEMBER: &str = "urn:careledger:member";
pub(super) const FEED_SYSTEM: &str = "urn:careledger:audit-feed";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
/// RFC 3553
const JTI: &str = "urn:ietf:params:oauth:jti:";

pub(super) fn coding(system: &str, code: &str) -> Value {
    json!({ "system": system, "code": code })
}

pub(super) fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [coding(system, code)] })
}

/// What every event begins with.
pub(super) fn begun(
    site: &AuditSite,
    entry: &AuditEntry,
    kind: &Value,
    (subtypes, action): (&[Value], &str),
) -> Map<String, Value> {
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| {
        event.insert(name.to_owned(), value);
    };
    put("resourceType", "AuditEvent".into());
    put("type", kind.clone());
    put("subtype", subtypes.into());
    put("action", action.into());
    let recorded = i64::try_from(entry.recorded).unwrap_or(i64::MAX);
    put("recorded", format_instant(recorded).into());
    let outcome = match entry.outcome {
        AuditOutcome::Done => "0",
        AuditOutcome::Failed => "4",
        AuditOutcome::Denied => "8",
    };
    put("outcome", outcome.into());
    if let Some(reason) = &entry.reason {
        put("outcomeDesc", reason.as_str().into());
    }
    if let Some(purpose) = &entry.agent.purpose {
        put(
            "purposeOfEvent",
            Value::Array(vec![concept(REASON, purpose)]),
        );
    }
    put(
        "source",
        json!({
            "site": site.member,
            "observer": observer(site),
            "type": [coding(SOURCE_TYPE, "4")],
        }),
    );
    event
}

/// The member's node, as agent and as source.
pub(super) fn observer(site: &AuditSite) -> Value {
    member(&site.member)
}

pub(super) fn member(name: &str) -> Value {
    json!({ "identifier": { "system": MEMBER, "value": name }, "display": name })
}

/// A server or member that something came from or went to.
pub(super) fn endpoint(kind: &Value, who: &Value, address: &str) -> Value {
    let network = if address.contains("://") { "5" } else { "1" };
    json!({
        "type": kind, "who": who, "requestor": false,
        "network": { "address": address, "type": network },
    })
}

/// The client as the connection and its token say.
pub(super) fn client(kind: &Value, agent: &AuditAgent) -> Value {
    let (address, network) = match &agent.address {
        Some(address) => (address.as_str(), "2"),
        None => (agent.client.as_str(), "1"),
    };
    json!({
        "type": kind, "requestor": false,
        "who": { "identifier": { "value": agent.client }, "display": agent.client },
        "network": { "address": address, "type": network },
    })
}

/// The user, or the system on its own behalf, with what the token says.
pub(super) fn user(kinds: &[Value], agent: &AuditAgent) -> Value {
    let mut codings = kinds.to_vec();
    let name = agent.user.as_deref().unwrap_or(&agent.client);
    let mut identifier = json!({ "value": name });
    let mut policy = None;
    match &agent.token {
        Some(AuditToken::Minimal { jti, issuer }) => {
            codings.push(coding(USER_AGENT, "UserOauthAgent"));
            identifier = json!({ "system": issuer, "value": name });
            policy = Some(token_id(jti));
        }
        Some(AuditToken::Opaque(end)) => {
            codings.push(coding(USER_AGENT, "UserOauthAgent"));
            policy = Some(end.clone());
        }
        None => {}
    }
    let mut user = json!({
        "type": { "coding": codings },
        "who": { "identifier": identifier, "display": name },
        "requestor": true,
    });
    if agent.user.as_deref().is_some_and(is_reference) {
        user["who"]["reference"] = name.into();
    }
    if let Some(role) = &agent.role {
        user["role"] = json!([{ "text": role }]);
    }
    if let Some(policy) = policy {
        user["policy"] = json!([policy]);
    }
    if let Some(purpose) = &agent.purpose {
        user["purposeOfUse"] = json!([concept(REASON, purpose)]);
    }
    user
}

/// The member for which the user asks.
pub(super) fn organization(agent: &AuditAgent) -> Value {
    json!({
        "type": concept("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV"),
        "who": member(&agent.organization),
        "requestor": false,
    })
}

pub(super) fn token_id(jti: &str) -> String {
    format!("{JTI}{jti}")
}

pub(super) fn patient(id: &str) -> Value {
    json!({
        "what": { "reference": format!("Patient/{id}") },
        "type": coding(ENTITY_TYPE, "1"), "role": coding(OBJECT_ROLE, "1"),
    })
}

/// What was read or written.
pub(super) fn data(target: &str) -> Value {
    let what = if is_reference(target) {
        json!({ "reference": target })
    } else {
        json!({ "display": target })
    };
    json!({ "what": what, "type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "4") })
}

/// A document among those that a query opened.
pub(super) fn document(target: &str) -> Value {
    let kind = target.split('/').next().unwrap_or_default();
    json!({
        "what": { "reference": target },
        "type": coding(RESOURCE_TYPES, kind), "role": coding(OBJECT_ROLE, "4"),
    })
}

pub(super) fn query(description: &str, request: &str) -> Value {
    let mut query = json!({ "type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "24") });
    // FHIR has no empty values.
    if !description.is_empty() {
        query["description"] = description.into();
    }
    let request = if request.is_empty() { "-" } else { request };
    query["query"] = STANDARD.encode(request).into();
    query
}

pub(super) fn security_resource(identifier: &str) -> Value {
    json!({
        "what": { "identifier": { "value": identifier } },
        "type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "13"),
    })
}

pub(super) fn consent(what: &Value) -> Value {
    json!({ "what": what, "type": coding(RESOURCE_TYPES, "Consent") })
}

pub(super) fn token(jti: &str) -> Value {
    json!({
        "what": { "identifier": { "value": token_id(jti) } },
        "type": coding(USER_AGENT, "UserOauthAgent"),
    })
}

pub(super) fn request_id(id: &str) -> Value {
    json!({ "what": { "identifier": { "value": id } }, "type": coding(BALP_ENTITY, "XrequestId") })
}

/// Whether the text is `Type/id` or `Type/id/_history/version`.
pub(super) fn is_reference(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_kind = |kind: &str| crate::fhir::ResourceType::parse(kind).is_some();
    match parts.as_slice() {
        [kind, id] | [kind, id, "_history", _] => is_kind(kind) && is_id(id),
        _ => false,
    }
}

fn is_id(text: &str) -> bool {
    let is_allowed = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '.';
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_allowed)
}
