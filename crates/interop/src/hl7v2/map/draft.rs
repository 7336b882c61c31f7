//! A Bundle that is being made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Mapped, Merge, Unmapped};
use crate::fhir::Resource;
use crate::hl7v2::fault::{ErrorCode, Fault, Place};
use crate::hl7v2::message::{Message, Segment};
use crate::hl7v2::overrides::{Overrides, SenderOverrides};

/// How a resource is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// The message speaks for it: what was there is replaced.
    Replace,
    /// It is made if it is not there.
    Keep,
}

/// A resource of the Bundle.
pub(super) struct Entry {
    pub(super) resource: Value,
    pub(super) writing: Writing,
    /// The segment that it comes from.
    place: Place,
}

/// A Bundle that is being made, and what was noted meanwhile.
pub(super) struct Draft<'a> {
    pub(super) message: &'a Message,
    pub(super) overrides: Vec<&'a SenderOverrides>,
    pub(super) entries: Vec<Entry>,
    /// Places of Practitioners and Locations by identity.
    by_identity: BTreeMap<(String, String), usize>,
    ordinals: BTreeMap<String, usize>,
    pub(super) faults: Vec<Fault>,
    pub(super) merges: Vec<Merge>,
    pub(super) unmapped: Vec<Unmapped>,
    pub(super) patient: Option<usize>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(message: &'a Message, overrides: &'a Overrides) -> Self {
        Self {
            message,
            overrides: overrides.of(&message.sender()),
            entries: Vec::new(),
            by_identity: BTreeMap::new(),
            ordinals: BTreeMap::new(),
            faults: Vec::new(),
            merges: Vec::new(),
            unmapped: Vec::new(),
            patient: None,
        }
    }

    pub(super) fn segments(&self) -> Vec<Segment<'a>> {
        self.message.segments().collect()
    }

    /// One segment after the other.
    pub(super) fn read(&mut self, segment: &Segment<'a>) {
        let ordinal = self.ordinals.entry(segment.name().to_owned()).or_default();
        *ordinal += 1;
        if segment.name() == "PID" {
            self.patient(segment);
        }
    }

    /// Where the segment stands that is being read.
    pub(super) fn place(&self, segment: &Segment<'_>) -> Place {
        let ordinal = self.ordinals.get(segment.name()).copied().unwrap_or(1);
        Place::segment(segment.name(), ordinal)
    }

    pub(super) fn fault(&mut self, place: Place, code: ErrorCode, expected: &'static str) {
        self.faults.push(Fault::error(place, code, expected));
    }

    /// Adds a resource; the index of its entry.
    pub(super) fn add(&mut self, resource: Value, writing: Writing, place: Place) -> usize {
        self.entries.push(Entry {
            resource,
            writing,
            place,
        });
        self.entries.len() - 1
    }

    /// A reference to an entry.
    pub(super) fn reference(entry: usize) -> Value {
        json!({"reference": url(entry)})
    }

    /// The entry of a resource that several places name, such as a Practitioner; made once.
    pub(super) fn shared(&mut self, identifier: &Value, resource: Value) -> usize {
        let kind = resource["resourceType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let key = (kind, identifier.to_string());
        if let Some(entry) = self.by_identity.get(&key) {
            return *entry;
        }
        let entry = self.add(resource, Writing::Keep, Place::segment("MSH", 1));
        self.by_identity.insert(key, entry);
        entry
    }

    pub(super) fn finish(mut self) -> Result<Mapped, Vec<Fault>> {
        if self.patient.is_none() {
            self.fault(
                Place::segment("PID", 1),
                ErrorCode::SegmentSequence,
                "a patient",
            );
        }
        let mut entries = Vec::new();
        let mut written = BTreeSet::new();
        for (index, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if Resource::from_value(entry.resource.clone()).is_err() {
                self.fault(
                    entry.place,
                    ErrorCode::DataType,
                    "values that FHIR R4 can hold",
                );
                continue;
            }
            let request = request(&entry);
            if let Some(target) = identity(&entry.resource)
                && !written.insert((entry.resource["resourceType"].to_string(), target))
            {
                self.fault(
                    entry.place,
                    ErrorCode::DuplicateKeyIdentifier,
                    "an identifier that stands once",
                );
                continue;
            }
            entries.push(
                json!({"fullUrl": url(index), "resource": entry.resource, "request": request}),
            );
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        self.unmapped.sort();
        self.unmapped.dedup();
        let mut bundle = Map::new();
        bundle.insert("resourceType".to_owned(), "Bundle".into());
        bundle.insert("type".to_owned(), "transaction".into());
        bundle.insert("entry".to_owned(), entries.into());
        Ok(Mapped {
            bundle: bundle.into(),
            merges: self.merges,
            unmapped: self.unmapped,
        })
    }
}

fn url(entry: usize) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-{entry:012x}")
}

/// The identifier by which a resource is found again: its first.
fn identity(resource: &Value) -> Option<String> {
    let identifier = match resource["resourceType"].as_str() {
        Some("DocumentReference") => &resource["masterIdentifier"],
        _ => &resource["identifier"][0],
    };
    let (system, value) = (
        identifier["system"].as_str()?,
        identifier["value"].as_str()?,
    );
    Some(format!("{}|{}", query_value(system), query_value(value)))
}

fn request(entry: &Entry) -> Value {
    let kind = entry.resource["resourceType"].as_str().unwrap_or_default();
    match (identity(&entry.resource), entry.writing) {
        (None, _) => json!({"method": "POST", "url": kind}),
        (Some(identity), Writing::Replace) => {
            json!({"method": "PUT", "url": format!("{kind}?identifier={identity}")})
        }
        (Some(identity), Writing::Keep) => {
            json!({"method": "POST", "url": kind, "ifNoneExist": format!("identifier={identity}")})
        }
    }
}

/// A value of a search parameter: FHIR's escapes, then those of URLs.
fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | '|' | ',' | '$') {
            out.push_str("%5C");
        }
        percent(&mut out, letter, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte)
        });
    }
    out
}

/// Parts of a key in one text, from which they can be told apart.
pub(super) fn key(parts: &[&str]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push('/');
        }
        for letter in part.chars() {
            percent(&mut out, letter, |byte| {
                byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
            });
        }
    }
    out
}

fn percent(out: &mut String, letter: char, is_plain: impl Fn(u8) -> bool) {
    let mut buffer = [0; 4];
    for byte in letter.encode_utf8(&mut buffer).bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}
