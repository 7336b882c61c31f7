//! A Bundle that is being made.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Mapped;
use super::datatypes::four_digits;
use crate::ccda::document::At;
use crate::ccda::fault::{Fault, Rule};
use crate::compose::{key, put, query_value};
use crate::fhir::Resource;
use crate::fhir::invariants::{Weight, violations};
use crate::hl7v2::moment;

/// A resource of the Bundle.
pub(super) struct Entry<'a> {
    pub(super) url: String,
    pub(super) resource: Value,
    /// The element that it comes from.
    at: At<'a>,
}

/// A Bundle that is being made, and what was noted meanwhile.
pub(super) struct Draft<'a> {
    pub(super) root: At<'a>,
    new_url: &'a mut dyn FnMut() -> String,
    pub(super) entries: Vec<Entry<'a>>,
    /// Places of entries by type and identifier.
    by_identity: BTreeMap<String, usize>,
    /// For these the document is refused.
    pub(super) faults: Vec<Fault>,
    /// Values that cannot be read, and were left out.
    misread: Vec<Fault>,
    /// How often one was met.
    pub(super) mistakes: usize,
    /// Why nobody can tell whose the document is.
    pub(super) unclaimed: Option<Fault>,
    pub(super) unread: Vec<String>,
    /// The zone of times without one: that of the document's own.
    pub(super) zone: String,
    pub(super) identifier: Value,
    pub(super) patient: Option<usize>,
    pub(super) encounter: Option<usize>,
    pub(super) authors: Vec<Value>,
    pub(super) composition: Value,
    /// What the document, or the section that is being read, asks for.
    pub(super) confidentiality: Option<&'static str>,
}

/// Faults that are listed.
const FAULTS_MAX: usize = 50;
/// Values of a document that may be left out.
const MISREAD_MAX: usize = 500;
/// Between the condition on an identifier and the patient's own.
pub(super) const OF_PATIENT: &str = "&patient.identifier=";
/// Types of whom and what several documents name: they are no patient's, and have no label.
pub(super) const SHARED: [&str; 4] = [
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
];

impl<'a> Draft<'a> {
    pub(super) fn new(root: At<'a>, new_url: &'a mut dyn FnMut() -> String) -> Self {
        let time = root
            .child("effectiveTime")
            .and_then(|time| time.attribute("value"));
        let zone = time.and_then(|time| moment::zone(&four_digits(time)));
        Self {
            root,
            new_url,
            entries: Vec::new(),
            by_identity: BTreeMap::new(),
            faults: Vec::new(),
            misread: Vec::new(),
            mistakes: 0,
            unclaimed: None,
            unread: Vec::new(),
            zone: zone.unwrap_or_else(|| "Z".to_owned()),
            identifier: Value::Null,
            patient: None,
            encounter: None,
            authors: Vec::new(),
            composition: Value::Null,
            confidentiality: None,
        }
    }

