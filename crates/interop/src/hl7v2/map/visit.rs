//! PV1 and PV2: Encounter.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::message::Segment;

const PV1: &[Rule] = &[
    rule(19, "identifier[]", Shape::Identifier),
    rule(50, "identifier[]", Shape::Identifier),
    rule(2, "class", Shape::Coding(&codes::CLASS)),
    rule(3, "location[]", Shape::Stay("active")),
    rule(6, "location[]", Shape::Stay("completed")),
    rule(11, "location[]", Shape::Stay("active")),
    rule(42, "location[]", Shape::Stay("reserved")),
    rule(4, "type[]", Shape::Concept("0007")),
    rule(
        5,
        "hospitalization.preAdmissionIdentifier",
        Shape::Identifier,
    ),
    rule(7, "participant[]", Shape::Participant("ATND", "individual")),
    rule(8, "participant[]", Shape::Participant("REF", "individual")),
    rule(9, "participant[]", Shape::Participant("CON", "individual")),
    rule(17, "participant[]", Shape::Participant("ADM", "individual")),
    rule(
        52,
        "participant[]",
        Shape::Participant("PART", "individual"),
    ),
    rule(10, "serviceType", Shape::Concept("0069")),
    rule(13, "hospitalization.reAdmission", Shape::Concept("0092")),
    rule(14, "hospitalization.admitSource", Shape::Concept("0023")),
    rule(
        15,
        "hospitalization.specialArrangement[]",
        Shape::Concept("0009"),
    ),
    rule(
        16,
        "hospitalization.specialCourtesy[]",
        Shape::Concept("0099"),
    ),
    rule(
        36,
        "hospitalization.dischargeDisposition",
        Shape::Concept("0112"),
    ),
    rule(
        38,
        "hospitalization.dietPreference[]",
        Shape::Concept("0114"),
    ),
    rule(44, "period.start", Shape::DateTime),
    rule(45, "period.end", Shape::DateTime),
];

const PV2: &[Rule] = &[
    rule(1, "location[]", Shape::Stay("planned")),
    rule(3, "reasonCode[]", Shape::Concept("")),
    rule(
        8,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedStartDate",
            "valueDateTime",
            &Shape::DateTime,
        ),
    ),
    rule(
        9,
        "extension[]",
        Shape::Extension(
            "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedEndDate",
            "valueDateTime",
            &Shape::DateTime,
        ),
    ),
    rule(11, "length", Shape::Quantity("d")),
    rule(13, "participant[]", Shape::Participant("REF", "individual")),
    rule(25, "priority", Shape::Concept("0217")),
];

impl Draft<'_> {
    /// No Encounter for a patient without a visit (class N), nor for a visit that has no number and is only mentioned.
    pub(super) fn visit(&mut self, segment: &Segment<'_>) {
        let class = self.standard("0004", &segment.field(2).text());
        let is_numbered = !segment.field(19).is_empty() || !segment.field(50).is_empty();
        let kind = self.message.kind();
        let is_begun = kind.message_type == "ADT" && ["A01", "A04", "A05"].contains(&kind.trigger);
        if class == "N" || !(is_numbered || is_begun) {
            return self.leave_unread(segment);
        }
        let mut encounter = json!({"resourceType": "Encounter"});
        put(
            &mut encounter,
            "status",
            self.visit_status(segment, &class).into(),
        );
        self.fill(segment, PV1, &mut encounter);
        if encounter["class"].is_null() {
            let unknown = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"});
            put(&mut encounter, "class", unknown);
        }
        put(&mut encounter, "subject", self.subject());
        let writing = match kind.message_type {
            "ADT" => Writing::Replace,
            _ => Writing::Keep,
        };
        let place = self.place(segment);
        self.encounter = Some(self.add(encounter, writing, place));
    }

    /// What the event says, then whether the visit has ended, then what its class says.
    fn visit_status(&self, segment: &Segment<'_>, class: &str) -> &'static str {
        let kind = self.message.kind();
        let by_event = match (kind.message_type, kind.trigger) {
            ("ADT", "A03") => Some("finished"),
            ("ADT", "A05") => Some("planned"),
            ("ADT", "A11" | "A38") => Some("cancelled"),
            ("ADT", "A01" | "A02" | "A06" | "A07" | "A12" | "A13") => Some("in-progress"),
            _ => None,
        };
        by_event.unwrap_or_else(|| match class {
            _ if !segment.field(45).is_empty() => "finished",
            "P" => "planned",
            "U" => "unknown",
            _ => "in-progress",
        })
    }

    pub(super) fn visit_details(&mut self, segment: &Segment<'_>) {
        if self.encounter.is_none() {
            return self.leave_unread(segment);
        }
        self.fill_entry(self.encounter, segment, PV2);
    }

    /// A reference to the patient, or nothing.
    pub(super) fn subject(&self) -> Value {
        self.patient.map_or(Value::Null, Self::reference)
    }

    /// A reference to the visit, or nothing.
    pub(super) fn context(&self) -> Value {
        self.encounter.map_or(Value::Null, Self::reference)
    }
}
