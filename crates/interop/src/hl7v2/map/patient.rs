//! PID, PD1, NK1: Patient. MRG: which patients are one. Fields of Z-segments.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use super::{Merge, PatientIdentifier};
use crate::compose::{filled, put};
use crate::hl7v2::fault::ErrorCode;
use crate::hl7v2::message::Segment;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

const PID: &[Rule] = &[
    rule(3, "identifier[]", Shape::Identifier),
    rule(2, "identifier[]", Shape::Identifier),
    rule(4, "identifier[]", Shape::Identifier),
    rule(20, "identifier[]", Shape::EntityIdentifier("DL")),
    rule(5, "name[]", Shape::Name),
    rule(9, "name[]", Shape::Name),
    rule(
        6,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
            "valueString",
            &Shape::Text,
        ),
    ),
    rule(7, "birthDate", Shape::Date),
    rule(8, "gender", Shape::Code(&codes::SEX)),
    rule(11, "address[]", Shape::Address),
    rule(12, "address[0].district", Shape::Text),
    rule(13, "telecom[]", Shape::Telecom("home")),
    rule(14, "telecom[]", Shape::Telecom("work")),
    rule(40, "telecom[]", Shape::Telecom("")),
    rule(15, "communication[].language", Shape::Concept("0296")),
    rule(16, "maritalStatus", Shape::Concept("0002")),
    rule(
        17,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/StructureDefinition/patient-religion",
            "valueCodeableConcept",
            &Shape::Concept("0006"),
        ),
    ),
    rule(
        23,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress",
            &Shape::AddressText,
        ),
    ),
    rule(
        26,
        "extension[]",
        Shape::Nested(
            "http://hl7.org/fhir/StructureDefinition/patient-citizenship",
            "code",
            "valueCodeableConcept",
            &Shape::Concept("0171"),
        ),
    ),
    rule(25, "multipleBirthInteger", Shape::Integer),
    rule(29, "deceasedDateTime", Shape::DateTime),
];

/// PID-24 and PID-30 say yes or no where PID-25 and PID-29 do not say more.
const WITHOUT_ORDER: &[Rule] = &[rule(24, "multipleBirthBoolean", Shape::Boolean)];
const WITHOUT_DEATH: &[Rule] = &[rule(30, "deceasedBoolean", Shape::Boolean)];

const PD1: &[Rule] = &[
    rule(3, "generalPractitioner[]", Shape::Organization),
    rule(4, "generalPractitioner[]", Shape::Practitioner),
    rule(
        6,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/StructureDefinition/patient-disability",
            "valueCodeableConcept",
            &Shape::Concept("0295"),
        ),
    ),
];

const NK1: &[Rule] = &[
    rule(2, "name", Shape::Name),
    rule(3, "relationship[]", Shape::Concept("0063")),
    rule(4, "address", Shape::Address),
    rule(5, "telecom[]", Shape::Telecom("")),
    rule(6, "telecom[]", Shape::Telecom("work")),
    rule(40, "telecom[]", Shape::Telecom("")),
    rule(7, "relationship[]", Shape::Concept("0131")),
    rule(8, "period.start", Shape::Date),
    rule(9, "period.end", Shape::Date),
    rule(13, "organization", Shape::Organization),
    rule(15, "gender", Shape::Code(&codes::SEX)),
];

const MRG: &[Rule] = &[rule(1, "identifier[]", Shape::Identifier)];

