//! One patient's Bundle, spread over four members as the care was given.
//!
//! Inpatient and emergency encounters, and what belongs to them, go to the hospital; other
//! encounters, and what belongs to none, to the clinic; laboratory results to the laboratory;
//! claims and their answers to the payer. Patient, Practitioner and Organization are copied to
//! every member that refers to them, everything else is in one Bundle exactly. A Bundle without
//! a Patient is the hospital's.
//!
//! A reference that would leave its Bundle becomes a logical one: type, and as identifier the
//! `fullUrl` of the target, which gets that identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{Resource, ResourceError, ResourceType, reference};

/// The system of identifiers that are URIs.
const URI_SYSTEM: &str = "urn:ietf:rfc:3986";

/// A part in the care of a patient, and of the payment for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Role {
    Hospital,
    Clinic,
    Laboratory,
    Payer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Hospital, Self::Clinic, Self::Laboratory, Self::Payer];

    /// The name, which is also the name of the demo's member.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hospital => "hospital",
            Self::Clinic => "clinic",
            Self::Laboratory => "laboratory",
            Self::Payer => "payer",
        }
    }
}

/// Why a Bundle cannot be spread.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SpreadError {
    #[error("the resource is not a Bundle with entries")]
    NotABundle,
    #[error("entry {index} has no `fullUrl`")]
    FullUrlMissing { index: usize },
    #[error("entry {index}: {problem}")]
    Resource {
        index: usize,
        problem: ResourceError,
    },
}

/// One transaction Bundle for each role that has something.
pub fn spread(bundle: Value) -> Result<BTreeMap<Role, Value>, SpreadError> {
    let source = read(bundle)?;
    let placement = Placement::of(&source);
    let mut named: BTreeSet<usize> = BTreeSet::new();
    let mut parts: BTreeMap<Role, Vec<(usize, Resource)>> = BTreeMap::new();
    for (role, members) in &placement.members {
        for &index in members {
            let Some(entry) = source.entries.get(index) else {
                continue;
            };
            let mut resource = entry.resource.clone();
            cut_references(&mut resource, members, &source, &mut named);
            parts.entry(*role).or_default().push((index, resource));
        }
    }
    let bundles = parts.into_iter().map(|(role, part)| {
        let entries: Vec<Value> = part
            .into_iter()
            .filter_map(|(index, mut resource)| {
                let entry = source.entries.get(index)?;
                if named.contains(&index) {
                    add_identifier(&mut resource, &entry.full_url);
                }
                Some(entry.with(resource))
            })
            .collect();
        (
            role,
            json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}),
        )
    });
    Ok(bundles.collect())
}

struct Source {
    entries: Vec<Entry>,
    by_url: BTreeMap<String, usize>,
}

struct Entry {
    full_url: String,
    request: Value,
    resource: Resource,
}

impl Entry {
    fn kind(&self) -> &'static str {
        self.resource.resource_type().as_str()
    }

    fn is_copied(&self) -> bool {
        matches!(self.kind(), "Patient" | "Practitioner" | "Organization")
    }

    fn with(&self, resource: Resource) -> Value {
        let mut entry = json!({"fullUrl": self.full_url});
        entry["resource"] = resource.into_value();
        entry["request"] = self.request.clone();
        entry
    }
}

/// Who gets which entries, by their index in the source.
struct Placement {
    members: BTreeMap<Role, BTreeSet<usize>>,
}

impl Placement {
    fn of(source: &Source) -> Self {
        let is_of_a_patient = source
            .entries
            .iter()
            .any(|entry| entry.resource.resource_type() == ResourceType::PATIENT);
        let mut members: BTreeMap<Role, BTreeSet<usize>> = BTreeMap::new();
        if !is_of_a_patient {
            members.insert(Role::Hospital, (0..source.entries.len()).collect());
            return Self { members };
        }
        for (index, entry) in source.entries.iter().enumerate() {
            if !entry.is_copied() {
                members
                    .entry(home(entry, source))
                    .or_default()
                    .insert(index);
            }
        }
        let mut placed = BTreeSet::new();
        for indices in members.values_mut() {
            add_copies(indices, source);
            placed.extend(indices.iter().copied());
        }
        // Nobody refers to these; they must not be lost.
        let left = (0..source.entries.len()).filter(|index| !placed.contains(index));
        let left: Vec<usize> = left.collect();
        if !left.is_empty() {
            members.entry(Role::Clinic).or_default().extend(left);
        }
        Self { members }
    }
}

