//! A Bundle that is being made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::document::OpenDocument;
use super::{Mapped, Merge, Unmapped};
use crate::compose::{key, query_value};
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
    unread: Vec<Place>,
    own_keys: BTreeMap<String, usize>,
    // What is open while the segments are walked: entries that later ones belong to.
    pub(super) patient: Option<usize>,
    pub(super) encounter: Option<usize>,
    pub(super) order: Option<Segment<'a>>,
    /// TQ1 that came after ORC and before OBR.
    pub(super) timed: Option<Segment<'a>>,
    pub(super) request: Option<usize>,
    pub(super) report: Option<usize>,
    pub(super) immunization: Option<usize>,
    pub(super) medication: Option<usize>,
    pub(super) appointment: Option<usize>,
    pub(super) document: Option<OpenDocument>,
    /// What a note belongs to.
    pub(super) noted: Option<usize>,
    /// In what observations are told apart by code and sub-id.
    pub(super) scope: Option<String>,
    /// The category of a report's observations.
    pub(super) section: Option<&'static str>,
    /// When its specimen was collected.
    pub(super) effective: Value,
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
            unread: Vec::new(),
            own_keys: BTreeMap::new(),
            patient: None,
            encounter: None,
            order: None,
            timed: None,
            request: None,
            report: None,
            immunization: None,
            medication: None,
            appointment: None,
            document: None,
            noted: None,
            scope: None,
            section: None,
            effective: Value::Null,
        }
    }

    pub(super) fn segments(&self) -> Vec<Segment<'a>> {
        self.message.segments().collect()
    }

    /// One segment after the other.
    pub(super) fn read(&mut self, segment: &Segment<'a>) {
        let ordinal = self.ordinals.entry(segment.name().to_owned()).or_default();
        *ordinal += 1;
        match segment.name() {
            "MSH" | "EVN" | "SFT" => {}
            "PID" => self.patient(segment),
            "PD1" => self.patient_details(segment),
            "NK1" => self.next_of_kin(segment),
            "PV1" => self.visit(segment),
            "PV2" => self.visit_details(segment),
            "MRG" => self.merge(segment),
            "AL1" => self.allergy(segment),
            "DG1" => self.diagnosis(segment),
            "IN1" => self.insurance(segment),
            "ORC" => self.order(segment),
            "OBR" => self.order_detail(segment),
            "TQ1" => self.timing(segment),
            "OBX" => self.observation(segment),
            "NTE" => self.note(segment),
            "RXA" => self.immunization(segment),
            "RXO" => self.medication_order(segment),
            "RXR" => self.route(segment),
            "TXA" => self.document(segment),
            "SCH" => self.appointment(segment),
            "AIS" => self.service(segment),
            "AIL" => self.place_of_service(segment),
            "AIP" => self.person_of_service(segment),
            "FT1" => self.charge(segment),
            name if name.starts_with('Z') => self.z_segment(segment),
            _ => self.leave_unread(segment),
        }
    }

    /// What was open under an order is closed: the next belongs to another.
    pub(super) fn close_order(&mut self) {
        self.close_document();
        self.request = None;
        self.report = None;
        self.immunization = None;
        self.medication = None;
        self.scope = None;
        self.section = None;
        self.effective = Value::Null;
    }

    /// Nothing is made of a segment; it stays in the original.
    pub(super) fn leave_unread(&mut self, segment: &Segment<'_>) {
        let place = self.place(segment);
        if !self.unread.contains(&place) {
            self.unread.push(place);
        }
    }

    /// An identifier for what has none in v2, made of what tells it apart; numbered where a message says it twice.
    pub(super) fn own_identifier(&mut self, kind: &str, parts: &[&str]) -> Value {
        let mut value = key(parts);
        let times = self.own_keys.entry(format!("{kind} {value}")).or_default();
        *times += 1;
        if *times > 1 {
            value = format!("{value}/{times}");
        }
        json!({"system": format!("urn:careledger:v2:{kind}"), "value": value})
    }

    /// The patient's first identifier.
    pub(super) fn patient_scope(&self) -> String {
        self.scope_of(self.patient)
    }

    /// The number of the visit, or the patient's.
    pub(super) fn visit_scope(&self) -> String {
        self.scope_of(self.encounter.or(self.patient))
    }

    fn scope_of(&self, entry: Option<usize>) -> String {
        let identifier = entry
            .and_then(|entry| self.entries.get(entry))
            .map(|entry| &entry.resource["identifier"][0]);
        identifier.map_or_else(String::new, |one| {
            format!("{} {}", one["system"], one["value"])
        })
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
        self.close_document();
        self.check_content();
        let (mut entries, mut origins) = (Vec::new(), Vec::new());
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
            origins.push(entry.place);
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
            origins,
            merges: self.merges,
            unmapped: self.unmapped,
            unread: self.unread,
            sender: self.message.sender(),
            trigger: self.message.kind().trigger.to_owned(),
        })
    }
}

/// What a message of each type has to hold: the resource and the segment that makes it.
const CONTENT: &[(&str, &str, &str)] = &[
    ("ADT", "Patient", "PID"),
    ("ORU", "DiagnosticReport", "OBR"),
    ("ORM", "ServiceRequest", "OBR"),
    ("OML", "ServiceRequest", "OBR"),
    ("OMP", "MedicationRequest", "RXO"),
    ("MDM", "DocumentReference", "TXA"),
    ("VXU", "Immunization", "RXA"),
    ("SIU", "Appointment", "SCH"),
    ("DFT", "ChargeItem", "FT1"),
];

impl Draft<'_> {
    fn check_content(&mut self) {
        let kind = self.message.kind();
        if self.patient.is_none() && kind.message_type != "SIU" {
            self.fault(
                Place::segment("PID", 1),
                ErrorCode::SegmentSequence,
                "a patient",
            );
        }
        if ["A18", "A34", "A40"].contains(&kind.trigger)
            && self.merges.is_empty()
            && self.faults.is_empty()
        {
            self.fault(
                Place::segment("MRG", 1),
                ErrorCode::SegmentSequence,
                "who is absorbed",
            );
        }
        let wanted = CONTENT
            .iter()
            .find(|(name, _, _)| *name == kind.message_type);
        let Some((_, resource, segment)) = wanted else {
            return;
        };
        let is_there = self
            .entries
            .iter()
            .any(|entry| entry.resource["resourceType"] == *resource);
        // A charge message may hold payments alone, which are not mapped.
        if !is_there && self.faults.is_empty() && kind.message_type != "DFT" {
            self.fault(
                Place::segment(segment, 1),
                ErrorCode::SegmentSequence,
                "what such a message is about",
            );
        }
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