    pub(super) fn fault(&mut self, at: At<'_>, rule: Rule) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let fault = at.fault(rule);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Leaves out a value that cannot be read.
    pub(super) fn misread(&mut self, at: At<'_>, rule: Rule) {
        self.mistakes = self.mistakes.saturating_add(1);
        let fault = at.fault(rule);
        if self.misread.contains(&fault) {
            return;
        }
        if self.misread.len() >= MISREAD_MAX {
            let limit = MISREAD_MAX;
            self.fault(self.root, Rule::TooManyMistakes { limit });
            return;
        }
        self.misread.push(fault);
    }

    /// Nothing is made of an element.
    pub(super) fn leave_unread(&mut self, at: At<'_>) {
        self.unread.push(at.path());
    }

    /// A resource with the identifiers of its element.
    pub(super) fn start(&mut self, kind: &str, at: At<'a>) -> Value {
        let mut resource = json!({"resourceType": kind});
        for identifier in self.identifiers(at) {
            put(&mut resource, "identifier[]", identifier);
        }
        resource
    }

    /// Adds a resource; the index of its entry. What the document says twice, with one identifier, is one: what the first
    /// has not, it gets from the second. Two that differ stay two.
    pub(super) fn add(&mut self, at: At<'a>, mut resource: Value) -> usize {
        let kind = kind_of(&resource);
        if let Some(label) = self.confidentiality
            && !SHARED.contains(&kind.as_str())
        {
            let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
            put(
                &mut resource,
                "meta.security[]",
                json!({"system": system, "code": label}),
            );
        }
        if let Some(entry) = self.twin(&kind, &resource) {
            return entry;
        }
        self.keep_apart(&kind, &mut resource);
        if Self::identity_of(&resource).is_none() {
            self.name(at, &mut resource);
        }
        let entry = self.entries.len();
        for identity in identities(&resource) {
            self.by_identity.insert(format!("{kind} {identity}"), entry);
        }
        let url = (self.new_url)();
        self.entries.push(Entry { url, resource, at });
        entry
    }

    /// The entry of what has the same identifier, if nothing in the two differs.
    fn twin(&mut self, kind: &str, resource: &Value) -> Option<usize> {
        let mut known = identities(resource).into_iter();
        let index = known.find_map(|one| self.by_identity.get(&format!("{kind} {one}")))?;
        let entry = self.entries.get_mut(*index)?;
        let (Value::Object(before), Value::Object(again)) = (&mut entry.resource, resource) else {
            return None;
        };
        let is_loose = SHARED.contains(&kind) || kind == "Encounter";
        let agree = again
            .iter()
            .all(|(name, value)| before.get(name).is_none_or(|own| own == value));
        if !is_loose && !agree {
            return None;
        }
        for (name, value) in again {
            if !before.contains_key(name) {
                before.insert(name.clone(), value.clone());
            }
        }
        Some(*index)
    }

    /// Takes identifiers away that another resource has: each finds one resource.
    fn keep_apart(&self, kind: &str, resource: &mut Value) {
        let is_taken = |identifier: &Value| {
            let identity = identity(identifier);
            identity.is_some_and(|one| self.by_identity.contains_key(&format!("{kind} {one}")))
        };
        let Some(object) = resource.as_object_mut() else {
            return;
        };
        let is_bare = match object.get_mut("identifier") {
            Some(Value::Array(identifiers)) => {
                identifiers.retain(|identifier| !is_taken(identifier));
                identifiers.is_empty()
            }
            _ => false,
        };
        if is_bare {
            object.shift_remove("identifier");
        }
    }

    /// An identifier for what has none in the document, or only one that something else has: made of the document's and of
    /// the place.
    fn name(&self, at: At<'_>, resource: &mut Value) {
        let parts = ["system", "value"].map(|part| self.identifier[part].as_str().unwrap_or(""));
        let place = at.path();
        let value = key(&[parts[0], parts[1], &place]);
        let own = json!({"system": "urn:careledger:ccda:entry", "value": value});
        match &mut resource["identifier"] {
            Value::Array(identifiers) => identifiers.insert(0, own),
            other => *other = json!([own]),
        }
    }

    /// The first identifier, by which a resource is looked for.
    fn identity_of(resource: &Value) -> Option<String> {
        identities(resource).into_iter().next()
    }

    /// The type of an entry.
    pub(super) fn kind_of(&self, entry: usize) -> &str {
        let entry = self.entries.get(entry);
        entry
            .and_then(|entry| entry.resource["resourceType"].as_str())
            .unwrap_or_default()
    }

    /// A reference to an entry.
    pub(super) fn reference(&self, entry: usize) -> Value {
        let url = self.entries.get(entry).map(|entry| entry.url.as_str());
        json!({"reference": url})
    }

    /// A reference to the patient.
    pub(super) fn subject(&self) -> Value {
        self.patient
            .map_or(Value::Null, |patient| self.reference(patient))
    }

    /// Tags the resources that lack a value which could not be read: the innermost around it.
    fn mark_incomplete(&mut self) {
        let tag = json!({"system": "urn:careledger:ccda", "code": "incomplete",
            "display": "A value of the document could not be read"});
        let paths: Vec<String> = self.entries.iter().map(|entry| entry.at.path()).collect();
        for fault in &self.misread {
            let is_around = |path: &str| {
                let rest = fault.path.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let around = paths.iter().zip(&mut self.entries);
            let around = around.filter(|(path, _)| is_around(path));
            let innermost = around.max_by_key(|(path, _)| path.len());
            if let Some((_, entry)) = innermost
                && entry.resource.pointer("/meta/tag").is_none()
            {
                put(&mut entry.resource, "meta.tag[]", tag.clone());
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Mapped, Vec<Fault>> {
        self.mark_incomplete();
        let mut entries = Vec::new();
        let patient = self.patient.and_then(|patient| self.entries.get(patient));
        let whose = patient.and_then(|patient| Self::identity_of(&patient.resource));
        for entry in std::mem::take(&mut self.entries) {
            if !is_sound(&entry.resource) {
                self.fault(entry.at, Rule::Unfit);
                continue;
            }
            let kind = kind_of(&entry.resource);
            let mut request = json!({"method": "POST", "url": kind});
            if let Some(identity) = Self::identity_of(&entry.resource) {
                request["ifNoneExist"] = condition(&kind, &identity, whose.as_deref()).into();
            }
            let mut filed = json!({"fullUrl": entry.url});
            filed["resource"] = entry.resource;
            filed["request"] = request;
            entries.push(filed);
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let about = json!({
            "type": self.composition["type"],
            "date": self.composition["date"],
            "title": self.composition["title"],
            "custodian": self.composition["custodian"],
            "encounter": self.composition["encounter"],
        });
        let patient = entries
            .iter()
            .find(|entry| entry["resource"]["resourceType"] == "Patient");
        let patient = patient.and_then(|entry| entry["fullUrl"].as_str());
        let patient = patient.unwrap_or_default().to_owned();
        let mut bundle = json!({"resourceType": "Bundle", "type": "transaction"});
        bundle["entry"] = entries.into();
        Ok(Mapped {
            patient,
            bundle,
            identifier: self.identifier,
            unread: self.unread,
            misread: self.misread,
            unclaimed: self.unclaimed,
            about,
            authors: self.authors,
            confidentiality: self.confidentiality,
        })
    }
}

/// By what a resource is found again. What is a patient's is looked for among that patient's alone: numbers that two
/// systems gave twice join no two records.
fn condition(kind: &str, identity: &str, whose: Option<&str>) -> String {
    match whose {
        Some(whose) if kind != "Patient" && !SHARED.contains(&kind) => {
            format!("identifier={identity}{OF_PATIENT}{whose}")
        }
        _ => format!("identifier={identity}"),
    }
}

/// Whether FHIR takes a resource.
fn is_sound(resource: &Value) -> bool {
    Resource::from_value(resource.clone()).is_ok_and(|resource| {
        let broken = violations(&resource);
        broken.iter().all(|one| one.weight != Weight::Error)
    })
}

/// The identifiers of a resource as parameters of a search, if its first has a system.
fn identities(resource: &Value) -> Vec<String> {
    let all = match &resource["identifier"] {
        Value::Array(identifiers) => identifiers.as_slice(),
        one => std::slice::from_ref(one),
    };
    let first = all.first().and_then(identity);
    first.map_or_else(Vec::new, |_| all.iter().filter_map(identity).collect())
}

fn identity(identifier: &Value) -> Option<String> {
    let parts = (
        identifier["system"].as_str()?,
        identifier["value"].as_str()?,
    );
    Some(format!("{}|{}", query_value(parts.0), query_value(parts.1)))
}

fn kind_of(resource: &Value) -> String {
    let kind = resource["resourceType"].as_str();
    kind.unwrap_or_default().to_owned()
}
