//! Care services of the network (IHE mCSD): members as Organizations with Endpoints, and what members publish of their own.
//!
//! Ids that start with `network.` are the network's: `network.` and a member's name are derived from the ledger, `network.0…`
//! stand for what another member publishes. Nobody writes them through the API.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::reference::Target;
use super::{Resource, ResourceError, ResourceType};

/// The types of IHE mCSD that are published.
pub const TYPES: [&str; 7] = [
    "Organization",
    "Location",
    "HealthcareService",
    "Practitioner",
    "PractitionerRole",
    "OrganizationAffiliation",
    "Endpoint",
];
/// The system of the tag by which what another member publishes names that member.
pub const PUBLISHER: &str = "urn:careledger:publisher";
/// The system of a member's name as an identifier.
pub const MEMBER: &str = "urn:careledger:member";
/// Listeners of HL7 v2 that are said of one member.
pub const HL7V2_MAX: usize = 8;

const PREFIX: &str = "network.";
/// No member's name starts with a digit.
const PUBLISHED: &str = "network.0";
const CONNECTION_TYPES: &str = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type";

/// A member as the directory shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberService {
    /// The member's name in the ledger's registry.
    pub name: String,
    /// Whether the registry has it as active.
    pub is_active: bool,
    /// `https://` address of its exchange, as the ledger or the configuration says.
    pub exchange: Option<String>,
    /// What the member says of its own interfaces.
    pub interfaces: Interfaces,
}

/// Where a member's systems are reached, as it says itself: URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// The base of its FHIR API.
    pub fhir: Option<String>,
    /// Listeners of HL7 v2 (`mllp://…`).
    pub hl7v2: Vec<String>,
    /// The base of its DICOMweb services.
    pub dicom_web: Option<String>,
}

/// Where a published resource comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The member that publishes it.
    pub member: &'a str,
    /// The base of that member's FHIR API, if it says so.
    pub base: Option<&'a str>,
    /// The id there.
    pub id: &'a str,
    /// The version there.
    pub version: u64,
}

/// Whether the type is one of mCSD's.
pub fn is_care_service(resource_type: ResourceType) -> bool {
    TYPES.contains(&resource_type.as_str())
}

/// Whether a document is the network's: derived from the ledger, or published by another member.
pub fn is_of_network(resource_type: ResourceType, id: &str) -> bool {
    is_care_service(resource_type) && id.starts_with(PREFIX)
}

/// The id under which what `member` publishes is kept; `digest` is hexadecimal and distinguishes texts.
pub fn published_id(
    member: &str,
    (resource_type, id): (ResourceType, &str),
    digest: &dyn Fn(&str) -> String,
) -> String {
    let digest = digest(&format!("{member} {resource_type}/{id}"));
    let short: String = digest.chars().take(32).collect();
    format!("{PUBLISHED}{short}")
}

/// The Organization of a member and its Endpoints.
pub fn listed(member: &MemberService) -> Result<Vec<Resource>, ResourceError> {
    let name = &member.name;
    let interfaces = &member.interfaces;
    let status = if member.is_active { "active" } else { "off" };
    let managing = json!({ "reference": format!("Organization/{PREFIX}{name}") });
    let endpoint = |(kind, connection, address): (String, Value, &String)| {
        json!({
            "resourceType": "Endpoint",
            "id": format!("{PREFIX}{name}.{kind}"),
            "status": status,
            "connectionType": connection,
            "name": format!("{kind} of {name}"),
            "managingOrganization": managing,
            "payloadType": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "any",
            }] }],
            "address": address,
        })
    };
    let standard = |code: &str| json!({ "system": CONNECTION_TYPES, "code": code });
    let mut said = Vec::new();
    if let Some(base) = &interfaces.fhir {
        said.push(("fhir".to_owned(), standard("hl7-fhir-rest"), base));
    }
    if let Some(address) = &member.exchange {
        let own = json!({ "system": "urn:careledger:connection-type", "code": "exchange" });
        said.push(("exchange".to_owned(), own, address));
    }
    for (number, address) in (1..).zip(interfaces.hl7v2.iter().take(HL7V2_MAX)) {
        said.push((format!("hl7v2-{number}"), standard("hl7v2-mllp"), address));
    }
    if let Some(base) = &interfaces.dicom_web {
        said.push(("dicom-web".to_owned(), standard("dicom-wado-rs"), base));
    }
    let endpoints: Vec<Value> = said.into_iter().map(endpoint).collect();
    let references = endpoints.iter().filter_map(|one| one["id"].as_str());
    let references: Vec<Value> = references
        .map(|id| json!({ "reference": format!("Endpoint/{id}") }))
        .collect();
    let mut organization = json!({
        "resourceType": "Organization",
        "id": format!("{PREFIX}{name}"),
        "identifier": [{ "system": MEMBER, "value": name }],
        "active": member.is_active,
        "type": [{
            "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "other" }],
            "text": "Member of the network",
        }],
        "name": name,
    });
    if !references.is_empty() {
        organization["endpoint"] = references.into();
    }
    let listed = std::iter::once(organization).chain(endpoints);
    listed.map(Resource::from_value).collect()
}