fn read(bundle: Value) -> Result<Source, SpreadError> {
    let Value::Object(mut bundle) = bundle else {
        return Err(SpreadError::NotABundle);
    };
    if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(SpreadError::NotABundle);
    }
    let Some(Value::Array(values)) = bundle.get_mut("entry").map(Value::take) else {
        return Err(SpreadError::NotABundle);
    };
    let mut source = Source {
        entries: Vec::new(),
        by_url: BTreeMap::new(),
    };
    for (index, mut value) in values.into_iter().enumerate() {
        let full_url = value.get("fullUrl").and_then(Value::as_str);
        let full_url = full_url
            .ok_or(SpreadError::FullUrlMissing { index })?
            .to_owned();
        let resource = value
            .get_mut("resource")
            .map(Value::take)
            .unwrap_or_default();
        let resource = Resource::from_value(resource)
            .map_err(|problem| SpreadError::Resource { index, problem })?;
        let request = value.get_mut("request").map(Value::take);
        let request = request
            .unwrap_or_else(|| json!({"method": "POST", "url": resource.resource_type().as_str()}));
        source.by_url.insert(full_url.clone(), index);
        source.entries.push(Entry {
            full_url,
            request,
            resource,
        });
    }
    Ok(source)
}

fn home(entry: &Entry, source: &Source) -> Role {
    match entry.kind() {
        "Claim" | "ClaimResponse" | "Coverage" | "ExplanationOfBenefit" => Role::Payer,
        "Observation" | "DiagnosticReport" if is_laboratory(&entry.resource) => Role::Laboratory,
        "Encounter" => encounter_role(&entry.resource),
        _ => {
            let encounter = ["encounter", "context"].iter().find_map(|element| {
                let url = entry.resource.get(element)?.get("reference")?.as_str()?;
                source.entries.get(*source.by_url.get(url)?)
            });
            encounter.map_or(Role::Clinic, |encounter| {
                encounter_role(&encounter.resource)
            })
        }
    }
}

fn encounter_role(encounter: &Resource) -> Role {
    let class = encounter
        .get("class")
        .and_then(|class| class.get("code"))
        .and_then(Value::as_str);
    match class {
        // v3-ActCode, and the words that some versions of Synthea wrote instead.
        Some("IMP" | "ACUTE" | "NONAC" | "SS" | "OBSENC" | "EMER") => Role::Hospital,
        Some("inpatient" | "emergency" | "urgentcare") => Role::Hospital,
        _ => Role::Clinic,
    }
}

fn is_laboratory(resource: &Resource) -> bool {
    let categories = resource
        .get("category")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let codings = categories
        .filter_map(|it| it.get("coding")?.as_array())
        .flatten();
    codings
        .filter_map(|coding| coding.get("code")?.as_str())
        .any(|code| matches!(code, "laboratory" | "LAB"))
}

/// Adds the patients, and whom the entries refer to, directly or through a copy.
fn add_copies(indices: &mut BTreeSet<usize>, source: &Source) {
    let mut waiting: Vec<usize> = indices.iter().copied().collect();
    for (index, entry) in source.entries.iter().enumerate() {
        if entry.resource.resource_type() == ResourceType::PATIENT {
            waiting.push(index);
            indices.insert(index);
        }
    }
    while let Some(entry) = waiting.pop().and_then(|index| source.entries.get(index)) {
        reference::walk(&entry.resource, |found| {
            let target = found
                .text()
                .and_then(|text| source.by_url.get(text))
                .copied();
            let copied =
                target.filter(|target| source.entries.get(*target).is_some_and(Entry::is_copied));
            if let Some(target) = copied
                && indices.insert(target)
            {
                waiting.push(target);
            }
        });
    }
}

/// Makes references to entries of other members logical, and notes whom they name.
fn cut_references(
    resource: &mut Resource,
    members: &BTreeSet<usize>,
    source: &Source,
    named: &mut BTreeSet<usize>,
) {
    let Ok(()) = reference::rewrite(resource, |_, object| {
        let url = object.get("reference").and_then(Value::as_str);
        let target = url.and_then(|url| source.by_url.get(url)).copied();
        let away = target.filter(|target| !members.contains(target));
        if let Some((index, entry)) = away.and_then(|at| Some((at, source.entries.get(at)?))) {
            named.insert(index);
            let mut logical = Map::new();
            logical.insert("type".to_owned(), entry.kind().into());
            logical.insert("identifier".to_owned(), uri_identifier(&entry.full_url));
            object.shift_remove("reference");
            object.shift_remove("type");
            object.shift_remove("identifier");
            logical.append(object);
            *object = logical;
        }
        Ok::<(), Infallible>(())
    });
}

fn add_identifier(resource: &mut Resource, url: &str) {
    // These types have no list of identifiers in R4; their references stay unresolvable.
    if matches!(
        resource.resource_type().as_str(),
        "AuditEvent" | "Binary" | "Bundle" | "Composition" | "Provenance" | "QuestionnaireResponse"
    ) {
        return;
    }
    let identifier = uri_identifier(url);
    let object = resource.object_mut();
    match object.get_mut("identifier") {
        Some(Value::Array(identifiers)) => {
            if !identifiers.contains(&identifier) {
                identifiers.push(identifier);
            }
        }
        _ => {
            let at = object
                .keys()
                .position(|name| name == "id")
                .map_or(1, |at| at + 1);
            object.shift_insert(
                at.min(object.len()),
                "identifier".to_owned(),
                json!([identifier]),
            );
        }
    }
}

fn uri_identifier(url: &str) -> Value {
    json!({"system": URI_SYSTEM, "value": url})
}