impl Draft<'_> {
    pub(super) fn patient(&mut self, segment: &Segment<'_>) {
        let mut patient = json!({"resourceType": "Patient"});
        self.fill(segment, PID, &mut patient);
        if patient["multipleBirthInteger"].is_null() {
            self.fill(segment, WITHOUT_ORDER, &mut patient);
        }
        if patient["deceasedDateTime"].is_null() {
            self.fill(segment, WITHOUT_DEATH, &mut patient);
        }
        self.birth_time(segment, &mut patient);
        match patient["identifier"].as_array_mut() {
            Some(identifiers) => order(identifiers),
            None => {
                let place = self.place(segment).field(3);
                self.fault(
                    place,
                    ErrorCode::RequiredFieldMissing,
                    "an identifier of the patient",
                );
            }
        }
        let place = self.place(segment);
        let writing = match self.is_about_the_patient() {
            true => Writing::Replace,
            false => Writing::Keep,
        };
        let patient = self.add(patient, writing, place);
        self.open_patient(patient);
    }

    /// Only registrations speak for a patient's data: in other messages PID is often a label.
    fn is_about_the_patient(&self) -> bool {
        let kind = self.message.kind();
        kind.message_type == "ADT"
            && ["A01", "A04", "A05", "A08", "A28", "A31"].contains(&kind.trigger)
    }

    fn birth_time(&mut self, segment: &Segment<'_>, patient: &mut Value) {
        let born = segment.field(7).text();
        if born.len() <= 8 || patient["birthDate"].is_null() {
            return;
        }
        let place = self.place(segment).field(7);
        if let Some(time) = self.date_time(&born, &place) {
            let url = format!("{CORE}patient-birthTime");
            put(
                patient,
                "_birthDate.extension[]",
                json!({"url": url, "valueDateTime": time}),
            );
        }
    }

    /// PD1 goes into the patient of the PID before it.
    pub(super) fn patient_details(&mut self, segment: &Segment<'_>) {
        self.fill_entry(self.patient, segment, PD1);
    }

    pub(super) fn next_of_kin(&mut self, segment: &Segment<'_>) {
        let mut contact = json!({});
        self.fill(segment, NK1, &mut contact);
        let patient = self.patient.and_then(|entry| self.entries.get_mut(entry));
        if let (Some(patient), Some(contact)) = (patient, filled(contact)) {
            put(&mut patient.resource, "contact[]", contact);
        }
    }

    pub(super) fn merge(&mut self, segment: &Segment<'_>) {
        let mut absorbed = json!({});
        self.fill(segment, MRG, &mut absorbed);
        let absorbed = identifiers(&absorbed);
        let patient = self.patient.and_then(|entry| self.entries.get(entry));
        let survivor = patient.map_or_else(Vec::new, |entry| identifiers(&entry.resource));
        let place = self.place(segment).field(1);
        if absorbed.is_empty() {
            self.fault(
                place,
                ErrorCode::RequiredFieldMissing,
                "an identifier of the patient that is absorbed",
            );
        } else if absorbed.iter().any(|one| survivor.contains(one)) {
            self.fault(
                place,
                ErrorCode::DuplicateKeyIdentifier,
                "another patient than that of PID-3",
            );
        } else {
            self.merges.push(Merge { survivor, absorbed });
        }
    }

    /// Fields of Z-segments become extensions where an override says so; the rest stays in the original.
    pub(super) fn z_segment(&mut self, segment: &Segment<'_>) {
        let fields: Vec<_> = self
            .overrides
            .iter()
            .flat_map(|entry| entry.z_fields.iter())
            .filter(|field| field.segment == segment.name())
            .collect();
        if fields.is_empty() {
            return self.leave_unread(segment);
        }
        for field in fields {
            let (shape, name) = match field.value_type.as_deref() {
                Some("date") => (Shape::Date, "valueDate"),
                Some("dateTime") => (Shape::DateTime, "valueDateTime"),
                Some("CodeableConcept") => (Shape::Concept(""), "valueCodeableConcept"),
                Some("Identifier") => (Shape::Identifier, "valueIdentifier"),
                _ => (Shape::Whole, "valueString"),
            };
            let entry = match field.resource.as_str() {
                "Encounter" => self.encounter,
                _ => self.patient,
            };
            let place = self.place(segment).field(field.field);
            for repeat in segment.field(field.field).repeats() {
                let value = self.shaped(repeat, &shape, &place);
                let target = entry.and_then(|entry| self.entries.get_mut(entry));
                if let (Some(target), Some(value)) = (target, value) {
                    put(
                        &mut target.resource,
                        "extension[]",
                        json!({"url": field.extension, (name): value}),
                    );
                }
            }
        }
    }
}

/// A medical record number first: by the first identifier a patient is found again. Each one stands once.
fn order(identifiers: &mut Vec<Value>) {
    identifiers.sort_by_key(|one| one["type"]["coding"][0]["code"] != "MR");
    let mut kept: Vec<Value> = Vec::new();
    for one in identifiers.drain(..) {
        let is_new = kept
            .iter()
            .all(|other| (&other["system"], &other["value"]) != (&one["system"], &one["value"]));
        if is_new {
            kept.push(one);
        }
    }
    *identifiers = kept;
}

fn identifiers(resource: &Value) -> Vec<PatientIdentifier> {
    let all = resource["identifier"].as_array().into_iter().flatten();
    all.filter_map(|one| {
        Some(PatientIdentifier {
            system: one["system"].as_str()?.to_owned(),
            value: one["value"].as_str()?.to_owned(),
        })
    })
    .collect()
}