/// The ids of all Endpoints that [`listed`] may make of a member.
pub fn endpoint_ids(member: &str) -> impl Iterator<Item = String> {
    let fixed = ["fhir", "exchange", "dicom-web"].map(str::to_owned);
    let listeners = (1..=HL7V2_MAX).map(|number| format!("hl7v2-{number}"));
    let member = member.to_owned();
    let kinds = fixed.into_iter().chain(listeners);
    kinds.map(move |kind| format!("{PREFIX}{member}.{kind}"))
}

/// Whether other members may be told of a resource: it is of these types and names no patient, not even in an extension or in
/// what it contains.
pub fn may_be_published(resource: &Resource) -> bool {
    is_care_service(resource.resource_type()) && resource.object().values().all(is_of_nobody)
}

/// What is kept here of a resource that another member publishes; nothing if it may not be published.
///
/// References to care services lead to what is kept of them; others become URLs at the publisher, or go with the display
/// alone where its base is not known.
pub fn published(
    resource: Resource,
    source: &Source<'_>,
    digest: &dyn Fn(&str) -> String,
) -> Result<Option<Resource>, ResourceError> {
    if !may_be_published(&resource) {
        return Ok(None);
    }
    let kind = resource.resource_type();
    let mut value = resource.into_value();
    lead_here(&mut value, source, digest);
    value["id"] = published_id(source.member, (kind, source.id), digest).into();
    let kept = value.get("meta").and_then(Value::as_object);
    let kept = |name: &str| kept.and_then(|meta| meta.get(name).cloned());
    let mut meta = Map::new();
    if let Some(base) = source.base {
        let origin = format!("{base}/{kind}/{}/_history/{}", source.id, source.version);
        meta.insert("source".to_owned(), origin.into());
    }
    for name in ["profile", "security"] {
        meta.extend(kept(name).map(|value| (name.to_owned(), value)));
    }
    let mut tags = match kept("tag") {
        Some(Value::Array(tags)) => tags,
        _ => Vec::new(),
    };
    tags.retain(|tag| tag["system"] != PUBLISHER);
    tags.push(json!({ "system": PUBLISHER, "code": source.member }));
    meta.insert("tag".to_owned(), tags.into());
    value["meta"] = meta.into();
    Resource::from_value(value).map(Some)
}

fn is_of_nobody(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_of_nobody),
        Value::Object(object) => {
            let contained = object.get("resourceType").and_then(Value::as_str);
            let is_other = contained.is_some_and(|kind| !TYPES.contains(&kind));
            !is_other && !names_patient(object) && object.values().all(is_of_nobody)
        }
        _ => true,
    }
}

/// Whether a reference, if it is one, is to something that can belong to a patient.
fn names_patient(object: &Map<String, Value>) -> bool {
    let of_patient = |name: &str| {
        ResourceType::parse(name).is_some_and(super::compartment::is_in_compartment)
            && name != "Binary"
    };
    let is_typed = object.contains_key("reference") || object.contains_key("identifier");
    let typed = object.get("type").and_then(Value::as_str);
    if is_typed && typed.is_some_and(of_patient) {
        return true;
    }
    let reference = object.get("reference").and_then(Value::as_str);
    let target = reference.and_then(|text| Target::parse(text).local());
    target.is_some_and(|local| of_patient(local.resource_type.as_str()))
}

fn lead_here(value: &mut Value, source: &Source<'_>, digest: &dyn Fn(&str) -> String) {
    match value {
        Value::Array(items) => {
            for item in items {
                lead_here(item, source, digest);
            }
        }
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get("reference") {
                match here(text, source, digest) {
                    Some(text) => drop(object.insert("reference".to_owned(), text.into())),
                    None => drop(object.shift_remove("reference")),
                }
            }
            for item in object.values_mut() {
                lead_here(item, source, digest);
            }
        }
        _ => {}
    }
}

/// A reference of the publisher's as it has to read here; nothing where it leads nowhere.
fn here(text: &str, source: &Source<'_>, digest: &dyn Fn(&str) -> String) -> Option<String> {
    let own = source.base.and_then(|base| {
        let rest = text.strip_prefix(base)?;
        rest.strip_prefix('/')
    });
    match Target::parse(own.unwrap_or(text)) {
        Target::Relative(local) if is_of_network(local.resource_type, local.id) => {
            let kind = local.resource_type;
            let is_kept_there = local.id.starts_with(PUBLISHED);
            (!is_kept_there).then(|| format!("{kind}/{}", local.id))
        }
        Target::Relative(local) if is_care_service(local.resource_type) => {
            let kind = local.resource_type;
            let id = published_id(source.member, (kind, local.id), digest);
            Some(format!("{kind}/{id}"))
        }
        Target::Relative(_) => source
            .base
            .map(|base| format!("{base}/{}", own.unwrap_or(text))),
        Target::Absolute(..) | Target::Urn(_) | Target::Contained(_) => Some(text.to_owned()),
        Target::Conditional(..) | Target::Unknown => None,
    }
}
